#include "sim/cost/microkernel_cost.hpp"
#include "sim/base/error.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

MicrokernelBranch branch_of(CollectiveOp op, CollectiveAlgorithm algorithm) {
    MicrokernelBranch branch;
    branch.op = op;
    branch.algorithm = algorithm;
    branch.base = Seconds{2e-6};
    branch.step = Seconds{1e-6};
    branch.bandwidth = BytesPerSecond{1e9};
    branch.copies = 0.5;
    branch.knee = BufferSize{1e6};
    branch.measured = {{{2, 4}, {4096, 1'000'000}}};
    return branch;
}

Collective query_of(CollectiveOp op, CollectiveAlgorithm algorithm, std::int64_t ranks) {
    Collective query;
    query.op = op;
    query.algorithm = static_cast<std::uint8_t>(algorithm);
    query.size = Bytes{1'000'000};
    query.shape.ranks = query.shape.ranks_per_domain = ranks;
    return query;
}

using Op = CollectiveOp;
using Algorithm = CollectiveAlgorithm;

TEST(MicrokernelCost, AddsStepsAndTransfer) {
    MicrokernelSection section;
    section.branches = {branch_of(Op::all_reduce, Algorithm::ring_bulk)};
    auto const cost = microkernel_cost(section, query_of(Op::all_reduce, Algorithm::ring_bulk, 4));
    // 2 us + 2 x 3 steps x 1 us = 8 us; (2 x 3 / 4 + 0.5) x 1 MB at 1 GB/s = 2 ms.
    EXPECT_EQ(cost.time, from_seconds(2.008e-3));
    EXPECT_EQ(cost.bandwidth_part, from_seconds(2e-3));
    EXPECT_EQ(cost.basis.kind, BasisKind::on_grid);
}

TEST(MicrokernelCost, MovesSmallBuffersAtTheirOwnBandwidth) {
    auto branch = branch_of(Op::sendrecv, Algorithm::pingpong_ll);
    branch.copies = 0;
    branch.small_bandwidth = BytesPerSecond{0.5e9};
    auto const terms = microkernel_terms(branch, 2, 1e6);
    // At the knee: half way between 1 ns and 2 ns a byte.
    EXPECT_DOUBLE_EQ(terms.transfer, 1.5e-3);
    EXPECT_DOUBLE_EQ(terms.latency, 3e-6);
}

TEST(MicrokernelCost, KnowsEveryAlgorithmsTraffic) {
    // Of 4 ranks: steps, and buffers that one rank writes.
    EXPECT_EQ(microkernel_steps(Algorithm::two_shot_ll, 4), 6);
    EXPECT_DOUBLE_EQ(microkernel_wire(Algorithm::two_shot_ll, 4), 1.5);
    EXPECT_EQ(microkernel_steps(Algorithm::one_shot_bulk, 4), 3);
    EXPECT_DOUBLE_EQ(microkernel_wire(Algorithm::one_shot_bulk, 4), 3);
    EXPECT_EQ(microkernel_steps(Algorithm::direct_ll, 4), 3);
    EXPECT_DOUBLE_EQ(microkernel_wire(Algorithm::direct_ll, 4), 0.75);
    EXPECT_EQ(microkernel_steps(Algorithm::chain_bulk, 4), 3);
    EXPECT_DOUBLE_EQ(microkernel_wire(Algorithm::chain_bulk, 4), 1);
    EXPECT_EQ(microkernel_steps(Algorithm::pingpong_bulk, 4), 1);
    EXPECT_EQ(microkernel_steps(Algorithm::nvls_multicast, 4), 1);
    EXPECT_DOUBLE_EQ(microkernel_wire(Algorithm::nvls_multicast, 4), 1.25);
    EXPECT_FALSE(microkernel_does(Algorithm::chain_bulk, Op::all_reduce));
    EXPECT_TRUE(microkernel_does(Algorithm::direct_ll, Op::alltoall));
}

TEST(MicrokernelCost, StretchesToAnotherNvlink) {
    MicrokernelSection section;
    section.wiring = MicrokernelWiring::peer;
    section.nvlink = BytesPerSecond{450e9};
    auto branch = branch_of(Op::sendrecv, Algorithm::pingpong_bulk);
    branch.copies = 0;
    section.branches = {branch};
    auto query = query_of(Op::sendrecv, Algorithm::pingpong_bulk, 2);
    query.shape.in_domain = BytesPerSecond{225e9};
    auto const cost = microkernel_cost(section, query);
    EXPECT_EQ(cost.bandwidth_part, from_seconds(2e-3));  // 1 ms over half the links
    EXPECT_EQ(cost.basis.kind, BasisKind::extrapolated);
}

TEST(MicrokernelCost, RefusesWhatWasNotMeasured) {
    MicrokernelSection section;
    section.branches = {branch_of(Op::all_reduce, Algorithm::ring_bulk)};
    EXPECT_THROW((void)microkernel_cost(section, query_of(Op::alltoall, Algorithm::direct_ll, 2)),
                 ConfigError);
}

}  // namespace
}  // namespace nvl72
