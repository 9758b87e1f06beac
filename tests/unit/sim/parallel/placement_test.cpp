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

}  // namespace
}  // namespace nvl72
