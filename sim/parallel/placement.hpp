#pragma once

#include "sim/base/ids.hpp"
#include "sim/parallel/layout.hpp"

#include <cstdint>
#include <vector>

namespace nvl72 {

/// Where a rank stands in each dimension.
struct RankCoordinates {
    std::int64_t tp = 0, cp = 0, dp = 0, pp = 0;
    friend bool operator==(RankCoordinates const&, RankCoordinates const&) = default;
};

/// A process group: `count` ranks, `stride` apart. The ranks of a job split into equal groups.
struct GroupPattern {
    std::int64_t count = 1;
    std::int64_t stride = 1;

    [[nodiscard]] std::int64_t index_of(RankId rank) const { return rank.value / stride % count; }
    /// The first member of the group `rank` is in.
    [[nodiscard]] RankId first_of(RankId rank) const;
    /// All members of that group, in group order.
    [[nodiscard]] std::vector<RankId> members_of(RankId rank) const;
    friend bool operator==(GroupPattern const&, GroupPattern const&) = default;
};

/// The process groups of a job, over ranks numbered stage by stage. Within one, tp, cp and dp
/// follow each other as the layout's order has them (Megatron's default tp-cp-ep-dp-pp: tensor
/// parallel ranks are neighbours). Experts are laid out over the same ranks anew: expert_tp in tp's
/// place of the order, ep in its own, and what is left of the stage in dp's.
struct ProcessGroups {
    GroupPattern tp, cp, dp, pp;
    GroupPattern dp_cp;  ///< gradients are summed, and ZeRO shards, over both
    GroupPattern fsdp;   ///< neighbours of dp_cp that shard all state
    GroupPattern ep;     ///< the ranks that hold all experts together
    GroupPattern expert_tp;
    GroupPattern expert_dp;  ///< ranks of a stage with the same experts
};

ProcessGroups process_groups(Parallel const& parallel);

RankCoordinates coordinates_of(Parallel const& parallel, RankId rank);
RankId rank_of(Parallel const& parallel, RankCoordinates const& at);

/// The ranks of stage `stage` are one contiguous run; this is its first.
RankId first_rank_of_stage(Parallel const& parallel, int stage);

/// Neighbours on one stage that are neighbours on the machine, too: all of the stage where pp comes
/// last in the order.
std::int64_t ranks_in_a_row(Parallel const& parallel);

/// The GPU of the job that a rank runs on, which is Megatron's number of it: the rank itself where
/// pp comes last in the order.
std::int64_t gpu_of(Parallel const& parallel, std::int64_t rank);

}  // namespace nvl72
