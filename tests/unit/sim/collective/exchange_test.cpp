#include "sim/collective/exchange.hpp"

#include "sim/base/error.hpp"
#include "sim/collective/collective.hpp"
#include "topology/fabric.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

using namespace literals;

Profile const& gb200() {
    static Profile const profile = load_profile(Library(NVL72_SOURCE_DIR "/configs"), "gb200");
    return profile;
}

GroupShape group_of(std::int64_t gpus, std::int64_t domain = 72) {
    ClusterChoice choice;
    choice.name = "gb200-nvl72-superpod";
    choice.gpus = gpus;
    choice.nvlink_domain = domain;
    auto const fabric = build_fabric(choice, Library(NVL72_SOURCE_DIR "/configs"));
    return fabric.shape_of(0, 1, gpus);
}

Picoseconds time_of(ExchangePlan const& plan) { return exchange_cost(gb200(), plan).time; }

TEST(Exchange, PairwiseIsNcclsAllToAll) {
    for (auto const gpus : {8, 72, 288}) {
        auto const shape = group_of(gpus);
        auto const plan = plan_collective(gb200(), CollectiveOp::alltoall, 64_MiB, shape);
        auto const exchange = pairwise_alltoall(gb200(), 64_MiB, shape);
        ASSERT_EQ(exchange.phases.size(), 1U);
        EXPECT_EQ(exchange.phases[0], plan.query);
        EXPECT_EQ(hierarchical_alltoall(gb200(), 64_MiB, group_of(72)).phases.size(), 1U);
    }
}

// 4 domains of 72, 288 MiB: 216 blocks of 1 MiB leave by the NIC either way; inside, a GPU passes
// on 71 of 72 parts of everything.
TEST(Exchange, TwoLevelsMoveWhatLeavesOnceAndMoreInside) {
    auto const shape = group_of(288);
    auto const flat = pairwise_alltoall(gb200(), 288_MiB, shape);
    auto const levels = hierarchical_alltoall(gb200(), 288_MiB, shape);
    double const mib = 1 << 20;
    EXPECT_DOUBLE_EQ(flat.load.nic, 216 * mib);
    EXPECT_DOUBLE_EQ(levels.load.nic, 216 * mib);
    EXPECT_DOUBLE_EQ(flat.load.nvlink, 71 * mib);
    EXPECT_DOUBLE_EQ(levels.load.nvlink, 284 * mib);
    ASSERT_EQ(levels.phases.size(), 2U);
    EXPECT_EQ(levels.phases[0].size, 288_MiB);
    EXPECT_EQ(levels.phases[0].shape.ranks, 4);
    EXPECT_EQ(levels.phases[1].size, 288_MiB);
    EXPECT_EQ(levels.phases[1].shape.ranks, 72);
    EXPECT_EQ(levels.phases[1].shape.domains, 1);
}

/// 1,008 far peers of little each: their start-ups outweigh the second level. Of much each the NICs
/// decide, and a second level only adds.
TEST(Exchange, LevelsWinForSmallBuffersOverManyDomains) {
    auto const shape = group_of(1152);
    EXPECT_LT(time_of(hierarchical_alltoall(gb200(), 1_MiB, shape)),
              time_of(pairwise_alltoall(gb200(), 1_MiB, shape)));
    EXPECT_GT(time_of(hierarchical_alltoall(gb200(), 8_GiB, shape)),
              time_of(pairwise_alltoall(gb200(), 8_GiB, shape)));
}

TEST(Exchange, SkewTakesTheTimeOfTheBusiest) {
    auto const shape = group_of(64);
    auto const at = [&](double zipf) {
        return time_of(moe_exchange(gb200(), {256, 8, zipf}, MoeDedup::gpu, 64_MiB, shape));
    };
    EXPECT_LT(at(0), at(0.5));
    EXPECT_LT(at(0.5), at(1));
    // Balanced it is the all-to-all that sends as many bytes.
    auto const plan = moe_exchange(gb200(), {256, 8, 0}, MoeDedup::gpu, 64_MiB, shape);
    ASSERT_EQ(plan.phases.size(), 1U);
    auto const sent = link_load(CollectiveAlgorithm::alltoall_simple, CollectiveOp::alltoall,
                                plan.phases[0].size, shape);
    EXPECT_NEAR(sent.nvlink / plan.load.nvlink, 1, 1e-6);
}

/// 16 domains of 8 GPUs, 8 experts a token: fewer domains than GPUs are hit, so that less leaves.
TEST(Exchange, DedupOfDomainsSavesNicsWhereTheyBind) {
    auto const shape = group_of(128, 8);
    MoeRouting const routing{256, 8, 0};
    auto const gpu = moe_exchange(gb200(), routing, MoeDedup::gpu, 256_MiB, shape);
    auto const domain = moe_exchange(gb200(), routing, MoeDedup::domain, 256_MiB, shape);
    EXPECT_LT(domain.load.nic, gpu.load.nic);
    EXPECT_EQ(domain.phases.size(), 2U);
    EXPECT_LT(time_of(domain), time_of(gpu));
}

TEST(Exchange, UnequalSharesAreRefused) {
    EXPECT_THROW((void)hierarchical_alltoall(gb200(), 1_MiB, group_of(100)), ConfigError);
}

}  // namespace
}  // namespace nvl72
