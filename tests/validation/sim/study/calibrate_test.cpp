#include "sim/study/calibrate.hpp"

#include <cstdio>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

namespace nvl72 {
namespace {

class Calibrate : public testing::TestWithParam<char const*> {
protected:
    static Library library() { return Library(NVL72_SOURCE_DIR "/configs"); }
    static MeasuredData data() {
        return read_measured_data({NVL72_SOURCE_DIR "/configs/measurements"}, library(),
                                  GetParam());
    }
};

TEST_P(Calibrate, TheShippedProfileIsWhatTheTablesFitTo) {
    std::ifstream in(NVL72_SOURCE_DIR "/configs/calibration/" + std::string(GetParam()) + ".yaml");
    std::ostringstream shipped;
    shipped << in.rdbuf();
    auto const calibration = calibrate_profile(data(), library(), false);
    EXPECT_EQ(calibration.text, shipped.str());
    EXPECT_TRUE(calibration.kept.empty());  // so nothing of it came from the shipped file itself
}

/// Medians that the fits reach, with some room; where no constant was fitted there is no promise.
double median_promised(SectionFit const& fit) {
    if (fit.section == "gemm") return 0.06;
    if (fit.section == "attention") return 0.08;
    return fit.precision == "ring-ll128" ? 0.06 : 0.04;
}

TEST_P(Calibrate, FitsTheTablesAndWhatItWasNotShown) {
    for (auto const& fit : calibrate_profile(data(), library(), true).fits) {
        std::printf(
            "%s %s %s: median %.1f %%, p95 %.1f %%, worst %.0f %%; left out %.1f %%, %.1f %%, %.0f "
            "%%\n",
            GetParam(), fit.section.c_str(), fit.precision.c_str(), 100 * fit.in_sample.median,
            100 * fit.in_sample.p95, 100 * fit.in_sample.worst, 100 * fit.left_out->median,
            100 * fit.left_out->p95, 100 * fit.left_out->worst);
        if (fit.parameters == 0) continue;
        EXPECT_LE(fit.in_sample.median, median_promised(fit)) << fit.precision;
        // Few sizes are at the ends of a collective branch, and each fold leaves one of them out.
        double const more = fit.section == "collectives" || fit.section == "training" ? 2 : 1.5;
        EXPECT_LE(fit.left_out->median, more * fit.in_sample.median) << fit.precision;
        EXPECT_LE(fit.left_out->p95, more * fit.in_sample.p95) << fit.precision;
    }
}

INSTANTIATE_TEST_SUITE_P(Gpus,
                         Calibrate,
                         testing::Values("h100", "b200", "gb200"),
                         [](auto const& info) { return std::string(info.param); });

}  // namespace
}  // namespace nvl72
