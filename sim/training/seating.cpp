#include "sim/training/seating.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

namespace nvl72 {

namespace {

/// Groups of one dimension that share a class cost what the slowest of them does.
bool slower(GroupShape const& a, GroupShape const& b) {
    auto const key = [](GroupShape const& shape) {
        return std::tuple(shape.domains, -shape.in_domain.count, -shape.per_gpu_nic.count,
                          shape.network_tiers);
    };
    return key(a) > key(b);
}

RankId rank(std::int64_t number) { return RankId{static_cast<std::uint32_t>(number)}; }

class Seater {
public:
    Seater(Parallel const& parallel, Fabric const& fabric)
        : parallel_(parallel), fabric_(fabric), groups_(process_groups(parallel)) {}

    [[nodiscard]] std::vector<ReplicaColumn> columns(bool fold) const;
    [[nodiscard]] std::array<GroupShape, shard_groups> shards(int stage) const;

private:
    [[nodiscard]] std::int64_t ranks_per_stage() const { return parallel_.gpus / parallel_.pp; }
    [[nodiscard]] StageLinks of(int stage, std::int64_t begin, std::int64_t ranks) const;
    [[nodiscard]] GroupShape slowest(int stage,
                                     GroupPattern const& pattern,
                                     std::int64_t begin,
                                     std::int64_t ranks) const;
    [[nodiscard]] GroupShape slowest_link(int stage, std::int64_t begin, std::int64_t ranks) const;
    [[nodiscard]] GroupShape holders(int stage, GroupPattern const& pattern) const;
    [[nodiscard]] GroupShape shape_of(std::int64_t first,
                                      std::int64_t stride,
                                      std::int64_t count) const;

    Parallel const& parallel_;
    Fabric const& fabric_;
    ProcessGroups groups_;
};

/// Of ranks first, first + stride, ... of one stage, which may stand in several rows.
GroupShape Seater::shape_of(std::int64_t first, std::int64_t stride, std::int64_t count) const {
    std::int64_t const row = ranks_in_a_row(parallel_);
    std::int64_t const gpu = gpu_of(parallel_, first);
    if (first % row + stride * (count - 1) < row) return fabric_.shape_of(gpu, stride, count);
    if (stride % row == 0) return fabric_.shape_of(gpu, stride * parallel_.pp, count);
    std::vector<RankId> ranks;
    for (std::int64_t i = 0; i < count; ++i)
        ranks.push_back(rank(gpu_of(parallel_, first + i * stride)));
    return fabric_.shape_of(ranks);
}

/// Of the groups of `pattern` that `ranks` ranks from `begin` on make up.
GroupShape Seater::slowest(int stage,
                           GroupPattern const& pattern,
                           std::int64_t begin,
                           std::int64_t ranks) const {
    std::int64_t const first = first_rank_of_stage(parallel_, stage).value + begin;
    std::int64_t const span = pattern.stride * pattern.count;
    if (pattern.count == 1) return shape_of(first, pattern.stride, 1);
    NVL72_EXPECT(first % span == 0 && ranks % span == 0, "blocks are whole groups");
    GroupShape worst;
    for (std::int64_t group = first; group < first + ranks; group += span) {
        for (std::int64_t at = group; at < group + pattern.stride; ++at) {
            GroupShape const shape = shape_of(at, pattern.stride, pattern.count);
            if (at == first || slower(shape, worst)) worst = shape;
        }
    }
    return worst;
}

/// The slowest pair that sends from this stage to the next (the last one to the first).
GroupShape Seater::slowest_link(int stage, std::int64_t begin, std::int64_t ranks) const {
    std::int64_t const per_stage = ranks_per_stage();
    std::int64_t const next = (stage + 1) % parallel_.pp;
    GroupShape worst;
    for (std::int64_t i = begin; i < begin + ranks; ++i) {
        auto const [low, high] = std::minmax(
            {gpu_of(parallel_, stage * per_stage + i), gpu_of(parallel_, next * per_stage + i)});
        GroupShape const shape = fabric_.shape_of(low, high - low, 2);
        if (i == begin || slower(shape, worst)) worst = shape;
    }
    return worst;
}

StageLinks Seater::of(int stage, std::int64_t begin, std::int64_t ranks) const {
    StageLinks wiring{slowest(stage, groups_.tp, begin, ranks),
                      slowest(stage, groups_.cp, begin, ranks),
                      slowest(stage, groups_.ep, begin, ranks),
                      slowest(stage, groups_.fsdp, begin, ranks),
                      {},
                      {},
                      {}};
    if (parallel_.pp > 1) wiring.next = slowest_link(stage, begin, ranks);
    std::int64_t const first = first_rank_of_stage(parallel_, stage).value + begin;
    wiring.nvlink = fabric_.nvlink_of(gpu_of(parallel_, first));
    wiring.nic = fabric_.nic_of(gpu_of(parallel_, first));
    for (std::int64_t at = first + 1; at < first + ranks; ++at) {
        wiring.nvlink = std::min(wiring.nvlink, fabric_.nvlink_of(gpu_of(parallel_, at)));
        wiring.nic = std::min(wiring.nic, fabric_.nic_of(gpu_of(parallel_, at)));
    }
    return wiring;
}

std::vector<ReplicaColumn> Seater::columns(bool fold) const {
    std::int64_t block = 1;  // the fewest ranks in a row that are whole groups
    for (GroupPattern const& group :
         {groups_.tp, groups_.cp, groups_.ep, groups_.expert_tp, groups_.fsdp}) {
        if (group.count > 1) block = std::lcm(block, group.stride * group.count);
    }
    std::vector<ReplicaColumn> columns;
    std::map<std::vector<StageLinks>, std::size_t> seen;
    for (std::int64_t begin = 0; begin < ranks_per_stage(); begin += block) {
        ReplicaColumn column{begin, block, {}};
        for (int stage = 0; stage < parallel_.pp; ++stage) {
            column.stages.push_back(of(stage, begin, block));
        }
        auto const [found, made] = seen.try_emplace(column.stages, columns.size());
        if (fold && !made) {
            columns[found->second].ranks += block;
            continue;
        }
        columns.push_back(std::move(column));
        if (!fold || columns.size() <= columns_max) continue;
        ReplicaColumn slowest_of_all{0, ranks_per_stage(), {}};
        for (int stage = 0; stage < parallel_.pp; ++stage) {
            slowest_of_all.stages.push_back(of(stage, 0, ranks_per_stage()));
        }
        return {slowest_of_all};
    }
    return columns;
}

/// The slowest group of `pattern` on the stage, joined with its like on the mirror stage.
GroupShape Seater::holders(int stage, GroupPattern const& pattern) const {
    if (parallel_.copies() == 1) return slowest(stage, pattern, 0, ranks_per_stage());
    std::int64_t const first = first_rank_of_stage(parallel_, stage).value;
    std::int64_t const mirror = first_rank_of_stage(parallel_, parallel_.pp - 1 - stage).value;
    GroupShape worst;
    for (std::int64_t i = 0; i < ranks_per_stage(); ++i) {
        if (pattern.index_of(rank(first + i)) != 0) continue;
        auto ranks = pattern.members_of(rank(first + i));
        auto const others = pattern.members_of(rank(mirror + i));
        ranks.insert(ranks.end(), others.begin(), others.end());
        for (RankId& each : ranks) each = rank(gpu_of(parallel_, each.value));
        GroupShape const shape = fabric_.shape_of(ranks);
        if (i == 0 || slower(shape, worst)) worst = shape;
    }
    return worst;
}

std::array<GroupShape, shard_groups> Seater::shards(int stage) const {
    std::array<GroupShape, shard_groups> shapes;
    for (auto const& [group, pattern] :
         {std::pair(dense_shards, groups_.dp_cp), std::pair(expert_shards, groups_.expert_dp)}) {
        std::int64_t const sharded = std::min(parallel_.fsdp, pattern.count);
        GroupPattern const replicas{pattern.count / sharded, pattern.stride * sharded};
        shapes.at(group) = holders(stage, replicas);
    }
    return shapes;
}

}  // namespace

Seating seat(Parallel const& parallel, Fabric const& fabric, bool fold) {
    Seater const seater(parallel, fabric);
    Seating seating{seater.columns(fold), {}};
    for (int stage = 0; stage < parallel.pp; ++stage)
        seating.shards.push_back(seater.shards(stage));
    return seating;
}

}  // namespace nvl72
