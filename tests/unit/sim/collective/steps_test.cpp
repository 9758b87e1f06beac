#include "sim/collective/steps.hpp"

#include "sim/base/error.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

using namespace literals;

RingProgram equal_ring(std::size_t ranks, std::int64_t steps) {
    // 1000 bytes at 1 GB/s: 1 us a send; hops of 3 us.
    return {1000, steps, std::vector<double>(ranks, 1e9), std::vector<Picoseconds>(ranks, 3_us),
            std::vector<Picoseconds>(ranks)};
}

TEST(RingSteps, EqualRanksPayEveryHopAndSend) {
    EXPECT_EQ(ring_makespan(equal_ring(4, 6)), 24_us);  // 6 x (1 + 3)
}

TEST(RingSteps, OneSlowLinkOfTwoSetsThePace) {
    // Rank 0 sends in 10 us, rank 1 in 1 us, hops 3 us, 3 sends each.
    // rank 0: 10; max(10, 1+3)+10 = 20; max(20, 14+3)+10 = 30, arrives 33.
    // rank 1: 1; max(1, 10+3)+1 = 14; max(14, 20+3)+1 = 24.
    auto ring = equal_ring(2, 3);
    ring.rate[0] = 1e8;
    EXPECT_EQ(ring_makespan(ring), 33_us);
    EXPECT_EQ(ring_makespan_on_engine(ring), 33_us);
}

TEST(RingSteps, TheActivityIsTheLongestChainOfSends) {
    // Equal links: round by hops, 6 x 3 us, and 6 sends of 1 us.
    auto const equal = ring_activity(equal_ring(4, 6));
    EXPECT_EQ(equal.latency, 18_us);
    EXPECT_DOUBLE_EQ(equal.work / equal.rate_max, 6e-6);
    // One link of 100 us a send: all wait for it, and its hop is left: 3 + 6 x 100.
    auto ring = equal_ring(4, 6);
    ring.rate[2] = 1e7;
    auto const slow = ring_activity(ring);
    EXPECT_EQ(slow.latency, 3_us);
    EXPECT_EQ(slow.alone(), 603_us);
    EXPECT_EQ(ring_makespan(ring), 603_us);
    // Of 4 us a send: every link passed adds 3 us of hop and saves 3 us, the slow one only adds.
    ring.rate[2] = 2.5e8;
    EXPECT_EQ(ring_activity(ring).alone(), ring_makespan(ring));
}

TEST(RingSteps, ALateRankDelaysTheLast) {
    auto ring = equal_ring(3, 4);
    ring.start[1] = 100_us;
    // rank 1: 101 us; its chunk reaches rank 2 at 104, sent by 105, and so on: 4 sends each.
    EXPECT_EQ(ring_makespan(ring), ring_makespan_on_engine(ring));
    EXPECT_EQ(ring_makespan(ring), 116_us);  // 100 + 4 x (1 + 3)
}

TEST(RingSteps, RefusesARingWithoutLinks) {
    RingProgram ring = equal_ring(2, 1);
    ring.hop.pop_back();
    EXPECT_THROW(ring_makespan(ring), Error);
}

}  // namespace
}  // namespace nvl72
