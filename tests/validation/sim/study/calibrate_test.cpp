#include "sim/study/calibrate.hpp"

#include <cstdio>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

namespace nvl72 {
namespace {

class CalibrateKernels : public testing::TestWithParam<char const*> {
protected:
    static Library library() { return Library(NVL72_SOURCE_DIR "/configs"); }
    static KernelData data() {
        return read_kernel_data({NVL72_SOURCE_DIR "/configs/measurements/kernels"}, GetParam());
    }
};

TEST_P(CalibrateKernels, TheShippedProfileIsWhatTheTablesFitTo) {
    std::ifstream in(NVL72_SOURCE_DIR "/configs/calibration/" + std::string(GetParam()) + ".yaml");
    std::ostringstream shipped;
    shipped << in.rdbuf();
    EXPECT_EQ(calibrate_kernels(data(), library(), false).text, shipped.str());
}

TEST_P(CalibrateKernels, FitsTheTablesAndWhatItWasNotShown) {
    for (auto const& fit : calibrate_kernels(data(), library(), true).fits) {
        std::printf(
            "%s %s %s: median %.1f %%, p95 %.1f %%, worst %.0f %%; left out %.1f %%, %.1f %%, %.0f "
            "%%\n",
            GetParam(), fit.section.c_str(), fit.precision.c_str(), 100 * fit.in_sample.median,
            100 * fit.in_sample.p95, 100 * fit.in_sample.worst, 100 * fit.left_out->median,
            100 * fit.left_out->p95, 100 * fit.left_out->worst);
        EXPECT_LE(fit.in_sample.median, fit.section == "gemm" ? 0.06 : 0.08) << fit.precision;
        EXPECT_LE(fit.left_out->median, 1.5 * fit.in_sample.median) << fit.precision;
        EXPECT_LE(fit.left_out->p95, 1.5 * fit.in_sample.p95) << fit.precision;
    }
}

INSTANTIATE_TEST_SUITE_P(Gpus,
                         CalibrateKernels,
                         testing::Values("h100", "b200", "gb200"),
                         [](auto const& info) { return std::string(info.param); });

}  // namespace
}  // namespace nvl72
