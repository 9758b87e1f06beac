#include "sim/cost/collective_traffic.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

using namespace literals;

GroupShape shape_of(std::int64_t ranks, std::int64_t domains, std::int64_t fullest) {
    GroupShape shape;
    shape.ranks = ranks;
    shape.domains = domains;
    shape.ranks_per_domain = fullest;
    return shape;
}

TEST(CollectiveTraffic, RingSendsTwiceNMinusOneOverN) {
    // 8 ranks, 800 bytes: 14 sends of 100 bytes.
    auto const load = link_load(CollectiveAlgorithm::ring_simple, CollectiveOp::all_reduce, 800_B,
                                shape_of(8, 1, 8));
    EXPECT_DOUBLE_EQ(load.nvlink, 1400);
    EXPECT_DOUBLE_EQ(load.nic, 0);
    EXPECT_EQ(ring_steps(CollectiveOp::all_reduce, 8), 14);
    EXPECT_EQ(ring_steps(CollectiveOp::all_gather, 8), 7);
}

TEST(CollectiveTraffic, RingLeavesADomainOncePerChannel) {
    // 2 domains of 4: a GPU sends 1400 bytes, and is the exit of one channel in four.
    auto const load =
        link_load(CollectiveAlgorithm::ring_ll, CollectiveOp::all_reduce, 800_B, shape_of(8, 2, 4));
    EXPECT_DOUBLE_EQ(load.nic, 350);
    EXPECT_DOUBLE_EQ(load.nvlink, 1050);
    EXPECT_EQ(ring_network_steps(CollectiveOp::all_reduce, 2), 2);
}

TEST(CollectiveTraffic, RingOfOneRankADomainSendsOverItsNicAlone) {
    auto const load = link_load(CollectiveAlgorithm::ring_simple, CollectiveOp::reduce_scatter,
                                800_B, shape_of(8, 8, 1));
    EXPECT_DOUBLE_EQ(load.nvlink, 0);
    EXPECT_DOUBLE_EQ(load.nic, 700);
}

TEST(CollectiveTraffic, TheEmptiestDomainBindsTheNics) {
    // 74 GPUs are 72 and 2.
    auto const shape = shape_of(74, 2, 72);
    EXPECT_EQ(smallest_share(shape), 2);
    auto const load =
        link_load(CollectiveAlgorithm::ring_simple, CollectiveOp::all_gather, 7400_B, shape);
    EXPECT_DOUBLE_EQ(load.nic, 73 * 100 / 2.0);
}

TEST(CollectiveTraffic, NvlsSendsTheBufferAndOneShard) {
    auto const shape = shape_of(8, 1, 8);
    EXPECT_DOUBLE_EQ(
        link_load(CollectiveAlgorithm::nvls, CollectiveOp::all_reduce, 800_B, shape).nvlink, 900);
    EXPECT_DOUBLE_EQ(
        link_load(CollectiveAlgorithm::nvls, CollectiveOp::all_gather, 800_B, shape).nvlink, 800);
}

TEST(CollectiveTraffic, TreeOverDomainsSendsOneThenOneAndAHalfThenTwoBuffers) {
    auto const nic = [](std::int64_t domains) {
        return link_load(CollectiveAlgorithm::hierarchical, CollectiveOp::all_reduce, 800_B,
                         shape_of(8 * domains, domains, 8))
            .nic;
    };
    EXPECT_DOUBLE_EQ(nic(2), 100);
    EXPECT_DOUBLE_EQ(nic(3), 150);
    EXPECT_DOUBLE_EQ(nic(4), 200);
    EXPECT_DOUBLE_EQ(nic(100), 200);
}

TEST(CollectiveTraffic, EveryTreeOverDomainsLoadsTheNicsAlike) {
    auto const shape = shape_of(24, 3, 8);
    for (auto const algorithm :
         {CollectiveAlgorithm::hierarchical, CollectiveAlgorithm::tree_ll,
          CollectiveAlgorithm::tree_ll128, CollectiveAlgorithm::tree_simple}) {
        EXPECT_DOUBLE_EQ(link_load(algorithm, CollectiveOp::all_reduce, 800_B, shape).nic, 150);
    }
    // Inside, a GPU of the chain sends the buffer up, and the sum down.
    EXPECT_DOUBLE_EQ(
        link_load(CollectiveAlgorithm::tree_ll, CollectiveOp::all_reduce, 800_B, shape).nvlink,
        1600);
}

// Each of N - 1 edges carries the buffer up and down, over both trees together: no domain sends
// less than their average 2 (N - 1) / N, and none more than twice the buffer.
TEST(CollectiveTraffic, TheBusiestDomainOfATreeSendsAtLeastTheAverage) {
    for (std::int64_t domains = 2; domains < 300; ++domains) {
        double const sent = link_load(CollectiveAlgorithm::tree_simple, CollectiveOp::all_reduce,
                                      1000_B, shape_of(domains, domains, 1))
                                .nic;
        EXPECT_GE(sent, 2000.0 * static_cast<double>(domains - 1) / static_cast<double>(domains));
        EXPECT_LE(sent, 2000);
    }
}

TEST(CollectiveTraffic, TreeLevelsAreTheLogarithmRoundedDown) {
    EXPECT_EQ(tree_levels(1), 0);
    EXPECT_EQ(tree_levels(2), 1);
    EXPECT_EQ(tree_levels(3), 1);
    EXPECT_EQ(tree_levels(4), 2);
    EXPECT_EQ(tree_levels(255), 7);
    EXPECT_EQ(tree_levels(256), 8);
    EXPECT_EQ(deepest_level(1), 0);
    EXPECT_EQ(deepest_level(2), 1);
    EXPECT_EQ(deepest_level(3), 2);
    EXPECT_EQ(deepest_level(4), 2);
    EXPECT_EQ(deepest_level(10), 4);
}

TEST(CollectiveTraffic, SwitchesOfTheNetworkTakeEachBufferOnce) {
    EXPECT_DOUBLE_EQ(
        link_load(CollectiveAlgorithm::collnet, CollectiveOp::all_reduce, 800_B, shape_of(64, 8, 8))
            .nic,
        100);
}

TEST(CollectiveTraffic, ParallelTreesOfAGatherSendWhatARingSends) {
    auto const load =
        link_load(CollectiveAlgorithm::pat, CollectiveOp::all_gather, 800_B, shape_of(8, 8, 1));
    EXPECT_DOUBLE_EQ(load.nic, 700);
    EXPECT_DOUBLE_EQ(load.nvlink, 0);
}

TEST(CollectiveTraffic, AllToAllSendsOneBlockToEachPeer) {
    // 2 domains of 4, 100 bytes a peer: 3 near, 4 far.
    auto const load = link_load(CollectiveAlgorithm::alltoall_simple, CollectiveOp::alltoall, 800_B,
                                shape_of(8, 2, 4));
    EXPECT_DOUBLE_EQ(load.nvlink, 300);
    EXPECT_DOUBLE_EQ(load.nic, 400);
}

}  // namespace
}  // namespace nvl72
