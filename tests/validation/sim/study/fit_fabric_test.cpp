#include "sim/study/fit_fabric.hpp"

#include "sim/collective/collective.hpp"
#include "sim/cost/profile.hpp"
#include "sim/cost/spread.hpp"
#include "sim/study/calibrate.hpp"
#include "sim/study/measured_data.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

namespace nvl72 {
namespace {

Library const& library() {
    static Library const shipped(NVL72_SOURCE_DIR "/configs");
    return shipped;
}

MeasuredCollectives const& measured() {
    static MeasuredCollectives const all =
        read_measured_collectives({NVL72_SOURCE_DIR "/configs/measurements"}, library(), {});
    return all;
}

SectionFit const& band_of(FittedFabric const& fabric, std::string const& band) {
    return *std::ranges::find(fabric.fits, band, &SectionFit::precision);
}

class FitFabric : public testing::TestWithParam<char const*> {};

TEST_P(FitFabric, TheShippedFileIsWhatItsSitesFitTo) {
    std::ifstream in(NVL72_SOURCE_DIR "/configs/fabrics/" + std::string(GetParam()) + ".yaml");
    std::ostringstream shipped;
    shipped << in.rdbuf();
    auto const fabric = fit_fabric(GetParam(), measured().samples, measured().origin, library());
    EXPECT_EQ(fabric.text, shipped.str());
}

INSTANTIATE_TEST_SUITE_P(
    Fabrics,
    FitFabric,
    testing::Values("infiniband", "unknown", "efa", "roce", "slingshot", "tcpx", "tcpxo"),
    [](auto const& info) { return std::string(info.param); });

/// What is asked of a calibrated fabric, in the fit.
TEST(FitFabricAccuracy, InfinibandIsWithinFivePercentForLargeBuffersAndTenForMiddleOnes) {
    auto const fabric = fit_fabric("infiniband", measured().samples, measured().origin, library());
    EXPECT_LE(band_of(fabric, "across, large").in_sample.median, 0.05);
    EXPECT_LE(band_of(fabric, "across, large").in_sample.p95, 0.20);
    EXPECT_LE(band_of(fabric, "across, middle").in_sample.median, 0.10);
    EXPECT_LE(band_of(fabric, "across, middle").in_sample.p95, 0.40);
}

/// Of a whole cluster that was left out only its NICs and their rate are known.
TEST(FitFabricAccuracy, AClusterLeftOutIsWithinEightPercentForLargeBuffers) {
    auto samples = measured().samples;
    std::erase_if(samples, [](auto const& sample) { return sample.fabric == "slingshot"; });
    auto const fabric = fit_fabric("unknown", samples, measured().origin, library());
    auto const& errors = band_of(fabric, "across, large").left_out;
    std::printf("cluster left out, from 256 MB: median %.1f %%, 95th percentile %.1f %%\n",
                100 * errors.median, 100 * errors.p95);
    EXPECT_LE(errors.median, 0.08);
    EXPECT_LE(errors.p95, 0.35);
}

struct Held {
    int judged = 0, covered = 0, sends = 0, sends_covered = 0;
};

/// The H100's rows of `ranks` across boxes, by a fit without them and its own intervals.
void hold_out(std::int64_t ranks, Held& held) {
    auto data = read_measured_data({NVL72_SOURCE_DIR "/configs/measurements"}, library(), "h100");
    data.samples.clear();
    data.experiments.clear();
    std::vector<CollectiveSample> left;
    std::erase_if(data.collectives, [&](CollectiveSample const& sample) {
        bool const out = sample.gpu == "h100" && sample.query.shape.domains > 1 &&
                         sample.query.shape.ranks == ranks && sample.fabric == "infiniband";
        if (out) left.push_back(sample);
        return out;
    });
    ASSERT_FALSE(left.empty()) << ranks;
    auto const file =
        std::filesystem::path(testing::TempDir()) / ("h100-" + std::to_string(ranks) + ".yaml");
    std::ofstream(file) << calibrate_profile(data, library()).text;
    auto const profile = load_profile(library(), file.string());
    for (auto const& sample : left) {
        Collective query = sample.query;
        query.shape.in_domain = profile.collectives->nvlink;
        query = plan_collective(profile, query.op, query.size, query.shape, query.bytes_per_element,
                                sample.algorithm, query.launch)
                    .query;
        auto const cost = collective_cost(*profile.collectives, query);
        auto const spread = spread_at(profile.spread, part_of(query), cost.basis.kind);
        double const ratio = sample.seconds / to_seconds(cost.time);
        bool const inside = spread.low <= ratio && ratio <= spread.high;
        ++held.judged;
        held.covered += inside ? 1 : 0;
        if (query.op != CollectiveOp::sendrecv) continue;
        ++held.sends;
        held.sends_covered += inside ? 1 : 0;
    }
}

TEST(FitAcrossBoxes, IntervalsHoldANumberOfGpusThatWasLeftOut) {
    Held held;
    for (std::int64_t const ranks : {16, 20, 32, 64, 80}) {
        Held own;
        hold_out(ranks, own);
        std::printf("without %ld GPUs: %d of %d rows covered, %d of %d sends\n",
                    static_cast<long>(ranks), own.covered, own.judged, own.sends_covered,
                    own.sends);
        held.judged += own.judged;
        held.covered += own.covered;
        held.sends += own.sends;
        held.sends_covered += own.sends_covered;
    }
    EXPECT_GE(held.covered, 0.7 * held.judged);
    EXPECT_LE(held.covered, 0.95 * held.judged);  // of five counts; rows of one err alike
    EXPECT_GE(held.sends_covered, 0.7 * held.sends);
}

}  // namespace
}  // namespace nvl72
