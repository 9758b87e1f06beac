#pragma once

#include "sim/base/table.hpp"
#include "sim/base/units.hpp"
#include "sim/model/architecture.hpp"
#include "sim/model/operators.hpp"
#include "sim/parallel/layout.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace nvl72 {

/// What the training software keeps per parameter and per activation. A recipe fills it in; bytes
/// are per parameter unless said otherwise.
struct MemoryPolicy {
    double weight_bytes = 2;      ///< blocks' matrices, FP8 copies included; other weights: 2, BF16
    double gradient_bytes = 4;    ///< the accumulation buffer
    double optimizer_bytes = 12;  ///< fp32 master weight and Adam's two moments
    bool shard_optimizer = true;  ///< over dp x cp (Megatron's distributed optimizer, ZeRO-1)
    bool shard_gradients = false;        ///< over dp x cp (ZeRO-2)
    bool full_recompute = false;         ///< keep each layer's input only, and redo one layer
    std::vector<std::string> recompute;  ///< operators whose kept bytes are made again
    double kept_input_bytes = 2;         ///< per element of a block matrix's kept input; FP8: 1
    Bytes communication_buffers{0};      ///< per GPU: NCCL channels, gathered buckets
    Bytes framework{0};                  ///< per GPU: CUDA context, kernels, allocator's own
    double fragmentation = 0;            ///< of all but `framework`, 0 .. 1
};

/// Peak bytes of one GPU of a stage, by owner.
struct Memory {
    int stage = 0;
    Bytes weights, gradients, optimizer, activations, logits, communication, framework,
        fragmentation;

    [[nodiscard]] Bytes total() const;
};

/// Parameters that one GPU of a stage holds, tp and ep applied.
struct StageParameters {
    std::int64_t matrices = 0;  ///< of blocks, routed experts aside; FP8 where the recipe says so
    std::int64_t experts = 0;   ///< of routed experts; sharded over fewer ranks than the rest
    std::int64_t others = 0;    ///< norms, routers, embedding, head

    [[nodiscard]] std::int64_t dense() const { return matrices + others; }
    [[nodiscard]] std::int64_t total() const { return dense() + experts; }
    StageParameters& operator+=(StageParameters const& more);
};
/// Of one chunk, without a tied output layer's copy; `whole` is a divisible_architecture.
StageParameters chunk_parameters(Parallel const& parallel,
                                 Architecture const& whole,
                                 Chunk const& chunk);
StageParameters stage_parameters(Parallel const& parallel,
                                 Architecture const& architecture,
                                 int stage);

/// Bytes an operator keeps for the backward pass of one micro-batch on one GPU, tp and cp applied.
double saved_bytes(Operator const& op, Parallel const& parallel);

/// Largest sum of bytes kept by forward passes that await their backward, in 1F1B (vp = 1) or
/// interleaved 1F1B, when a forward of virtual chunk v keeps `bytes_of_chunk[v]`. With equal chunks
/// that is (pp - s), or 2 (pp - s - 1) + (vp - 1) pp + 1, times one chunk.
double peak_in_flight(Parallel const& parallel,
                      int stage,
                      std::vector<double> const& bytes_of_chunk);

Memory memory_of(Parallel const& parallel,
                 Architecture const& architecture,
                 MemoryPolicy const& policy,
                 int stage);

/// The stage that needs most.
Memory worst_memory(Parallel const& parallel,
                    Architecture const& architecture,
                    MemoryPolicy const& policy);

/// Who owns each GiB.
Table memory_table(Memory const& memory);

/// Throws DoesNotFit, with the table, when `memory` is more than the GPU's `capacity`.
void check_fits(Memory const& memory, Bytes capacity, Parallel const& parallel);

}  // namespace nvl72
