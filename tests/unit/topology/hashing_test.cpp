#include "topology/hashing.hpp"

#include <algorithm>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

Fabric pod_of(std::int64_t gpus, double oversubscription = 1) {
    ClusterChoice choice;
    choice.name = "hgx-h100-superpod";
    choice.gpus = gpus;
    choice.routing = Routing::ecmp;
    choice.oversubscription = oversubscription;
    return build_fabric(choice, Library(NVL72_SOURCE_DIR "/configs"));
}

/// From each box of the first scalable unit (32 boxes) to the box in its place in the second, all
/// on rail 0: one leaf sends over its 32 uplinks.
std::vector<RailFlow> between_units() {
    std::vector<RailFlow> flows;
    for (std::int64_t box = 0; box < 32; ++box) flows.push_back({box * 8, (box + 32) * 8, 0});
    return flows;
}

TEST(EcmpHashing, FlowsOfOneLeafKeepTheirNic) {
    auto const pod = pod_of(1024);
    std::vector<RailFlow> const flows{{0, 8, 0}, {8, 16, 0}, {1, 9, 0}};
    EXPECT_EQ(ecmp_shares(pod, flows, 1), (std::vector<double>{1, 1, 1}));
}

TEST(EcmpHashing, ALoneFlowKeepsItsNicAndTwoOfOneLinkHalve) {
    auto const pod = pod_of(1024);
    EXPECT_EQ(ecmp_shares(pod, std::vector<RailFlow>{{0, 512, 0}}, 1), (std::vector<double>{1}));
    // Oversubscribed 32 times a leaf has one uplink: 32 flows share it.
    auto const thin = ecmp_shares(pod_of(1024, 32), between_units(), 1);
    for (double const share : thin) EXPECT_DOUBLE_EQ(share, 1.0 / 32);
}

TEST(EcmpHashing, FlowsOfTwoLeavesMeetOnTheWayDown) {
    // One uplink a leaf. Box 0 and box 32 are alone on theirs, and share the way down to the third
    // unit's leaf.
    std::vector<RailFlow> const flows{{0, 64 * 8, 0}, {32 * 8, 65 * 8, 0}};
    EXPECT_EQ(ecmp_shares(pod_of(1024, 32), flows, 1), (std::vector<double>{0.5, 0.5}));
}

TEST(EcmpHashing, CollidesAsBallsInBins) {
    // 32 balls in 32 bins: a bin is empty with (31/32)^32 = 0.362, so that 20.4 links carry all,
    // and links times rate over flows is 0.638; over seeds the mean of the busy links' count shows
    // it.
    auto const pod = pod_of(1024);
    double busy = 0;
    constexpr int seeds = 200;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        auto const shares = ecmp_shares(pod, between_units(), seed);
        for (double const share : shares) busy += share;  // each busy link's flows sum to 1
    }
    EXPECT_NEAR(busy / seeds, 32 * (1 - 0.362), 0.5);
    EXPECT_EQ(ecmp_shares(pod, between_units(), 5), ecmp_shares(pod, between_units(), 5));
    EXPECT_NE(ecmp_shares(pod, between_units(), 5), ecmp_shares(pod, between_units(), 6));
}

/// One source: the folded factor of every cluster is adaptive routing's times the hashed mean.
TEST(EcmpHashing, TheFoldedFactorOfEveryClusterIsTheMeanOfItsHashedFlows) {
    Library const library(NVL72_SOURCE_DIR "/configs");
    for (auto const& name : library.names("clusters")) {
        auto const cluster = load_cluster(library, name, {});
        if (cluster.threads()) continue;
        auto const& factor = cluster.network.routing_factor;
        EXPECT_NEAR(factor.ecmp, factor.adaptive * ecmp_share_mean(cluster), 0.0006) << name;
    }
    // And the mean is that of the hash: a full leaf of 32 to another, 200 seeds.
    auto const pod = pod_of(1024);
    double sum = 0;
    constexpr int seeds = 200;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        for (double const share : ecmp_shares(pod, between_units(), seed)) sum += share;
    }
    EXPECT_NEAR(sum / seeds / 32, ecmp_share_mean(pod.cluster()), 0.01);
    EXPECT_NEAR(ecmp_share_mean(pod.cluster()), 0.638, 0.001);
}

TEST(EcmpHashing, ARingsDomainIsAsSlowAsItsSlowestFlow) {
    auto const pod = pod_of(1024);
    auto const shape = pod.shape_of(0, 1, 1024);
    auto const shares = ring_ecmp_shares(pod, shape, 1);
    ASSERT_EQ(shares.size(), 128U);
    // Only every 32nd box sends to another leaf: one flow a rail, alone on its uplink; but two
    // units never meet on one leaf's way down.
    for (std::size_t box = 0; box < shares.size(); ++box)
        EXPECT_DOUBLE_EQ(shares[box], 0.95) << box;
}

TEST(EcmpHashing, RacksOfOneLeafEachCollide) {
    ClusterChoice choice;
    choice.name = "gb200-nvl72-superpod";
    choice.gpus = 144;
    choice.routing = Routing::ecmp;
    auto const racks = build_fabric(choice, Library(NVL72_SOURCE_DIR "/configs"));
    auto const shares = ring_ecmp_shares(racks, racks.shape_of(0, 1, 144), 1);
    // 18 flows of a rail over 18 uplinks: two of them meet almost surely.
    ASSERT_EQ(shares.size(), 2U);
    for (double const share : shares) {
        EXPECT_LE(share, 0.95 / 2);
        EXPECT_GE(share, 0.95 / 18);
    }
}

}  // namespace
}  // namespace nvl72
