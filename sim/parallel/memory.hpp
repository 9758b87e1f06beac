#pragma once

#include "sim/base/table.hpp"
#include "sim/base/units.hpp"
#include "sim/model/architecture.hpp"
#include "sim/model/operators.hpp"
#include "sim/parallel/layout.hpp"

#include <array>
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
    double offload = 0;              ///< share of what layers keep that waits in the CPU's memory
    double kept_input_bytes = 2;     ///< per element of a block matrix's kept input; FP8: 1
    Bytes communication_buffers{0};  ///< per GPU: NCCL channels, gathered buckets
    Bytes framework{0};              ///< per GPU: CUDA context, kernels, allocator's own
    double fragmentation = 0;        ///< of all but `framework`, 0 .. 1
};

/// Peak bytes of one GPU of a stage, by owner.
struct Memory {
    int stage = 0;
    Bytes weights, gradients, optimizer, activations, logits, communication, framework,
        fragmentation;
    Bytes offloaded;  ///< of its activations, in the CPU's memory: no part of the total

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
};
StageActivations stage_activations(Parallel const& parallel,
                                   Architecture const& architecture,
                                   MemoryPolicy const& policy,
                                   int stage);

/// What one GPU of a stage has to hold.
struct StageNeeds {
    StageParameters held;
    double in_flight = 0;  ///< bytes kept of all micro-batches in flight (peak_in_flight)
    double offloaded = 0;  ///< the same, of what waits in the CPU's memory
    double beside = 0, logits = 0;
};

/// Memory by what a chunk holds, for all layouts that cut a layer and a micro-batch alike: looked
/// up once, then added up. `parallel` outlives it; of it tp, cp, ep, the micro-batch and the
/// sequence count.
class ChunkMemory {
public:
    struct Holding {
        LayerCounts layers{};
        bool embedding = false, head = false;
    };
    /// Of one micro-batch, where it is about activations.
    struct Part {
        StageParameters parameters;
        double kept = 0, again = 0, offloaded = 0;  ///< bytes, as StageActivations has them
        double redone = 0, streaming = 0;           ///< largest of them: beside what is in flight
        bool embedding = false, head = false;
    };

    ChunkMemory(Parallel const& parallel, Architecture const& a, MemoryPolicy const& policy);

    /// Of one chunk, without a tied output layer's copy.
    static StageParameters parameters(Parallel const& parallel,
                                      Architecture const& whole,
                                      Holding const& held);
    [[nodiscard]] Part of(Holding const& held) const;
    /// Of the stage that holds these chunks, in order; what is in flight is left to the caller.
    [[nodiscard]] StageNeeds stage(std::vector<Part const*> const& chunks) const;

private:
    Parallel const& parallel_;
    Architecture whole_;
    MemoryPolicy const& policy_;
    std::array<double, layer_kinds.size()> saved_, layer_;
    double embedding_ = 0, mtp_ = 0, logits_ = 0;
};

/// `layers`: of the whole model.
Memory memory_from(Parallel const& parallel,
                   int layers,
                   MemoryPolicy const& policy,
                   int stage,
                   StageNeeds const& needs);

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
