#pragma once

#include "sim/cost/query.hpp"
#include "sim/parallel/memory.hpp"
#include "sim/training/recipe.hpp"
#include "sim/training/seating.hpp"

#include <array>

namespace nvl72 {

/// A data-parallel collective over the ranks that hold the same parameters; no bytes: none.
struct ShardMove {
    CollectiveOp op = CollectiveOp::reduce_scatter;
    Bytes size;
};

/// What a step moves of one chunk's gradients and parameters, by ShardGroup. FSDP moves them with
/// every layer; what is left are the replicas of a shard.
struct ShardMoves {
    std::array<ShardMove, shard_groups> reduce, gather;
};
ShardMoves shard_moves(Parallel const& parallel,
                       Recipe const& recipe,
                       PrecisionPolicy const& precision,
                       StageParameters const& own);

/// HBM traffic of the optimizer of a stage that holds these parameters.
Bytes optimizer_traffic(Parallel const& parallel, Recipe const& recipe, StageParameters held);

/// Activations of one micro-batch that a stage sends to the next.
Bytes sent_activations(Parallel const& parallel, Architecture const& model);

/// Of a CPU's memory and its link, what falls to one of its GPUs.
double gpus_per_cpu(ClusterSpec const& cluster);
BytesPerSecond host_bandwidth(ClusterSpec const& cluster);
/// Of what a forward sends to the CPU's memory, or what comes back from it, alone on the link.
Picoseconds offload_time(ClusterSpec const& cluster, double bytes);

}  // namespace nvl72
