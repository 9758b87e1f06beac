#pragma once

#include "sim/parallel/memory.hpp"

#include <array>
#include <vector>

namespace nvl72 {

/// What one GPU of a stage has to hold.
struct StageNeeds {
    StageParameters held;
    int layers = 0;
    double in_flight = 0;  ///< bytes kept of all micro-batches in flight (peak_in_flight)
    double offloaded = 0;  ///< the same, of what waits in the CPU's memory
    double beside = 0, temporary = 0, loss = 0;  ///< as StageActivations has them
};

/// Memory by what a chunk holds, for all layouts that cut a layer and a micro-batch alike: looked
/// up once, then added up. `parallel` and `policy` outlive it; of the first tp, cp, ep, the
/// micro-batch and the sequence count.
class ChunkMemory {
public:
    struct Holding {
        LayerCounts layers{};
        bool embedding = false, head = false;
    };
    /// Of one micro-batch, where it is about activations.
    struct Part {
        StageParameters parameters;
        int layers = 0;
        double kept = 0, again = 0, offloaded = 0;        ///< bytes, as StageActivations has them
        double redone = 0, streaming = 0, temporary = 0;  ///< of the largest layer
        bool embedding = false, head = false;
    };

    ChunkMemory(Parallel const& parallel, Architecture const& a, MemoryPolicy const& policy);

    /// Of one chunk, without a tied output layer's copy; `whole` is a divisible_architecture.
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
    std::array<double, layer_kinds.size()> saved_, layer_, temporary_{};
    double embedding_ = 0, mtp_ = 0, loss_ = 0;
};
ChunkMemory::Holding holding_of(Architecture const& a, Chunk const& chunk);

Memory memory_from(Parallel const& parallel,
                   MemoryPolicy const& policy,
                   int stage,
                   StageNeeds const& needs);

}  // namespace nvl72
