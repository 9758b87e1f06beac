#include "sim/study/fit_microkernels.hpp"
#include "sim/base/error.hpp"
#include "sim/cost/microkernel_cost.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

MicrokernelBranch planted(CollectiveOp op, CollectiveAlgorithm algorithm) {
    MicrokernelBranch branch;
    branch.op = op;
    branch.algorithm = algorithm;
    branch.base = Seconds{3e-6};
    branch.step = Seconds{0.7e-6};
    branch.bandwidth = BytesPerSecond{5e9};
    branch.copies = 0.4;
    branch.knee = BufferSize{1e6};
    return branch;
}

SampledCollective row_of(MicrokernelBranch const& branch,
                         std::string const& algorithm,
                         std::string const& protocol,
                         std::int64_t ranks,
                         std::int64_t bytes) {
    SampledCollective row;
    row.suite = "microkernel";
    row.op = name_of(branch.op);
    row.algorithm = algorithm;
    row.protocol = protocol;
    row.wiring = "host";
    row.ranks = ranks;
    row.bytes = bytes;
    auto const terms = microkernel_terms(branch, ranks, static_cast<double>(bytes));
    row.seconds = terms.latency + terms.transfer;
    return row;
}

MicrokernelSection section_of(FittedMicrokernels const& fitted) {
    return read_spec<MicrokernelSection>(fitted.section.yaml, nullptr);
}

TEST(FitMicrokernels, FindsPlantedConstantsOfSeveralRankCounts) {
    auto const branch = planted(CollectiveOp::all_reduce, CollectiveAlgorithm::micro_ring_ll);
    std::vector<SampledCollective> rows;
    for (std::int64_t const ranks : {2, 4, 8}) {
        for (std::int64_t bytes = 4096; bytes <= (16 << 20); bytes *= 4) {
            rows.push_back(row_of(branch, "ring", "ll", ranks, bytes));
        }
    }
    auto const fitted = fit_microkernels(rows, {"samples.h5", ""});
    auto const section = section_of(fitted);
    ASSERT_EQ(section.branches.size(), 1U);
    auto const& found = section.branches[0];
    EXPECT_EQ(found.algorithm, CollectiveAlgorithm::micro_ring_ll);
    EXPECT_NEAR(found.base.count, 3e-6, 0.05e-6);
    EXPECT_NEAR(found.step.count, 0.7e-6, 0.02e-6);
    EXPECT_NEAR(found.bandwidth.count, 5e9, 0.1e9);
    EXPECT_NEAR(found.copies, 0.4, 0.04);
    EXPECT_LT(fitted.section.fits.at(0).in_sample.worst, 0.01);
}

TEST(FitMicrokernels, LeavesUndeterminedConstantsOutForOneRankCount) {
    auto const branch = planted(CollectiveOp::all_reduce, CollectiveAlgorithm::one_shot_bulk);
    std::vector<SampledCollective> rows;
    for (std::int64_t bytes = 4096; bytes <= (16 << 20); bytes *= 4) {
        rows.push_back(row_of(branch, "one_shot", "bulk", 2, bytes));
    }
    auto const fitted = fit_microkernels(rows, {"samples.h5", ""});
    EXPECT_EQ(fitted.section.fits.at(0).parameters, 2U);
    auto const found = section_of(fitted).branches.at(0);
    EXPECT_EQ(found.base.count, 0);
    EXPECT_EQ(found.copies, 0);
    EXPECT_NEAR(found.step.count, 3.7e-6, 0.05e-6);         // base and the one step together
    EXPECT_NEAR(found.bandwidth.count, 5e9 / 1.4, 0.05e9);  // 1 + 0.4 buffers at 5 GB/s
}

TEST(FitMicrokernels, SetsASpoiltBlockAside) {
    auto const branch = planted(CollectiveOp::alltoall, CollectiveAlgorithm::direct_bulk);
    std::vector<SampledCollective> rows;
    for (std::int64_t bytes = 4096; bytes <= (16 << 20); bytes *= 2) {
        rows.push_back(row_of(branch, "direct", "bulk", 2, bytes));
    }
    rows[6].seconds *= 5;  // a robust fit is not drawn to it
    auto const fitted = fit_microkernels(rows, {"samples.h5", ""});
    EXPECT_LT(fitted.section.fits.at(0).in_sample.median, 0.03);
}

TEST(FitMicrokernels, CountsBothTimesOfAnAllReduceAndOneOfOthers) {
    auto const reduce = planted(CollectiveOp::all_reduce, CollectiveAlgorithm::ring_bulk);
    auto const gather = planted(CollectiveOp::all_gather, CollectiveAlgorithm::direct_bulk);
    std::vector<SampledCollective> rows;
    for (std::int64_t bytes = 4096; bytes <= (16 << 20); bytes *= 4) {
        for (std::int64_t const in_place : {0, 1}) {
            rows.push_back(row_of(reduce, "ring", "bulk", 2, bytes));
            rows.back().in_place = in_place;
            rows.push_back(row_of(gather, "direct", "bulk", 2, bytes));
            rows.back().in_place = in_place;
            if (in_place == 1) rows.back().seconds /= 2;  // no copy: would spoil the fit
        }
    }
    auto const fitted = fit_microkernels(rows, {"samples.h5", ""});
    ASSERT_EQ(fitted.section.fits.size(), 2U);
    EXPECT_EQ(fitted.section.fits[0].rows, 14U);
    EXPECT_EQ(fitted.section.fits[0].parameters, 2U);  // 7 points, though 14 rows
    EXPECT_EQ(fitted.section.fits[1].rows, 7U);
    EXPECT_LT(fitted.section.fits[1].in_sample.worst, 0.01);
    ASSERT_EQ(fitted.notes.size(), 1U);
    EXPECT_NE(fitted.notes[0].find("7 rows of operations in place other than all_reduce"),
              std::string::npos);
}

TEST(FitMicrokernels, LeavesUnknownRowsAside) {
    auto const branch = planted(CollectiveOp::all_reduce, CollectiveAlgorithm::ring_bulk);
    auto unknown = row_of(branch, "ring", "bulk", 2, 4096);
    unknown.algorithm = "spiral";
    auto const fitted = fit_microkernels({unknown}, {"samples.h5", ""});
    EXPECT_FALSE(fitted.section.yaml.is_map());
    ASSERT_EQ(fitted.notes.size(), 1U);
    EXPECT_NE(fitted.notes[0].find("spiral"), std::string::npos);
}

/// A dispatch of `tokens` a rank over `ranks`: a message to each peer takes 2 us, and the rows
/// that leave travel at 4 GB/s.
SampledCollective dispatch(std::int64_t ranks, std::int64_t tokens, double ranks_hit) {
    SampledCollective row;
    row.suite = "microkernel";
    row.op = "moe_dispatch";
    row.algorithm = "direct";
    row.protocol = "bulk";
    row.wiring = "host";
    row.ranks = ranks;
    row.tokens = tokens;
    row.top_k = 8;
    row.bytes = tokens * 14336;
    auto const n = static_cast<double>(ranks);
    double const leave = static_cast<double>(row.bytes) * ranks_hit * (n - 1) / n;
    row.seconds = 2e-6 * (n - 1) + leave / 4e9;
    return row;
}

// Of 64 experts on 2 ranks 8 differ: a rank is missed with (32 over 8) / (64 over 8) = 10518300 /
// 4426165368 = 0.0023764; 2 (1 - 0.0023764) = 1.995247. Of 128 on 4: (96 over 8) / (128 over 8) =
// 0.0927473 (96 95 94 93 92 91 90 89 / 128 127 126 125 124 123 122 121), 4 (1 - that) = 3.629011.
TEST(FitMicrokernels, MovesATokenOnceToEachRankThatHoldsOneOfItsExperts) {
    std::vector<SampledCollective> rows;
    for (std::int64_t tokens = 4; tokens <= 4096; tokens *= 4) {
        rows.push_back(dispatch(2, tokens, 1.995247));
        rows.push_back(dispatch(4, tokens, 3.629011));
    }
    auto const fitted = fit_microkernels(rows, {"samples.h5", ""});
    EXPECT_FALSE(fitted.section.yaml.is_map());  // no query asks for it
    ASSERT_EQ(fitted.unpriced.size(), 1U);
    EXPECT_EQ(fitted.unpriced[0].precision, "moe_dispatch direct-bulk");
    EXPECT_EQ(fitted.unpriced[0].rows, 12U);
    EXPECT_LT(fitted.unpriced[0].in_sample.worst, 0.002);
    ASSERT_EQ(fitted.notes.size(), 1U);
    EXPECT_NE(fitted.notes[0].find("moe_dispatch direct-bulk: 2 us a message"), std::string::npos)
        << fitted.notes[0];
}

TEST(FitMicrokernels, RefusesSeveralWirings) {
    auto const branch = planted(CollectiveOp::all_reduce, CollectiveAlgorithm::ring_bulk);
    auto host = row_of(branch, "ring", "bulk", 2, 4096);
    auto peer = row_of(branch, "ring", "bulk", 2, 8192);
    peer.wiring = "peer";
    EXPECT_THROW((void)fit_microkernels({host, peer}, {"samples.h5", ""}), ConfigError);
}

TEST(FitMicrokernels, NamesAlgorithmsAsTheSamplesDo) {
    EXPECT_EQ(microkernel_named("one_shot", "ll"), CollectiveAlgorithm::one_shot_ll);
    EXPECT_EQ(microkernel_named("ring", "ll"), CollectiveAlgorithm::micro_ring_ll);
    EXPECT_EQ(microkernel_named("nvls", "multicast"), CollectiveAlgorithm::nvls_multicast);
    EXPECT_EQ(microkernel_named("ring", "simple"), std::nullopt);  // NCCL's
    EXPECT_EQ(microkernel_named("tree", "ll"), std::nullopt);
}

}  // namespace
}  // namespace nvl72
