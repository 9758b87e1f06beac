#pragma once

#include "sim/base/table.hpp"
#include "sim/base/units.hpp"
#include "sim/model/architecture.hpp"
#include "sim/model/operators.hpp"
#include "sim/parallel/layout.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// What the training software keeps per parameter and per activation. A recipe fills it in; bytes
/// are per parameter unless said otherwise.
struct MemoryPolicy {
    double weight_bytes = 2;        ///< blocks' matrices, FP8 copies included
    double other_weight_bytes = 2;  ///< norms, routers, embedding, head
    double gathered_bytes = 2;      ///< of blocks' matrices while FSDP has them whole
    bool root_gathered = false;     ///< FSDP keeps embedding and head whole through the step
    double gradient_bytes = 4;      ///< the accumulation buffer
    double optimizer_bytes = 12;    ///< fp32 master weight and Adam's two moments
    bool shard_optimizer = true;    ///< over dp x cp (Megatron's distributed optimizer, ZeRO-1)
    bool shard_gradients = false;   ///< over dp x cp (ZeRO-2)
    bool full_recompute = false;    ///< keep each layer's input only, and redo one layer
    std::vector<std::string> recompute;  ///< operators whose kept bytes are made again
    double offload = 0;           ///< share of what layers keep that waits in the CPU's memory
    double kept_input_bytes = 2;  ///< per element of a block matrix's kept input; FP8: 1
    /// Of what the named operators' backward needs, the share that is kept; others: all.
    std::vector<std::pair<std::string, double>> kept_shares;
    /// Of a logit at the loss, gradient and temporaries included; the second where tp splits them.
    double logit_bytes = 6, split_logit_bytes = 6;
    bool keeps_gathered = false;     ///< the head's input as gathered over tp, not cut by tokens
    bool tp_in_pieces = false;       ///< what tp gathers and sums is never whole at once
    Bytes communication_buffers{0};  ///< per GPU: NCCL channels, gathered buckets
    Bytes framework{0};              ///< per GPU: CUDA context, kernels, allocator's own
    double fragmentation = 0;        ///< of all but `framework`, 0 .. 1
};

/// Peak bytes of one GPU of a stage, by owner.
struct Memory {
    int stage = 0;
    Bytes weights, gathered, gradients, optimizer, activations, temporary, logits, communication,
        framework, fragmentation;
    Bytes offloaded;  ///< of its activations, in the CPU's memory: no part of the total

    [[nodiscard]] Bytes total() const;
    /// What the framework's allocator holds: all but communication buffers and the framework's own.
    [[nodiscard]] Bytes allocated() const { return total() - communication - framework; }
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

/// Largest sum of bytes kept by forward passes that await the end of their backward, in the order
/// of the stage's turns, when a forward of its chunk c keeps `bytes_of_chunk[c]`. With equal chunks
/// of b bytes that is b times
///   gpipe        the micro-batches          1f1b      pp - s
///   interleaved  2 (pp - s - 1) + (vp - 1) pp + 1
///   zero-bubble  pp                         dualpipe  pp + 1
/// where micro-batches are enough. What waits for the gradient of its weights alone is kept too,
/// and with it `again_of_chunk`: what the gradient of its input made again or brought back.
double peak_in_flight(Parallel const& parallel,
                      int stage,
                      std::vector<double> const& bytes_of_chunk,
                      std::vector<double> const& again_of_chunk = {});

/// Bytes of one micro-batch that leave for the CPU's memory after a chunk's forward and come back
/// for its backward.
double offloaded_bytes(Parallel const& parallel,
                       Architecture const& architecture,
                       MemoryPolicy const& policy,
                       Chunk const& chunk);

/// Activations of a stage: what a forward of each of its chunks keeps on the GPU, what the gradient
/// of its input makes again or brings back, and what is there besides whatever is in flight.
struct StageActivations {
    std::vector<double> kept, again;  ///< bytes, by chunk
    std::vector<double> offloaded;
    double beside = 0;
    double temporary = 0;  ///< of one layer's forward, at once
    double loss = 0;       ///< where the head is, more than what recomputation has in its place
};
StageActivations stage_activations(Parallel const& parallel,
                                   Architecture const& architecture,
                                   MemoryPolicy const& policy,
                                   int stage);

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

/// Throws DoesNotFit, with the table, when `memory` is more than the GPU's `capacity`, or what it
/// offloads more than its share of a CPU's memory.
void check_fits(Memory const& memory, Bytes capacity, Bytes host, Parallel const& parallel);

}  // namespace nvl72
