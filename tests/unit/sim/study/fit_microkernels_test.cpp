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

TEST(FitMicrokernels, LeavesInPlaceAndUnknownRowsAside) {
    auto const branch = planted(CollectiveOp::all_reduce, CollectiveAlgorithm::ring_bulk);
    auto in_place = row_of(branch, "ring", "bulk", 2, 4096);
    in_place.in_place = 1;
    auto moe = row_of(branch, "direct", "ll", 2, 4096);
    moe.op = "moe_dispatch";
    auto const fitted = fit_microkernels({in_place, moe}, {"samples.h5", ""});
    EXPECT_FALSE(fitted.section.yaml.is_map());
    ASSERT_EQ(fitted.notes.size(), 1U);
    EXPECT_NE(fitted.notes[0].find("moe_dispatch"), std::string::npos);
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
