#pragma once

#include "sim/config/fields.hpp"
#include "sim/config/library.hpp"
#include "sim/cost/query.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// What one precision means to the engine: which GEMMs run in what, and how the cache is kept.
struct ServingPrecision {
    Precision linear = Precision::bf16;   ///< GEMMs of transformer blocks
    Precision experts = Precision::bf16;  ///< of routed experts
    /// Of the other blocks' GEMMs in a model with routed experts, where the checkpoints leave them.
    std::optional<Precision> beside_experts;
    Precision head = Precision::bf16;       ///< the output layer's
    Precision attention = Precision::bf16;  ///< scores and weighted values
    Precision kv = Precision::bf16;         ///< the cache
    bool quantised_apart = false;           ///< operands are quantised by kernels of their own
    std::vector<std::string> also;          ///< other words for it in tables of runs
};
std::vector<Field<ServingPrecision>> const& fields_of(ServingPrecision const*);

/// What a step takes besides its kernels.
struct StepPolicy {
    Picoseconds step{0};          ///< scheduling and sampling
    Picoseconds layer{0};         ///< of a decode step, which runs as a CUDA graph
    Picoseconds expert_layer{0};  ///< more for a layer of experts: routing, permuting
    Picoseconds latent_layer{0};  ///< more for attention over a latent: projections of each head
    Picoseconds all_reduce{0};    ///< ranks that wait for one another, beyond the collective alone
    Picoseconds sequence{0};      ///< host work for each running sequence, under the GPU's
    double overlap_norm = 1;      ///< p of (gpu^p + host^p)^(1/p); 1: one after the other
    /// A step with a prompt in it is launched kernel by kernel: it takes no less per layer.
    Picoseconds eager_layer{0};
};
std::vector<Field<StepPolicy>> const& fields_of(StepPolicy const*);

/// How its kernels compare with the calibration's, which were measured one by one.
struct KernelPolicy {
    double gemm = 1;            ///< time of dense GEMMs over the calibration's
    double experts = 1;         ///< of grouped GEMMs of experts
    double attention = 1;       ///< of attention over the cache
    double prompt = 1;          ///< of all kernels of a step with a prompt in it
    double prompt_experts = 1;  ///< and of experts once more: rows unevenly spread, padded, moved
    double launch = 1;          ///< share of kernels' launches that graphs leave
    double skew = 0;            ///< popularity of experts falls with rank^-skew
    double elementwise = 1;     ///< share of elementwise traffic that is left after fusion
    /// Heights of the tiles that its GEMMs come in, where the calibration's tables saw fewer.
    std::vector<int> tile_rows;
    bool exchange_fused =
        true;  ///< tokens go to experts by fused kernels where they are calibrated
};
std::vector<Field<KernelPolicy>> const& fields_of(KernelPolicy const*);

/// When a request gets its cache: all that it can ever need at once, so that it is never evicted,
/// or what it holds, and the youngest is evicted and computed again when the room ends.
enum class Admission : std::uint8_t { reserve, grow };
template <>
struct EnumNames<Admission> {
    static constexpr std::array words{"reserve", "grow"};
};

/// Limits of a batch, and of the cache.
struct BatchPolicy {
    std::int64_t sequences_max = 1024;  ///< of a group of attention ranks
    std::int64_t tokens_max = 8192;     ///< new tokens of a step of such a group
    bool chunked = true;                ///< a prompt may be cut over several steps
    Admission admission = Admission::reserve;
    double memory_share = 0.9;  ///< of what weights leave (of all memory where `share_of_all`)
    bool share_of_all = false;
    Bytes reserve{0};             ///< of each GPU: activations, workspaces, graphs, NCCL
    std::int64_t idle_slots = 0;  ///< of sequences_max that never hold a request
};
std::vector<Field<BatchPolicy>> const& fields_of(BatchPolicy const*);

/// The host's part in a request and its tokens.
struct HostPolicy {
    Picoseconds request{0};          ///< before a prompt reaches the batch: HTTP, tokenizer, queue
    Picoseconds token{0};            ///< one process sends all tokens, each in this time
    std::int64_t stream_tokens = 1;  ///< tokens that travel together
};
std::vector<Field<HostPolicy>> const& fields_of(HostPolicy const*);

/// Draft tokens of a step, and how many of them are right on average.
struct Speculation {
    int drafts = 0;
    double accepted = 0;
};
std::vector<Field<Speculation>> const& fields_of(Speculation const*);

/// 80 % interval, measured over predicted, of rows that the fit had not seen: 10th and 90th
/// percentile.
struct ServingSpread {
    std::vector<double> ttft, tpot;
};
std::vector<Field<ServingSpread>> const& fields_of(ServingSpread const*);

/// Serving software, as switches and times that it could be timed at (configs/engines/NAME.yaml).
struct EngineProfile {
    Place place;
    std::string name;
    std::string summary;
    std::optional<std::string> software;      ///< "vllm"
    std::optional<std::string> architecture;  ///< of the GPUs it is for; none: any
    std::optional<std::string> releases;      ///< of that software that these numbers are for
    std::vector<std::pair<std::string, ServingPrecision>> precisions;
    StepPolicy step;
    KernelPolicy kernels;
    BatchPolicy batch;
    HostPolicy host;
    Speculation speculation;
    /// By regime: "aggregated dense", "aggregated moe", "disaggregated moe".
    std::vector<std::pair<std::string, ServingSpread>> spread;
};
std::vector<Field<EngineProfile>> const& fields_of(EngineProfile const*);

/// Reads an engine over its `base`, an engine beside it, whose entries it replaces.
EngineProfile load_engine(std::string const& path, Trail* trail = nullptr);

/// The precision of `word`; throws ConfigError at `asked` with the engine's words.
ServingPrecision const& precision_of(EngineProfile const& engine,
                                     std::string const& word,
                                     Place const& asked);

}  // namespace nvl72
