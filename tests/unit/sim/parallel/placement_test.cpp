#include "sim/parallel/placement.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

Parallel parallel(int tp, int cp, std::int64_t dp, int pp) {
    Parallel p;
    p.tp = tp;
    p.cp = cp;
    p.dp = dp;
    p.pp = pp;
    p.gpus = std::int64_t{tp} * cp * dp * pp;
    return p;
}

std::vector<std::uint32_t> ranks(std::vector<RankId> const& members) {
    std::vector<std::uint32_t> values;
    for (auto const rank : members) values.push_back(rank.value);
    return values;
}

// tp 2, cp 2, dp 3, pp 2 on 24 GPUs. Strides 1, 2, 4, 12.
// Rank 17 = 1 + 0 x 2 + 1 x 4 + 1 x 12.
TEST(ProcessGroups, PutTensorParallelRanksSideBySide) {
    auto const p = parallel(2, 2, 3, 2);
    RankId const rank{17};
    EXPECT_EQ(coordinates_of(p, rank), (RankCoordinates{.tp = 1, .cp = 0, .dp = 1, .pp = 1}));
    auto const groups = process_groups(p);
    EXPECT_EQ(ranks(groups.tp.members_of(rank)), (std::vector<std::uint32_t>{16, 17}));
    EXPECT_EQ(ranks(groups.cp.members_of(rank)), (std::vector<std::uint32_t>{17, 19}));
    EXPECT_EQ(ranks(groups.dp.members_of(rank)), (std::vector<std::uint32_t>{13, 17, 21}));
    EXPECT_EQ(ranks(groups.pp.members_of(rank)), (std::vector<std::uint32_t>{5, 17}));
    EXPECT_EQ(ranks(groups.dp_cp.members_of(rank)),
              (std::vector<std::uint32_t>{13, 15, 17, 19, 21, 23}));
    EXPECT_EQ(first_rank_of_stage(p, 1), RankId{12});
}

// The same 24 GPUs with expert_tp 2, ep 3: a stage of 12 holds all experts twice. Experts are laid
// over the stage's ranks anew: strides 1, 2, 6, whatever tp and cp are. fsdp 3 shards over half of
// the 6 data and context ranks, stride tp.
TEST(ProcessGroups, LayExpertsOverAStagesRanksAnew) {
    auto p = parallel(2, 2, 3, 2);
    p.ep = 3;
    p.expert_tp = 2;
    p.expert_dp = 2;
    p.fsdp = 3;
    RankId const rank{17};
    auto const groups = process_groups(p);
    EXPECT_EQ(groups.ep, (GroupPattern{3, 2}));
    EXPECT_EQ(ranks(groups.expert_tp.members_of(rank)), (std::vector<std::uint32_t>{16, 17}));
    EXPECT_EQ(ranks(groups.ep.members_of(rank)), (std::vector<std::uint32_t>{13, 15, 17}));
    EXPECT_EQ(ranks(groups.expert_dp.members_of(rank)), (std::vector<std::uint32_t>{17, 23}));
    EXPECT_EQ(ranks(groups.fsdp.members_of(rank)), (std::vector<std::uint32_t>{13, 15, 17}));
    EXPECT_EQ(ranks(groups.fsdp.members_of(RankId{22})), (std::vector<std::uint32_t>{18, 20, 22}));
    // Without expert_tp the ranks of one expert-parallel group are neighbours, across tp.
    p.expert_tp = 1;
    p.expert_dp = 4;
    auto const whole = process_groups(p);
    EXPECT_EQ(ranks(whole.ep.members_of(rank)), (std::vector<std::uint32_t>{15, 16, 17}));
    EXPECT_EQ(ranks(whole.expert_dp.members_of(rank)),
              (std::vector<std::uint32_t>{14, 17, 20, 23}));
}

// The same 24 GPUs in other orders. tp last: cp 2, dp 3, tp 2 with strides 1, 2, 6 on a stage.
TEST(ProcessGroups, FollowTheOrderOfTheLayout) {
    auto p = parallel(2, 2, 3, 2);
    p.order = {Axis::cp, Axis::ep, Axis::dp, Axis::tp, Axis::pp};
    auto const groups = process_groups(p);
    EXPECT_EQ(groups.cp, (GroupPattern{2, 1}));
    EXPECT_EQ(groups.dp, (GroupPattern{3, 2}));
    EXPECT_EQ(groups.dp_cp, (GroupPattern{6, 1}));
    EXPECT_EQ(groups.tp, (GroupPattern{2, 6}));
    EXPECT_EQ(groups.pp, (GroupPattern{2, 12}));
    for (std::int64_t r = 0; r < p.gpus; ++r) EXPECT_EQ(gpu_of(p, r), r);  // pp last
    // Experts take tp's place for expert_tp: ep 3, expert_dp 2, expert_tp 2.
    p.ep = 3;
    p.expert_tp = 2;
    p.expert_dp = 2;
    EXPECT_EQ(process_groups(p).ep, (GroupPattern{3, 1}));
    EXPECT_EQ(process_groups(p).expert_dp, (GroupPattern{2, 3}));
    EXPECT_EQ(process_groups(p).expert_tp, (GroupPattern{2, 6}));
}

// Megatron's --use-tp-pp-dp-mapping: tp 2, cp 2, then the 2 stages, then dp 3. Rows of 4 GPUs
// alternate between the stages: stage 1 has GPUs 4-7, 12-15, 20-23.
TEST(ProcessGroups, StagesMayLieBetweenReplicas) {
    auto p = parallel(2, 2, 3, 2);
    p.order = {Axis::tp, Axis::cp, Axis::ep, Axis::pp, Axis::dp};
    EXPECT_EQ(ranks_in_a_row(p), 4);
    std::vector<std::int64_t> stage;
    for (std::int64_t r = 12; r < 24; ++r) stage.push_back(gpu_of(p, r));
    EXPECT_EQ(stage, (std::vector<std::int64_t>{4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23}));
    std::vector<char> taken(24, 0);
    for (std::int64_t r = 0; r < 24; ++r) ++taken[static_cast<std::size_t>(gpu_of(p, r))];
    EXPECT_EQ(taken, std::vector<char>(24, 1));  // each GPU once
}

}  // namespace
}  // namespace nvl72
