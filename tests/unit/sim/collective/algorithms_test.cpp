#include "sim/collective/algorithms.hpp"

#include "sim/base/error.hpp"
#include "sim/collective/tuner.hpp"
#include "sim/cost/profile.hpp"
#include "topology/fabric.hpp"

#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {
namespace {

using namespace literals;

struct Machine {
    Fabric fabric;
    Profile profile;

    explicit Machine(std::string const& cluster, std::int64_t gpus) {
        Library const library(NVL72_SOURCE_DIR "/configs");
        ClusterChoice choice;
        choice.name = cluster;
        choice.gpus = gpus;
        fabric = build_fabric(choice, library);
        profile = load_profile(library, fabric.gpu().name);
    }
    [[nodiscard]] std::string chosen(CollectiveOp op,
                                     Bytes size,
                                     std::string_view forced = {},
                                     int bytes_per_element = 2) const {
        auto const plan = plan_collective(profile, op, size, fabric.shape_of(0, 1, fabric.gpus()),
                                          bytes_per_element, forced);
        return std::string(collective_algorithms()[plan.query.algorithm].name);
    }
};

TEST(CollectiveChoice, EightHopperGpusTakeLowLatencyRingsThenTheSwitches) {
    // NVIDIA (nccl-tests 309): ring to 1 MiB, then NVLS.
    Machine const box("hgx-h100", 8);
    EXPECT_EQ(box.chosen(CollectiveOp::all_reduce, 1_KiB), "ring-ll");
    EXPECT_EQ(box.chosen(CollectiveOp::all_reduce, 1_MiB), "ring-ll");
    EXPECT_EQ(box.chosen(CollectiveOp::all_reduce, 4_MiB), "nvls");
    EXPECT_EQ(box.chosen(CollectiveOp::all_gather, 1_GiB), "ring-simple");
}

TEST(CollectiveChoice, OneByteReductionsStayOnRings) {
    Machine const box("hgx-h100", 8);
    EXPECT_EQ(box.chosen(CollectiveOp::all_reduce, 1_GiB, {}, 1), "ring-simple");
    EXPECT_THROW((void)box.chosen(CollectiveOp::all_reduce, 1_GiB, "nvls", 1), ConfigError);
}

// The tree's NVLS step has no 1-byte sum either: what takes the tree with 2 bytes takes a ring.
TEST(CollectiveChoice, OneByteReductionsOverBoxesStayOnRings) {
    Machine const boxes("hgx-h100-superpod", 16);
    ASSERT_EQ(boxes.chosen(CollectiveOp::all_reduce, 4_GiB, {}, 2), "hierarchical");
    EXPECT_EQ(boxes.chosen(CollectiveOp::all_reduce, 4_GiB, {}, 1), "ring-simple");
    try {
        static_cast<void>(boxes.chosen(CollectiveOp::all_reduce, 4_GiB, "hierarchical", 1));
        FAIL() << "the switches summed bytes";
    } catch (ConfigError const& error) {
        EXPECT_NE(std::string(error.what()).find("the NVLink switches reduce no 1-byte type"),
                  std::string::npos)
            << error.what();
    }
}

// NCCL counts floor(log2 of the domains) levels up and as many down, 20.9 us each, and 25 us for
// NVLS: one byte over 2 and 3 boxes 25 + 2 x 20.9, over 4 and 7 25 + 4 x 20.9, over 8 25 + 6
// x 20.9.
TEST(CollectiveTuner, TreeOverDomainsHasTheFloorOfTheirLogarithmInLevels) {
    std::vector<std::pair<std::int64_t, double>> const expected_us{
        {2, 66.8}, {3, 66.8}, {4, 108.6}, {7, 108.6}, {8, 150.4}};
    for (auto const& [boxes, us] : expected_us) {
        Machine const machine("hgx-h100-superpod", 8 * boxes);
        auto const shape = machine.fabric.shape_of(0, 1, 8 * boxes);
        ASSERT_EQ(shape.domains, boxes);
        Choice const choice{machine.profile, CollectiveOp::all_reduce, 1_B, shape};
        EXPECT_NEAR(tuner_hierarchical(choice) * 1e6, us, 1e-3) << boxes;
    }
}

// NCCL 2.30.7 over two boxes of 8 H100, one NIC each: LL 6.8 + 2 (7 x 0.6 + 5) = 25.2 us, LL128 14
// + 2 (7 x 1.25 + 8.5) = 48.5, Simple 8.4 + 2 (7 x 4 + 14) = 92.4; over four, twice the levels.
TEST(CollectiveTuner, TreeHasTheChainsAndTheLevelsTwice) {
    auto const latencies = [](std::int64_t boxes) {
        Machine const machine("hgx-h100-superpod", 8 * boxes);
        auto const shape = machine.fabric.shape_of(0, 1, 8 * boxes);
        Choice const choice{machine.profile, CollectiveOp::all_reduce, 1_B, shape};
        return std::vector{tuner_tree_ll(choice) * 1e6, tuner_tree_ll128(choice) * 1e6,
                           tuner_tree_simple(choice) * 1e6};
    };
    auto const two = latencies(2);
    EXPECT_NEAR(two[0], 25.2, 1e-3);
    EXPECT_NEAR(two[1], 48.5, 1e-3);
    EXPECT_NEAR(two[2], 92.4, 1e-3);
    auto const four = latencies(4);
    EXPECT_NEAR(four[0], 35.2, 1e-3);
    EXPECT_NEAR(four[1], 65.5, 1e-3);
    EXPECT_NEAR(four[2], 120.4, 1e-3);
}

// 1 MiB is 2^14 times 64 B: LL128 is given 0.6 of half of 15/16 x 0.92 x 360 GB/s, 93.15 GB/s.
TEST(CollectiveTuner, TreeIsGivenAShareOfItsBandwidthByTheSize) {
    Machine const machine("hgx-h100-superpod", 16);
    auto const shape = machine.fabric.shape_of(0, 1, 16);
    Choice const choice{machine.profile, CollectiveOp::all_reduce, 1_MiB, shape};
    EXPECT_NEAR(tuner_tree_ll128(choice) * 1e6, 48.5 + 1048576 / 93.15e3, 1e-3);
}

// As two and four boxes of one InfiniBand cluster show (nccl-tests issue 309): the LL tree to a few
// hundred KiB, then LL128, then NVLS below a tree.
// NCCL's plateau: from 64 bytes a channel and rank, 16 x 16 x 64, an all-reduce over two boxes
// has 1.4 times its latency: 8.4 + 28 x 3.4 + 2 x 14 us at 1 us of overhead; an all-gather never.
TEST(CollectiveTuner, GivesFullChunksOfAnAllReduceOverBoxesMoreLatency) {
    Machine const machine("hgx-h100-superpod", 16);
    auto const shape = machine.fabric.shape_of(0, 1, 16);
    auto const latency_us = [&](CollectiveOp op, std::int64_t bytes) {
        Choice const choice{machine.profile, op, Bytes{bytes}, shape};
        double const factor = bus_factor(op, 16);
        return tuner_ring_simple(choice) * 1e6 - factor * static_cast<double>(bytes) / 360e3;
    };
    double const below = latency_us(CollectiveOp::all_reduce, 16 * 16 * 64 - 1);
    EXPECT_NEAR(below, 8.4 + 28 * 3.4 + 2 * 14, 1e-6);
    EXPECT_NEAR(latency_us(CollectiveOp::all_reduce, 16 * 16 * 64), 1.4 * below, 1e-6);
    EXPECT_NEAR(latency_us(CollectiveOp::all_gather, 16 * 16 * 64),
                latency_us(CollectiveOp::all_gather, 1024), 1e-6);
}

TEST(CollectiveChoice, BoxesTakeTreesOfMoreAndMoreBandwidth) {
    Machine const two("hgx-h100-superpod", 16);
    EXPECT_EQ(two.chosen(CollectiveOp::all_reduce, 8_B), "tree-ll");
    EXPECT_EQ(two.chosen(CollectiveOp::all_reduce, 64_KiB), "tree-ll");
    EXPECT_EQ(two.chosen(CollectiveOp::all_reduce, 1_MiB), "tree-ll128");
    EXPECT_EQ(two.chosen(CollectiveOp::all_reduce, 16_MiB), "hierarchical");
}

TEST(CollectiveChoice, OneRankADomainMayGatherByParallelTrees) {
    Machine const boxes("hgx-h100-superpod", 16);
    EXPECT_THROW((void)boxes.chosen(CollectiveOp::all_gather, 1_MiB, "pat"), ConfigError);
    GroupShape shape = boxes.fabric.shape_of(0, 8, 2);
    ASSERT_EQ(shape.ranks_per_domain, 1);
    auto const plan =
        plan_collective(boxes.profile, CollectiveOp::all_gather, 1_MiB, shape, 2, "pat");
    EXPECT_EQ(collective_algorithms()[plan.query.algorithm].name, "pat");
}

TEST(CollectiveChoice, SymmetricKernelsNeedSymmetricBuffers) {
    Machine const box("hgx-b200", 8);
    EXPECT_THROW((void)box.chosen(CollectiveOp::all_reduce, 1_KiB, "symmetric"), ConfigError);
    auto const shape = box.fabric.shape_of(0, 1, 8);
    auto const plan = plan_collective(box.profile, CollectiveOp::all_reduce, 1_KiB, shape, 2, {},
                                      {LaunchMode::symmetric, 1});
    EXPECT_EQ(collective_algorithms()[plan.query.algorithm].name, "symmetric");
    EXPECT_LT(to_microseconds(cost(box.profile, plan.query, Load::burst).time), 5);
}

TEST(CollectiveChoice, TheFabricsProtocolsAreTheOnlyOnesBetweenDomains) {
    Machine boxes("hgx-h100-superpod", 16);
    boxes.profile.collectives->network.protocols = {"simple"};
    boxes.profile.collectives->network.fabric = "tcpx";
    EXPECT_EQ(boxes.chosen(CollectiveOp::all_gather, 1_KiB), "ring-simple");
    EXPECT_THROW((void)boxes.chosen(CollectiveOp::all_gather, 1_KiB, "ring-ll"), ConfigError);
    Machine box("hgx-h100", 8);
    box.profile.collectives->network.protocols = {"simple"};
    EXPECT_EQ(box.chosen(CollectiveOp::all_gather, 1_KiB), "ring-ll");
}

TEST(CollectiveChoice, CandidatesAreEveryRowWithWhatSpeaksAgainstIt) {
    Machine const boxes("hgx-h100-superpod", 16);
    auto const shape = boxes.fabric.shape_of(0, 1, 16);
    auto const plan = plan_collective(boxes.profile, CollectiveOp::all_reduce, 1_MiB, shape);
    int chosen = 0;
    for (auto const& candidate : collective_candidates(boxes.profile, plan)) {
        chosen += candidate.chosen ? 1 : 0;
        if (candidate.chosen) {
            EXPECT_EQ(candidate.obstacle, "");
        }
        if (candidate.row->name == "pat") {
            EXPECT_EQ(candidate.obstacle, "pat does no all_reduce");
        }
        if (candidate.row->name == "collnet") {
            EXPECT_EQ(candidate.obstacle, "only when asked for");
        }
        EXPECT_EQ(candidate.cost.has_value(),
                  candidate.obstacle.empty() || candidate.obstacle == "only when asked for");
    }
    EXPECT_EQ(chosen, 1);
}

TEST(CollectiveChoice, TwoBoxesTakeTheTreeOverNvlsAndFourTheRing) {
    EXPECT_EQ(Machine("hgx-h100-superpod", 16).chosen(CollectiveOp::all_reduce, 4_GiB),
              "hierarchical");
    EXPECT_EQ(Machine("hgx-h100-superpod", 32).chosen(CollectiveOp::all_reduce, 4_GiB),
              "ring-simple");
    EXPECT_EQ(Machine("gb200-nvl72-superpod", 216).chosen(CollectiveOp::all_reduce, 4_GiB),
              "hierarchical");
}

TEST(CollectiveChoice, AmpereHasNoNvls) {
    Machine const box("hgx-a100-80gb", 8);
    EXPECT_EQ(box.chosen(CollectiveOp::all_reduce, 1_GiB), "ring-simple");
    EXPECT_THROW((void)box.chosen(CollectiveOp::all_reduce, 1_GiB, "nvls"), ConfigError);
}

TEST(CollectiveChoice, AFamilyNameLeavesTheProtocolToTheTuner) {
    Machine const rack("gb200-nvl72", 72);
    EXPECT_EQ(rack.chosen(CollectiveOp::all_reduce, 1_GiB, "ring"), "ring-simple");
    EXPECT_EQ(rack.chosen(CollectiveOp::all_reduce, 1_KiB, "ring"), "ring-ll");
    EXPECT_EQ(rack.chosen(CollectiveOp::all_reduce, 1_GiB), "nvls");
}

TEST(CollectiveChoice, UnknownAlgorithmNamesTheNearest) {
    Machine const rack("gb200-nvl72", 72);
    try {
        static_cast<void>(rack.chosen(CollectiveOp::all_reduce, 1_GiB, "nvsl"));
        FAIL();
    } catch (ConfigError const& error) {
        EXPECT_NE(std::string(error.what()).find("did you mean nvls?"), std::string::npos);
    }
}

TEST(CollectiveChoice, PlanHoldsTheSmsOfItsBranch) {
    Machine const box("hgx-h100", 8);
    auto const shape = box.fabric.shape_of(0, 1, 8);
    EXPECT_EQ(plan_collective(box.profile, CollectiveOp::all_reduce, 1_GiB, shape).sms, 16);
    EXPECT_EQ(plan_collective(box.profile, CollectiveOp::all_gather, 1_GiB, shape).sms, 24);
}

TEST(CollectiveNames, OperationsHaveTheirObviousAliases) {
    EXPECT_EQ(parse_collective_op("allreduce"), CollectiveOp::all_reduce);
    EXPECT_EQ(parse_collective_op("all_reduce_perf"), CollectiveOp::all_reduce);
    EXPECT_EQ(parse_collective_op("AllGather"), CollectiveOp::all_gather);
    EXPECT_EQ(parse_collective_op("all_to_all"), CollectiveOp::alltoall);
    EXPECT_EQ(parse_collective_op("reduce-scatter"), CollectiveOp::reduce_scatter);
    EXPECT_THROW(parse_collective_op("all_redcue"), ConfigError);
}

/// A CPU's profile: all-reduce by one shot (1 us + 2 GB/s) and by two (4 us + 4 GB/s).
Profile host_profile() {
    Profile profile;
    profile.gpu = "localhost";
    auto const add = [&](CollectiveAlgorithm algorithm, double step, double bandwidth) {
        MicrokernelBranch branch;
        branch.op = CollectiveOp::all_reduce;
        branch.algorithm = algorithm;
        branch.step = Seconds{step};
        branch.bandwidth = BytesPerSecond{bandwidth};
        branch.knee = BufferSize{1e6};
        branch.measured = {{{2}, {4096, 1 << 24}}};
        profile.microkernels->branches.push_back(branch);
    };
    profile.microkernels.emplace();
    add(CollectiveAlgorithm::one_shot_ll, 1e-6, 2e9);
    add(CollectiveAlgorithm::two_shot_bulk, 2e-6, 4e9);
    return profile;
}

std::string host_choice(CollectiveOp op, Bytes size, std::string_view forced = {}) {
    GroupShape shape;
    shape.ranks = shape.ranks_per_domain = 2;
    auto const plan = plan_collective(host_profile(), op, size, shape, 4, forced);
    return std::string(collective_algorithms()[plan.query.algorithm].name);
}

// One shot: 1 us + S / 2 GB/s; two shots of 2 ranks: 2 x 2 us + 2 x 1/2 x S / 4 GB/s. Alike where
// S (1/2 - 1/4) ns = 3 us: at 12 kB.
TEST(CollectiveChoice, AProfileWithoutNcclTakesTheQuickestMicrokernel) {
    EXPECT_EQ(host_choice(CollectiveOp::all_reduce, Bytes{8192}), "one-shot-ll");
    EXPECT_EQ(host_choice(CollectiveOp::all_reduce, Bytes{16384}), "two-shot-bulk");
    EXPECT_EQ(host_choice(CollectiveOp::all_reduce, Bytes{16384}, "one-shot-ll"), "one-shot-ll");
    EXPECT_EQ(host_choice(CollectiveOp::all_reduce, Bytes{16384}, "microkernel"), "two-shot-bulk");
}

TEST(CollectiveChoice, WhatAProfileLacksIsSaidInOneLine) {
    auto const said = [](CollectiveOp op, std::string_view forced) {
        try {
            return host_choice(op, Bytes{8192}, forced);
        } catch (ConfigError const& error) {
            return std::string(error.what());
        }
    };
    EXPECT_EQ(said(CollectiveOp::alltoall, ""),
              "the calibration of localhost prices no alltoall here (expected another operation)");
    EXPECT_EQ(said(CollectiveOp::all_reduce, "ring"),
              "algorithm ring cannot run all_reduce here: the calibration of localhost has no NCCL "
              "branches (expected one-shot-ll | two-shot-bulk)");
    EXPECT_NE(said(CollectiveOp::all_reduce, "ring-bulk").find("was not measured"),
              std::string::npos);
    Machine const box("hgx-h100", 8);
    EXPECT_THROW((void)box.chosen(CollectiveOp::all_reduce, 1_MiB, "one-shot-ll"), ConfigError);
}

}  // namespace
}  // namespace nvl72
