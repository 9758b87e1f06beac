#include "sim/cost/collective_cost.hpp"

#include "sim/cost/bound.hpp"

#include "sim/base/error.hpp"

#include <cmath>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

using namespace literals;

/// Round numbers: 100 GB/s everywhere, no ramps, latencies and transfer simply add.
CollectiveSection plain_section() {
    CollectiveSection section;
    section.nvlink = 100_GBps;
    section.overlap_norm = 1;
    section.ring_ll = {Seconds{5e-6}, Seconds{1e-6}, Seconds{0.5e-6}, 50_GBps, 0, 8};
    section.ring_ll128 = {Seconds{2e-6}, 90_GBps, 8};
    section.ring_simple = {Seconds{10e-6},     Seconds{2e-6}, 100_GBps, 0, 0, 0,
                           BufferSize{0x1p20}, 1.5,           24};
    section.nvls =
        NvlsBranch{Seconds{20e-6}, 80_GBps, 0, BufferSize{0x1p20}, 0.01, 16, {{{8}, {1, 1 << 30}}}};
    section.alltoall_ll = {Seconds{5e-6}, 5_GBps, 32};
    section.alltoall_simple = {Seconds{10e-6}, 100_GBps, 0, BufferSize{0x1p20}, 0, 32};
    section.sendrecv = {Seconds{10e-6}, 100_GBps, 32};
    section.network = {Seconds{5e-6},  Seconds{6e-6}, Seconds{7e-6}, 0.8, 1000_GBps,
                       Seconds{50e-6}, 0.9,           Seconds{3e-6}, 0.5, Seconds{20e-6}};
    section.network.tree_nics_max = 32;
    section.network.tree_norm = 1000;  // the slower of switches and NICs alone
    section.tree = {20_GBps, 40_GBps, 80_GBps, Seconds{2e-6}, BufferSize{8000}, 16};
    section.launch = {Seconds{5e-6}, Seconds{4e-6}, Seconds{3e-6}, 1};
    section.measured = {{{2, 4, 8}, {800'000, 1'000'000, 100'000'000}}};
    return section;
}

Collective query_of(CollectiveAlgorithm algorithm,
                    CollectiveOp op,
                    std::int64_t size,
                    std::int64_t ranks,
                    std::int64_t domains = 1) {
    GroupShape shape;
    shape.ranks = ranks;
    shape.domains = domains;
    shape.ranks_per_domain = ranks / domains;
    shape.planes = shape.planes_up = 18;
    shape.in_domain = 100_GBps;
    shape.per_gpu_nic = 10_GBps;
    return {op, static_cast<std::uint8_t>(algorithm), Bytes{size}, 2, shape};
}

double us(CollectiveSection const& section, Collective const& query) {
    return to_microseconds(collective_cost(section, query).time);
}

TEST(CollectiveCost, SimpleRingAddsStepsAndTransfer) {
    // 10 + 14 x 2 us, and 14/8 of 8 MB at 100 GB/s = 140 us.
    auto const query =
        query_of(CollectiveAlgorithm::ring_simple, CollectiveOp::all_reduce, 8'000'000, 8);
    auto const cost = collective_cost(plain_section(), query);
    EXPECT_EQ(cost.time, 178_us);
    EXPECT_EQ(cost.bandwidth_part, 140_us + 1_ps);  // at the links' full rate, which rounds up
}

TEST(CollectiveCost, LowLatencyHopGrowsWithItsChunk) {
    // One step carries 2 KiB: half of hop_data. 5 + 7 x 1.25 us + 7 x 2 KiB / 50 GB/s.
    auto const query =
        query_of(CollectiveAlgorithm::ring_ll, CollectiveOp::all_gather, 8L * 2048, 8);
    EXPECT_NEAR(us(plain_section(), query), 5 + 7 * 1.25 + 7 * 2048 / 50e3, 1e-6);
}

TEST(CollectiveCost, NvlsSlowsWithRanksBeyondEight) {
    // (1 + 1/18) x 9 MB = 9.5 MB at 80 GB/s = 118.75 us, and 1 % for every e-fold from 8 to 18.
    auto const query = query_of(CollectiveAlgorithm::nvls, CollectiveOp::all_reduce, 9'000'000, 18);
    EXPECT_NEAR(us(plain_section(), query), 20 + 118.75 * (1 + 0.01 * std::log(18. / 8)), 1e-6);
}

TEST(CollectiveCost, OneByteReductionsAreSlower) {
    auto query = query_of(CollectiveAlgorithm::ring_simple, CollectiveOp::all_reduce, 8'000'000, 8);
    query.bytes_per_element = 1;
    EXPECT_NEAR(us(plain_section(), query), 38 + 140 * 1.5, 1e-6);
    query.op = CollectiveOp::all_gather;  // nothing is reduced: 10 + 7 x 2, 70 us
    EXPECT_NEAR(us(plain_section(), query), 24 + 70, 1e-6);
}

TEST(CollectiveCost, ALostPlaneCostsAnEighteenthOfTheBandwidthTerm) {
    auto query = query_of(CollectiveAlgorithm::nvls, CollectiveOp::all_reduce, 8'000'000, 8);
    auto const whole = collective_cost(plain_section(), query);
    query.shape.in_domain = BytesPerSecond{100e9 * 17 / 18};
    auto const cut = collective_cost(plain_section(), query);
    EXPECT_NEAR(whole.bandwidth_part / cut.bandwidth_part, 17.0 / 18, 1e-9);
    EXPECT_EQ(cut.basis.kind, BasisKind::extrapolated);
}

TEST(CollectiveCost, RingAcrossDomainsIsBoundByItsNics) {
    // 2 domains of 4: 12 steps inside, 2 across = 10 + 24 + 14 us;
    // 14/8 of 8 MB over 4 NICs of 10 GB/s at 80 %: 14 MB / 32 GB/s = 437.5 us.
    auto const query =
        query_of(CollectiveAlgorithm::ring_simple, CollectiveOp::all_reduce, 8'000'000, 8, 2);
    auto const cost = collective_cost(plain_section(), query);
    EXPECT_NEAR(to_microseconds(cost.time), 48 + 437.5, 1e-6);
    EXPECT_EQ(cost.basis.kind, BasisKind::extrapolated);
    EXPECT_NE(cost.basis.why.find("only NIC count and line rate known"), std::string::npos);
}

TEST(CollectiveCost, LowLatency128RingLosesEightOf128BytesOnTheNetworkToo) {
    // 2 domains of 4, 8 MB: 5 + 12 x 2 + 2 x 6 us; 14/8 of 8 MB over 4 NICs of 10 GB/s at 80 %, of
    // which 120 in 128 bytes are payload: 14 MB / 30 GB/s.
    auto const query =
        query_of(CollectiveAlgorithm::ring_ll128, CollectiveOp::all_reduce, 8'000'000, 8, 2);
    auto section = plain_section();
    EXPECT_NEAR(us(section, query), 41 + 14e6 / 30e3, 1e-6);
    // Its default channels carry 20 GB/s at most: 14 MB / (20 x 120 / 128) GB/s.
    section.network.ring_bandwidth_max = 20_GBps;
    EXPECT_NEAR(us(section, query), 41 + 14e6 / 18.75e3, 1e-6);
}

TEST(CollectiveCost, LowLatencyRingSendsAFlagWithEveryWordOnTheNetworkToo) {
    // 2 domains of 4, 8 MB: a rank's chunk is 1 MB, 488.28125 times 2 KiB: hops of 1 + 0.5 x
    // 488.28125 / 489.28125 us, 2 of 5 us across; 14 MB over 4 NICs of 10 GB/s at 80 %, half of it
    // data: 16 GB/s.
    auto const query =
        query_of(CollectiveAlgorithm::ring_ll, CollectiveOp::all_reduce, 8'000'000, 8, 2);
    double const hop = 1 + 0.5 * 488.28125 / 489.28125;
    EXPECT_NEAR(us(plain_section(), query), 5 + 12 * hop + 2 * 5 + 14e6 / 16e3, 1e-6);
}

TEST(CollectiveCost, HierarchicalAddsTreeLevels) {
    // 2 domains of 8, 8 MB: base 20 + 2 x (50 + 7) us, its level and a network hop; NVLS 9 MB / 80
    // GB/s = 112.5 us, a little more for 16 ranks; NICs 8 MB / (8 x 10 x 0.8 GB/s) = 125 us; of the
    // third power together.
    auto const query =
        query_of(CollectiveAlgorithm::hierarchical, CollectiveOp::all_reduce, 8'000'000, 16, 2);
    EXPECT_NEAR(us(plain_section(), query), 134 + 125, 1e-6);
    auto section = plain_section();
    section.network.tree_norm = 3;
    double const nvls = 112.5 * (1 + 0.01 * std::log(2));
    EXPECT_NEAR(us(section, query), 134 + std::cbrt(std::pow(nvls, 3) + std::pow(125., 3)), 1e-6);
}

TEST(CollectiveCost, ADrawOfAShareAboveOneIsLineRate) {
    auto section = plain_section();
    auto const query =
        query_of(CollectiveAlgorithm::ring_simple, CollectiveOp::all_reduce, 80'000'000, 16, 2);
    section.network.ring_efficiency = 1;
    double const full = us(section, query);
    section.network.ring_efficiency = 1.05;
    EXPECT_EQ(us(section, query), full);
}

TEST(CollectiveCost, RingsOfOneRankADomainHaveTheHopsOfATree) {
    // All-gather over 4 domains of one: 5 + 3 x 5 us; NICs 3/4 x 8 kB over 10 GB/s x 0.8 x 1/2
    // = 1.5 us. The tuner has 2 us for a ring's hop and 4 us for a tree's: 5 + 3 x 10 us.
    auto section = plain_section();
    auto const query = query_of(CollectiveAlgorithm::ring_ll, CollectiveOp::all_gather, 8000, 4, 4);
    EXPECT_NEAR(us(section, query), 20 + 1.5, 1e-6);
    section.tuner.ll.network = Seconds{2e-6};
    section.tuner.tree.ll.network = Seconds{4e-6};
    EXPECT_NEAR(us(section, query), 35 + 1.5, 1e-6);
}

TEST(CollectiveCost, TheWayBelowNvlsIsAsLongAsTheDeepestLevel) {
    // 3 domains of 8, 8 kB: two levels there and back, so 20 + 2 x 2 x (50 + 7) us; NICs 1.5 x 8 kB
    // / (8 x 10 x 0.8 GB/s) = 0.1875 us bind.
    auto const query =
        query_of(CollectiveAlgorithm::hierarchical, CollectiveOp::all_reduce, 8000, 24, 3);
    EXPECT_NEAR(us(plain_section(), query), 248 + 0.1875, 1e-6);
    // The network's switches are one level, whatever the domains: NICs 8 kB, 0.125 us.
    auto const summed =
        query_of(CollectiveAlgorithm::collnet, CollectiveOp::all_reduce, 8000, 24, 3);
    EXPECT_NEAR(us(plain_section(), summed), 134 + 0.125, 1e-6);
}

TEST(CollectiveCost, LowLatencyRingsMoveBytesWhileStepsWaitBetweenDomains) {
    // 2 domains of 8, all-gather of 1.6 MB by LL128: 5 + 14 x 2 + 1 x 6 us; a NIC sends 15/16 x 1.6
    // MB / 8 at 10 GB/s x 0.8 x 120/128 = 25 us. Of the third power, (39^3 + 25^3)^(1/3).
    auto section = plain_section();
    auto const ring = [](CollectiveAlgorithm algorithm, std::int64_t domains) {
        return query_of(algorithm, CollectiveOp::all_gather, 1'600'000, 16, domains);
    };
    EXPECT_NEAR(us(section, ring(CollectiveAlgorithm::ring_ll128, 2)), 39 + 25, 1e-6);
    double const plain = us(section, ring(CollectiveAlgorithm::ring_simple, 2));
    double const inside = us(section, ring(CollectiveAlgorithm::ring_ll128, 1));
    section.network.ring_norm = 3;
    EXPECT_NEAR(us(section, ring(CollectiveAlgorithm::ring_ll128, 2)),
                std::cbrt(39. * 39 * 39 + 25. * 25 * 25), 1e-6);
    EXPECT_EQ(us(section, ring(CollectiveAlgorithm::ring_simple, 2)), plain);
    EXPECT_EQ(us(section, ring(CollectiveAlgorithm::ring_ll128, 1)), inside);
}

// 2 domains of 8 fill a pipeline of 16 ranks: 2 x 9 MB / 80 GB/s of ramp, gone by 1 in 1.5.
TEST(CollectiveCost, TwoDomainsAreNeverQuickerThanOne) {
    auto section = plain_section();
    section.network.ring_efficiency = 1;
    section.nvls->ramp = 2;
    section.nvls->ramp_bytes_per_rank = BufferSize{1e6};
    auto query =
        query_of(CollectiveAlgorithm::hierarchical, CollectiveOp::all_reduce, 8'000'000, 16, 2);
    query.shape.per_gpu_nic = 100_GBps;
    double const crowd = 1 + 0.01 * std::log(2);
    EXPECT_NEAR(us(section, query), 134 + 112.5 * (1 + 2 / 1.5) * crowd, 1e-6);
    for (std::int64_t size = 1000; size < std::int64_t{1} << 36; size *= 4) {
        auto two = query;
        two.size = Bytes{size};
        auto const one = query_of(CollectiveAlgorithm::nvls, CollectiveOp::all_reduce, size, 8);
        EXPECT_GT(us(section, two), us(section, one)) << size;
    }
}

TEST(CollectiveCost, TreeClimbsTheChainsAndTheLevelsTwice) {
    // 4 domains of 8, 8 kB: hops of 1 + 0.5 / 2 us (step_bytes), so 5 + 2 x (7 x 1.25 + 2 x 5) us;
    // a GPU sends 2 x 8 kB at 20 GB/s = 0.8 us; NICs 2 x 8 kB over 8 x 10 GB/s x 0.8 x 1/2 = 0.5
    // us.
    auto const query =
        query_of(CollectiveAlgorithm::tree_ll, CollectiveOp::all_reduce, 8000, 32, 4);
    EXPECT_NEAR(us(plain_section(), query), 5 + 2 * (7 * 1.25 + 2 * 5) + 0.8, 1e-6);
}

TEST(CollectiveCost, TreeOfLargeChunksIsBoundByItsNics) {
    // 4 domains of 2, 8 MB: 10 + 2 x (1 x 2 + 2 x 7) = 42 us; inside 16 MB at 80 GB/s = 200 us;
    // 16 MB over 2 NICs of 10 GB/s at 80 % = 1 ms.
    auto const query =
        query_of(CollectiveAlgorithm::tree_simple, CollectiveOp::all_reduce, 8'000'000, 8, 4);
    EXPECT_NEAR(us(plain_section(), query), 42 + 1000, 1e-6);
}

TEST(CollectiveCost, ParallelTreesClimbOneHopALevel) {
    // 8 domains of 1, 80 kB: base 10 us and 3 levels of 7 us; a NIC sends 7/8 of it at 10 GB/s x
    // 0.8. With 64 domains 6 levels.
    auto const gather = [](std::int64_t domains) {
        return query_of(CollectiveAlgorithm::pat, CollectiveOp::all_gather, 80'000, domains,
                        domains);
    };
    EXPECT_NEAR(us(plain_section(), gather(8)), 10 + 3 * 7 + 70e3 / 8e3, 1e-6);
    EXPECT_NEAR(us(plain_section(), gather(64)), 10 + 6 * 7 + 78.75e3 / 8e3, 1e-6);
}

TEST(CollectiveCost, ATreeUsesSomeOfALargeDomainsNics) {
    // 4 domains of 72: 16 MB over 72 NICs of 10 GB/s at 80 % take 27.8 us, over 32 of them 62.5 us,
    // less than the 200 us inside; over 2 of them 1 ms.
    auto query =
        query_of(CollectiveAlgorithm::tree_simple, CollectiveOp::all_reduce, 8'000'000, 288, 4);
    auto section = plain_section();
    double const latency = 10 + 2 * (71 * 2 + 2 * 7);
    EXPECT_NEAR(us(section, query), latency + 200, 1e-6);
    section.network.tree_nics_max = 2;
    EXPECT_NEAR(us(section, query), latency + 1000, 1e-6);
}

TEST(CollectiveCost, EveryRingStepWaitsForOneMessageOfTheNetwork) {
    // 2 domains of 4, all_gather: 6 steps of 2 us and 1 of 7 make 19 us; 7 messages of 4 us, 28.
    auto section = plain_section();
    auto const query =
        query_of(CollectiveAlgorithm::ring_simple, CollectiveOp::all_gather, 8, 8, 2);
    double const before = us(section, query);
    section.network.message_gap = Seconds{4e-6};
    EXPECT_NEAR(us(section, query) - before, 28 - 19, 1e-6);
    section.network.message_gap = Seconds{2e-6};  // 14 us, hidden
    EXPECT_NEAR(us(section, query), before, 1e-9);
}

TEST(CollectiveCost, SaysWhatBindsIt) {
    auto const section = plain_section();
    auto const bound = [&](CollectiveAlgorithm algorithm, CollectiveOp op, std::int64_t size,
                           std::int64_t domains) {
        return bound_by(section, query_of(algorithm, op, size, 16, domains));
    };
    auto const ring = CollectiveAlgorithm::ring_simple;
    EXPECT_EQ(bound(ring, CollectiveOp::all_reduce, 1000, 1), "latency");
    EXPECT_EQ(bound(ring, CollectiveOp::all_reduce, 1'000'000'000, 1), "NVLink");
    EXPECT_EQ(bound(ring, CollectiveOp::all_reduce, 1'000'000'000, 2), "NIC");
    auto launched = query_of(ring, CollectiveOp::all_reduce, 1000, 4);
    launched.launch = {LaunchMode::eager, 64};  // 320 us
    EXPECT_EQ(bound_by(section, launched), "launch");
    auto few = plain_section();
    few.network.ring_bandwidth_max = 1_GBps;
    EXPECT_EQ(bound_by(few, query_of(ring, CollectiveOp::all_reduce, 1'000'000'000, 16, 2)),
              "channels");
}

TEST(CollectiveCost, OneThreadLaunchesForAllItsGpus) {
    // The norm is 1: launches and collective add. 8 x 5 us for a sum, 8 x 4 without, 8 x 3 by
    // graph.
    auto query = query_of(CollectiveAlgorithm::ring_simple, CollectiveOp::all_reduce, 8000, 8);
    double const alone = us(plain_section(), query);
    query.launch = {LaunchMode::eager, 8};
    EXPECT_NEAR(us(plain_section(), query), alone + 40, 1e-6);
    query.launch = {LaunchMode::graph, 8};
    EXPECT_NEAR(us(plain_section(), query), alone + 24, 1e-6);
    query.launch = {LaunchMode::eager, 1};  // a process a GPU: hidden behind the kernel before
    EXPECT_NEAR(us(plain_section(), query), alone, 1e-9);
    query = query_of(CollectiveAlgorithm::ring_simple, CollectiveOp::all_gather, 8000, 8);
    double const gathered = us(plain_section(), query);
    query.launch = {LaunchMode::eager, 8};
    EXPECT_NEAR(us(plain_section(), query), gathered + 32, 1e-6);
}

TEST(CollectiveCost, SendsHaveTheChannelsThatTheirRanksLeave) {
    // 32 channels of 4 GB/s and parts to 1 MB. 8 ranks: 4 channels, 16 GB/s, to 4 MB; then more of
    // them, each with 1 MB at most, 250 us; 32 MB need longer at the 100 GB/s of the GPU.
    auto section = plain_section();
    section.sendrecv.channels_max = 32;
    section.sendrecv.channel_bandwidth = 4_GBps;
    section.sendrecv.part_bytes = BufferSize{1e6};
    auto const sent = [&](std::int64_t size) {
        return us(section,
                  query_of(CollectiveAlgorithm::sendrecv, CollectiveOp::sendrecv, size, 8));
    };
    EXPECT_NEAR(sent(2'000'000), 10 + 2e6 / 16e3, 1e-6);
    EXPECT_NEAR(sent(4'000'000), 10 + 250, 1e-6);
    EXPECT_NEAR(sent(8'000'000), 10 + 250, 1e-6);
    EXPECT_NEAR(sent(32'000'000), 10 + 32e6 / 100e3, 1e-6);
}

TEST(CollectiveCost, SendsAcrossDomainsHaveTheChannelsThatAllRanksLeave) {
    // 64 channels of 1 GB/s for all: 20 ranks have two each, 80 one, and 4 ranks 16, more than the
    // NIC's 10 GB/s x 0.5. 20 us, and 2 MB at 2, 1 and 5 GB/s.
    auto section = plain_section();
    section.network.sendrecv_channel = 1_GBps;
    auto const sent = [&](std::int64_t ranks) {
        return us(section, query_of(CollectiveAlgorithm::sendrecv, CollectiveOp::sendrecv,
                                    2'000'000, ranks, 2));
    };
    EXPECT_NEAR(sent(20), 20 + 1000, 1e-6);
    EXPECT_NEAR(sent(80), 20 + 2000, 1e-6);
    EXPECT_NEAR(sent(4), 20 + 400, 1e-6);
}

TEST(CollectiveCost, SymmetricBuffersGoToEveryoneUntilTheSwitchesSum) {
    // 7 x 8 kB at 70 GB/s = 0.8 us; then 9/8 of 8 MB at 90 GB/s = 100 us.
    auto section = plain_section();
    section.symmetric =
        SymmetricBranch{Seconds{3e-6}, 70_GBps, BufferSize{32768}, Seconds{9e-6}, 90_GBps, 16};
    auto const symmetric = [&](std::int64_t size) {
        return us(section,
                  query_of(CollectiveAlgorithm::symmetric, CollectiveOp::all_reduce, size, 8));
    };
    EXPECT_NEAR(symmetric(8000), 3.8, 1e-6);
    EXPECT_NEAR(symmetric(8'000'000), 109, 1e-6);
}

// With the branch held fixed, more or faster NICs and shorter hops are never slower.
TEST(CollectiveCost, ABetterNetworkIsNeverSlower) {
    auto const algorithms = {CollectiveAlgorithm::ring_ll,      CollectiveAlgorithm::ring_ll128,
                             CollectiveAlgorithm::ring_simple,  CollectiveAlgorithm::tree_ll,
                             CollectiveAlgorithm::tree_ll128,   CollectiveAlgorithm::tree_simple,
                             CollectiveAlgorithm::hierarchical, CollectiveAlgorithm::collnet};
    for (auto const algorithm : algorithms) {
        for (std::int64_t size = 8; size < std::int64_t{1} << 36; size *= 8) {
            auto query = query_of(algorithm, CollectiveOp::all_reduce, size, 64, 8);
            double const before = us(plain_section(), query);
            query.shape.per_gpu_nic = 20_GBps;
            EXPECT_LE(us(plain_section(), query), before) << name_of(algorithm) << " " << size;
            query.shape.per_gpu_nic = 10_GBps;
            auto slow = plain_section();
            for (auto* hop : {&slow.network.hop_ll, &slow.network.hop_ll128,
                              &slow.network.hop_simple, &slow.network.message_gap}) {
                *hop = *hop + Seconds{1e-6};
            }
            EXPECT_GE(us(slow, query), before) << name_of(algorithm) << " " << size;
            EXPECT_LT(before, us(plain_section(),
                                 query_of(algorithm, CollectiveOp::all_reduce, 2 * size, 64, 8)));
        }
    }
}

TEST(CollectiveCost, AllToAllAcrossDomainsStartsEachFarPeer) {
    // 2 domains of 4: 4 far peers x 3 us; 4 MB over a NIC of 10 GB/s at 90 %.
    auto const query =
        query_of(CollectiveAlgorithm::alltoall_simple, CollectiveOp::alltoall, 8'000'000, 8, 2);
    EXPECT_NEAR(us(plain_section(), query), 10 + 12 + 4000 / 9.0, 1e-6);
}

TEST(CollectiveCost, PNormLiesBetweenTheLargerTermAndTheSum) {
    auto section = plain_section();
    section.overlap_norm = 2;  // sqrt(38^2 + 140^2)
    auto const query =
        query_of(CollectiveAlgorithm::ring_simple, CollectiveOp::all_reduce, 8'000'000, 8);
    EXPECT_NEAR(us(section, query), std::sqrt(38.0 * 38 + 140.0 * 140), 1e-6);
}

TEST(CollectiveCost, BasisNamesWhatWasMeasured) {
    auto const kind = [](std::int64_t size, std::int64_t ranks) {
        return collective_cost(plain_section(), query_of(CollectiveAlgorithm::ring_simple,
                                                         CollectiveOp::all_reduce, size, ranks))
            .basis.kind;
    };
    EXPECT_EQ(kind(1'000'000, 8), BasisKind::on_grid);
    EXPECT_EQ(kind(2'000'000, 6), BasisKind::interpolated);
    EXPECT_EQ(kind(1'000'000, 16), BasisKind::extrapolated);
    EXPECT_EQ(kind(1'000, 8), BasisKind::extrapolated);
}

TEST(CollectiveCost, GpuWithoutNvlsRefusesIt) {
    auto section = plain_section();
    section.nvls.reset();
    auto const query = query_of(CollectiveAlgorithm::nvls, CollectiveOp::all_reduce, 8'000'000, 8);
    EXPECT_THROW(collective_cost(section, query), ConfigError);
}

}  // namespace
}  // namespace nvl72
