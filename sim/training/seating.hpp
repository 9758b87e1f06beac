#pragma once

#include "sim/parallel/placement.hpp"
#include "topology/fabric.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace nvl72 {

/// The links of some replicas of the model on one stage: the slowest of each kind.
struct StageLinks {
    GroupShape tp, cp, ep, fsdp;
    GroupShape next;  ///< a rank and its like on the next stage (of the last: on the first)
    BytesPerSecond nvlink, nic;
    friend auto operator<=>(StageLinks const&, StageLinks const&) = default;
};

/// Replicas of the model that are wired alike on every stage: they take the same time, and fold
/// into one class a stage.
struct ReplicaColumn {
    std::int64_t first = 0;  ///< its first rank on the first stage
    std::int64_t ranks = 0;  ///< on one stage
    std::vector<StageLinks> stages;
};

/// Parameters by the ranks that hold the same ones: all data-parallel ranks, or fewer of experts.
enum ShardGroup : std::uint8_t { dense_shards, expert_shards };
inline constexpr std::size_t shard_groups = 2;

/// Where a job's groups lie on a fabric. Ranks that talk within a turn are looked at together, in
/// blocks; what joins blocks are gradients and parameters alone.
struct Seating {
    std::vector<ReplicaColumn> columns;
    /// By stage: the slowest group that sums the same gradients, on the mirror stage too where that
    /// holds a copy of the model. With FSDP the replicas of a shard.
    std::vector<std::array<GroupShape, shard_groups>> shards;
};

/// Blocks wired alike together; `fold` false: every block for itself. Where more than `columns_max`
/// differ, one column that has the slowest of all on each stage.
Seating seat(Parallel const& parallel, Fabric const& fabric, bool fold = true);
inline constexpr std::size_t columns_max = 16;

}  // namespace nvl72
