#include "sim/parallel/placement.hpp"

#include "sim/base/error.hpp"

namespace nvl72 {

RankId GroupPattern::first_of(RankId rank) const {
    return RankId{static_cast<std::uint32_t>(rank.value - index_of(rank) * stride)};
}

std::vector<RankId> GroupPattern::members_of(RankId rank) const {
    std::vector<RankId> members;
    std::int64_t const first = first_of(rank).value;
    for (std::int64_t i = 0; i < count; ++i) {
        members.emplace_back(static_cast<std::uint32_t>(first + i * stride));
    }
    return members;
}

ProcessGroups process_groups(Parallel const& parallel) {
    std::int64_t const tp = parallel.tp;
    std::int64_t const cp = parallel.cp;
    ProcessGroups groups;
    groups.tp = {tp, 1};
    groups.cp = {cp, tp};
    groups.dp = {parallel.dp, tp * cp};
    groups.dp_cp = {cp * parallel.dp, tp};
    groups.fsdp = {parallel.fsdp, tp};
    groups.expert_tp = {parallel.expert_tp, 1};
    groups.ep = {parallel.ep, parallel.expert_tp};
    groups.expert_dp = {parallel.expert_dp, std::int64_t{parallel.ep} * parallel.expert_tp};
    groups.pp = {parallel.pp, tp * cp * parallel.dp};
    return groups;
}

RankCoordinates coordinates_of(Parallel const& parallel, RankId rank) {
    NVL72_EXPECT(rank.value < parallel.gpus, "a rank is one of the job's GPUs");
    ProcessGroups const groups = process_groups(parallel);
    return {groups.tp.index_of(rank), groups.cp.index_of(rank), groups.dp.index_of(rank),
            groups.pp.index_of(rank)};
}

RankId rank_of(Parallel const& parallel, RankCoordinates const& at) {
    ProcessGroups const groups = process_groups(parallel);
    NVL72_EXPECT(at.tp < groups.tp.count && at.cp < groups.cp.count && at.dp < groups.dp.count &&
                     at.pp < groups.pp.count,
                 "coordinates lie inside their dimensions");
    std::int64_t const rank = at.tp * groups.tp.stride + at.cp * groups.cp.stride +
                              at.dp * groups.dp.stride + at.pp * groups.pp.stride;
    return RankId{static_cast<std::uint32_t>(rank)};
}

RankId first_rank_of_stage(Parallel const& parallel, int stage) {
    return rank_of(parallel, {.pp = stage});
}

}  // namespace nvl72
