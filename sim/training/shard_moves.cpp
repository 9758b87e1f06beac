#include "sim/training/shard_moves.hpp"

#include <algorithm>
#include <cmath>

namespace nvl72 {

namespace {

ShardMove move_of(CollectiveOp op, std::int64_t parameters, double bytes_each) {
    return {op, Bytes{std::llround(static_cast<double>(parameters) * bytes_each)}};
}

}  // namespace

ShardMoves shard_moves(Parallel const& parallel,
                       Recipe const& recipe,
                       PrecisionPolicy const& precision,
                       StageParameters const& own) {
    ShardMoves moves;
    if (!recipe.trains_weights) return moves;
    StatePolicy const& state = recipe.state;
    for (auto const group : {dense_shards, expert_shards}) {
        std::int64_t const parameters = group == dense_shards ? own.dense() : own.experts;
        if (parallel.fsdp > 1) {
            std::int64_t const holders =
                group == dense_shards ? parallel.dp * parallel.cp : parallel.expert_dp;
            moves.reduce.at(group) =
                move_of(CollectiveOp::all_reduce, parameters / std::min(parallel.fsdp, holders),
                        state.gradient_bytes);
            continue;
        }
        bool const sharded = state.distributed_optimizer;
        moves.reduce.at(group) =
            move_of(sharded ? CollectiveOp::reduce_scatter : CollectiveOp::all_reduce, parameters,
                    state.gradient_bytes);
        if (sharded)
            moves.gather.at(group) =
                move_of(CollectiveOp::all_gather, parameters, precision.parameter_gather_bytes);
    }
    return moves;
}

Bytes optimizer_traffic(Parallel const& parallel, Recipe const& recipe, StageParameters held) {
    if (!recipe.trains_weights) held = {0, 0, 1};
    // Ranks that the optimizer of parameters held by so many is spread over.
    auto const spread = [&](std::int64_t holders) {
        bool const all = recipe.state.distributed_optimizer;
        return static_cast<double>(all ? holders : std::min(holders, parallel.fsdp));
    };
    double const own =
        static_cast<double>(held.dense()) / spread(parallel.dp * parallel.cp * parallel.copies()) +
        static_cast<double>(held.experts) / spread(parallel.expert_dp * parallel.copies());
    return Bytes{std::llround(std::max(1.0, own * recipe.optimizer_traffic_bytes))};
}

Bytes sent_activations(Parallel const& parallel, Architecture const& model) {
    std::int64_t const width =
        parallel.sequence_parallel ? model.hidden / parallel.tp : model.hidden;
    return Bytes{parallel.tokens_per_micro_batch() * width * 2};
}

double gpus_per_cpu(ClusterSpec const& cluster) {
    return static_cast<double>(cluster.gpus_per_tray) / std::max(1, cluster.host.cpus);
}

BytesPerSecond host_bandwidth(ClusterSpec const& cluster) {
    return cluster.host.cpu_gpu_bandwidth / gpus_per_cpu(cluster);
}

Picoseconds offload_time(ClusterSpec const& cluster, double bytes) {
    return from_seconds(bytes / host_bandwidth(cluster).count);
}

}  // namespace nvl72
