#pragma once

#include "sim/config/fields.hpp"
#include "sim/model/architecture.hpp"
#include "sim/parallel/schedule.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// Where the embedding or the loss computes: in the chunk of the first or last layers, or in a
/// chunk of its own (a virtual stage, as MLPerf's submissions have it).
enum class EndStage : std::uint8_t { with_layers, separate };
template <>
struct EnumNames<EndStage> {
    static constexpr std::array words{"with_layers", "separate"};
};

/// How context-parallel ranks get at each other's keys and values, in Megatron's words: around a
/// ring, block by block under attention (p2p); or all at once before it (all_gather), as Llama 3.
enum class CpExchange : std::uint8_t { p2p, all_gather };
template <>
struct EnumNames<CpExchange> {
    static constexpr std::array words{"p2p", "all_gather"};
};

/// The dimensions of a job by how near their members lie, the nearest first.
enum class Axis : std::uint8_t { tp, cp, ep, dp, pp };
template <>
struct EnumNames<Axis> {
    static constexpr std::array words{"tp", "cp", "ep", "dp", "pp"};
};
using AxisOrder = std::array<Axis, 5>;
inline constexpr AxisOrder megatron_order{Axis::tp, Axis::cp, Axis::ep, Axis::dp, Axis::pp};

/// How a training job is cut over its GPUs, as a user writes it (Megatron's words).
struct Layout {
    Place place;
    int tp = 1;                           ///< tensor parallel
    int pp = 1;                           ///< pipeline stages
    int cp = 1;                           ///< context parallel
    int vp = 1;                           ///< model chunks per stage (interleaved 1F1B); 1: plain
    std::optional<std::string> schedule;  ///< a row of pipeline_schedules; not given: Megatron's
    int ep = 1;                           ///< expert parallel; dense models: 1
    std::optional<int> expert_tp;         ///< tensor parallel of routed experts; not given: 1
    std::int64_t fsdp = 1;  ///< GPUs that weights, gradients and optimizer are sharded over (FSDP,
                            ///< ZeRO-3); 1: not
    std::optional<std::int64_t> dp;             ///< data parallel; not given: what the GPUs leave
    std::int64_t micro_batch = 1;               ///< sequences per micro-batch
    bool sequence_parallel = true;              ///< norms and residuals cut by tokens over tp
    bool embedding_and_loss_as_layers = false;  ///< Megatron's account_for_..._in_pipeline_split
    EndStage embedding_stage = EndStage::with_layers;
    EndStage loss_stage = EndStage::with_layers;
    CpExchange cp_comm_type = CpExchange::p2p;
    bool uneven_layers = false;  ///< where chunks cannot be equal, the last ones get a layer less
    std::optional<std::string> order;  ///< "tp-cp-ep-dp-pp": how ranks are numbered, fastest first
    std::vector<std::pair<std::string, Place>> places;  ///< where each key was given

    /// Where `key` stands; the layout itself when the key was left to its default.
    [[nodiscard]] Place place_of(std::string const& key) const;
};

std::vector<Field<Layout>> const& fields_of(Layout const*);

/// The layers one stage computes in a row.
struct Chunk {
    int first_layer = 0;
    int layers = 0;  ///< 0 where the embedding or the loss has a chunk of its own
    bool has_embedding = false;
    bool has_head = false;

    friend bool operator==(Chunk const&, Chunk const&) = default;
};

/// A layout that was checked against its GPUs, model and batch; everything divides.
struct Parallel {
    std::int64_t gpus = 1;
    int tp = 1, pp = 1, cp = 1, vp = 1;
    int ep = 1, expert_tp = 1;
    std::int64_t dp = 1;
    std::int64_t expert_dp = 1;      ///< GPUs of a stage with the same experts
    std::int64_t fsdp = 1;           ///< GPUs that all state is sharded over
    std::int64_t micro_batch = 1;    ///< sequences
    std::int64_t micro_batches = 1;  ///< per step and data-parallel rank (gradient accumulation)
    std::int64_t global_batch = 1;   ///< sequences = micro_batch x micro_batches x dp
    std::int64_t sequence = 1;       ///< tokens
    std::int64_t padded_vocab = 1;   ///< rounded up to a multiple of tp
    bool sequence_parallel = true;   ///< false where tp is 1
    CpExchange cp_comm_type = CpExchange::p2p;
    PipelineSchedule const* schedule = &default_schedule(1);
    std::vector<Chunk> chunks;  ///< in model order
    AxisOrder order = megatron_order;
    std::vector<std::string> notes;  ///< what the layout left to its schedule: "vp 1, ..."

    /// Tokens of one micro-batch on one rank, before tp cuts them.
    [[nodiscard]] std::int64_t tokens_per_micro_batch() const {
        return micro_batch * sequence / cp;
    }
    [[nodiscard]] PipelineShape pipeline() const;
    /// The chunks that a stage holds, as its schedule numbers them.
    [[nodiscard]] std::vector<Chunk> chunks_of(int stage) const;
    /// Stages that hold a chunk: 2 where micro-batches walk in both directions.
    [[nodiscard]] int copies() const { return schedule->bidirectional ? 2 : 1; }
};

/// Completes a layout, or throws ConfigError at the key that does not divide and says what would.
///   global_batch  sequences per optimizer step
///   sequence      tokens
Parallel check_layout(Layout const& layout,
                      std::int64_t gpus,
                      Architecture const& architecture,
                      std::int64_t global_batch,
                      std::int64_t sequence);

/// The architecture with what tp cannot cut evenly filled up, so that every column and row split of
/// its operators divides: the vocabulary padded, key-value heads copied where there are fewer than
/// ranks. Costs and memory of a rank are this architecture's over tp.
Architecture divisible_architecture(Architecture const& architecture, Parallel const& parallel);

}  // namespace nvl72
