#include "sim/parallel/placement.hpp"

#include "sim/base/error.hpp"

#include <algorithm>

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

namespace {

/// A stage's axes as groups, each with the size it has for the attention and dense layers, or for
/// the experts.
struct StageAxes {
    GroupPattern tp, cp, ep, dp;
};

StageAxes in_order(
    AxisOrder const& order, std::int64_t tp, std::int64_t cp, std::int64_t ep, std::int64_t dp) {
    StageAxes axes;
    std::int64_t stride = 1;
    auto const take = [&](GroupPattern& group, std::int64_t count) {
        group = {count, stride};
        stride *= count;
    };
    for (Axis const axis : order) {
        switch (axis) {
            case Axis::tp: take(axes.tp, tp); break;
            case Axis::cp: take(axes.cp, cp); break;
            case Axis::ep: take(axes.ep, ep); break;
            case Axis::dp: take(axes.dp, dp); break;
            case Axis::pp: break;
        }
    }
    return axes;
}

/// Two groups that follow each other, as one.
GroupPattern joined(GroupPattern const& a, GroupPattern const& b) {
    if (a.count == 1) return {b.count, b.stride};
    if (b.count == 1) return a;
    auto const& [near, far] = std::minmax(
        a, b, [](auto const& one, auto const& other) { return one.stride < other.stride; });
    NVL72_EXPECT(near.stride * near.count == far.stride, "groups that are joined are neighbours");
    return {near.count * far.count, near.stride};
}

}  // namespace

ProcessGroups process_groups(Parallel const& parallel) {
    auto const dense = in_order(parallel.order, parallel.tp, parallel.cp, 1, parallel.dp);
    auto const expert =
        in_order(parallel.order, parallel.expert_tp, 1, parallel.ep, parallel.expert_dp);
    ProcessGroups groups;
    groups.tp = dense.tp;
    groups.cp = dense.cp;
    groups.dp = dense.dp;
    groups.dp_cp = joined(dense.cp, dense.dp);
    groups.fsdp = {parallel.fsdp, groups.dp_cp.stride};
    groups.expert_tp = expert.tp;
    groups.ep = expert.ep;
    groups.expert_dp = expert.dp;
    groups.pp = {parallel.pp, std::int64_t{parallel.tp} * parallel.cp * parallel.dp};
    return groups;
}

std::int64_t ranks_in_a_row(Parallel const& parallel) {
    std::int64_t row = 1;
    for (Axis const axis : parallel.order) {
        if (axis == Axis::pp) return row;
        if (axis == Axis::tp) row *= parallel.tp;
        if (axis == Axis::cp) row *= parallel.cp;
        if (axis == Axis::dp) row *= parallel.dp;
    }
    return row;
}

std::int64_t gpu_of(Parallel const& parallel, std::int64_t rank) {
    std::int64_t const row = ranks_in_a_row(parallel);
    std::int64_t const per_stage = parallel.gpus / parallel.pp;
    std::int64_t const stage = rank / per_stage, own = rank % per_stage;
    return (own / row * parallel.pp + stage) * row + own % row;
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
