#pragma once

#include "sim/base/units.hpp"
#include "sim/config/quantity.hpp"
#include "topology/shape.hpp"

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace nvl72 {

/// Arithmetic of a GEMM or an attention kernel, as the kernel tables name it.
enum class Precision : std::uint8_t { bf16, fp8, fp8_block, mxfp8, nvfp4 };
template <>
struct EnumNames<Precision> {
    static constexpr std::array words{"bf16", "fp8", "fp8_block", "mxfp8", "nvfp4"};
};

enum class CollectiveOp : std::uint8_t {
    all_reduce,
    all_gather,
    reduce_scatter,
    alltoall,
    broadcast,
    sendrecv
};
template <>
struct EnumNames<CollectiveOp> {
    static constexpr std::array words{"all_reduce", "all_gather", "reduce_scatter",
                                      "alltoall",   "broadcast",  "sendrecv"};
};

/// Who starts a collective's kernels, which decides its time below 1 MiB. `threads`: a host thread
/// or process for each GPU. `eager`: one thread for several GPUs, one after the other; `graph`: the
/// same with CUDA graphs. `symmetric`: graphs of NCCL's kernels for symmetric buffers.
enum class LaunchMode : std::uint8_t { unknown, eager, graph, threads, symmetric };
template <>
struct EnumNames<LaunchMode> {
    static constexpr std::array words{"unknown", "eager", "graph", "threads", "symmetric"};
};

struct Launch {
    LaunchMode mode = LaunchMode::threads;
    int gpus = 1;  ///< that one host thread launches for
    friend auto operator<=>(Launch const&, Launch const&) = default;
};

/// Bytes of a stored element with its share of the scales: one for 128 elements (fp8_block, FP32),
/// 32 (mxfp8, 8 bits) or 16 (nvfp4, 8 bits).
constexpr double stored_bytes(Precision precision) {
    switch (precision) {
        case Precision::bf16: return 2;
        case Precision::fp8: return 1;
        case Precision::fp8_block: return 1 + 4.0 / 128;
        case Precision::mxfp8: return 1 + 1.0 / 32;
        case Precision::nvfp4: return 0.5 + 1.0 / 16;
    }
    return 2;
}

/// One GEMM: (m x k) times (k x n). The kernel tables' FP8 and FP4 times quantise the left operand
/// on the way; with `operands_ready` both are in the GEMM's precision already. `groups` of them, of
/// equal shape, run as one grouped GEMM.
struct Gemm {
    Precision precision = Precision::bf16;
    std::int64_t m = 1, n = 1, k = 1;
    bool operands_ready = false;
    std::int64_t groups = 1;
    /// Of the right operand where it is kept in fewer bits and widened on the way (weight-only
    /// quantisation): what HBM and L2 deliver.
    std::optional<Precision> weights = std::nullopt;
    friend auto operator<=>(Gemm const&, Gemm const&) = default;
};

/// Attention of one GPU: `batch` sequences, `query_tokens` new tokens each over `kv_tokens` keys
/// (the new ones included); causal masks the upper triangle. `kv_precision` is that of the cache
/// where it is not the arithmetic's.
struct Attention {
    Precision precision = Precision::bf16;
    std::int64_t batch = 1, query_tokens = 1, kv_tokens = 1;
    int heads = 1, kv_heads = 1, head_dim = 128;
    bool causal = true;
    bool backward = false;
    /// The kernel by itself: rotation and the cache's new keys are kernels of their own, as in
    /// training, and not its time.
    bool alone = false;
    std::optional<Precision> kv_precision = std::nullopt;
    [[nodiscard]] Precision cache() const { return kv_precision.value_or(precision); }
    friend auto operator<=>(Attention const&, Attention const&) = default;
};

/// Elementwise or copy kernels: HBM bytes read plus written, in `kernels` launches.
struct MemoryTraffic {
    Bytes traffic;
    std::int64_t kernels = 1;
    friend auto operator<=>(MemoryTraffic const&, MemoryTraffic const&) = default;
};

/// A collective on a named branch (row of sim/collective's algorithm table). `size` is the full
/// buffer as nccl-tests counts it; see sim/collective for who chooses the branch.
struct Collective {
    CollectiveOp op = CollectiveOp::all_reduce;
    std::uint8_t algorithm = 0;  ///< row of collective_algorithms
    Bytes size;
    int bytes_per_element = 2;
    GroupShape shape;
    Launch launch{};
    friend auto operator<=>(Collective const&, Collective const&) = default;
};

/// The three kernels around a layer of experts: routes counted and exchanged, tokens sent to the
/// ranks of their experts, results back and summed.
enum class MoeStep : std::uint8_t { prepare, dispatch, combine };
template <>
struct EnumNames<MoeStep> {
    static constexpr std::array words{"prepare", "dispatch", "combine"};
};

/// Who moves the tokens over NVLink: a sender and a receiver with a queue between them, or the
/// sender alone, straight into the receiver's memory.
enum class MoeTransport : std::uint8_t { two_sided, one_sided };
template <>
struct EnumNames<MoeTransport> {
    static constexpr std::array words{"two_sided", "one_sided"};
};

/// One MoE exchange of `tokens` tokens a GPU in an expert-parallel group `shape`, balanced routing:
/// each token goes once to every rank that holds some of its `top_k` experts.
struct MoeExchange {
    MoeStep step = MoeStep::dispatch;
    MoeTransport transport = MoeTransport::two_sided;
    Precision precision = Precision::bf16;  ///< of what travels
    std::int64_t tokens = 1, hidden = 1;
    int top_k = 1, experts = 1;
    GroupShape shape;
    friend auto operator<=>(MoeExchange const&, MoeExchange const&) = default;
};

using Query = std::variant<Gemm, Attention, MemoryTraffic, Collective, MoeExchange>;

/// How well the calibration supports a prediction, best first.
enum class BasisKind : std::uint8_t { on_grid, interpolated, extrapolated, datasheet };
template <>
struct EnumNames<BasisKind> {
    static constexpr std::array words{"on-grid", "interpolated", "extrapolated", "datasheet"};
};

/// Extrapolation names its axis and side ("gemm m above 16384"); otherwise `why` is empty or says
/// what datasheet figure stood in.
struct Basis {
    BasisKind kind = BasisKind::datasheet;
    std::string why;
};

/// Time of one query alone: `time` in all, of which `bandwidth_part` moves data (shared where
/// paths meet) and the rest is latency. Rounded once, here.
struct Cost {
    Picoseconds time;
    Picoseconds bandwidth_part;
    Basis basis;
};

}  // namespace nvl72
