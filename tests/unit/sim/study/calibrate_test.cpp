#include "sim/study/calibrate.hpp"

#include "sim/base/error.hpp"
#include "sim/cost/profile.hpp"
#include "tests/support/folder.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

namespace fs = std::filesystem;

using support::folder;

std::string message_of(std::function<void()> const& action) {
    try {
        action();
        return "no error";
    } catch (ConfigError const& error) {
        return error.what();
    }
}

/// BF16 GEMM times of an invented machine: 2 us, and 500 TFLOP/s or 2 TB/s, the slower.
std::string invented_gemms() {
    std::string text = "dtype,m,n,k,time_us\n";
    for (double m : {1, 64, 512, 4096}) {
        for (double n : {1024, 4096, 8192}) {
            for (double k : {1024, 4096, 8192}) {
                double const compute = 2 * m * n * k / 500e6;
                double const memory = 2 * (m * k + n * k + m * n) / 2e6;
                text +=
                    fmt::format("bfloat16,{},{},{},{}\n", m, n, k, 2 + std::max(compute, memory));
            }
        }
    }
    return text;
}

TEST(Calibrate, ATableOfAUsersOwnBecomesAProfileThatTheSisterCompletes) {
    auto const path = folder("own-table", {{"mine.csv", invented_gemms()}});
    Library const library(NVL72_SOURCE_DIR "/configs");
    auto const data =
        read_measured_data({path + "/mine.csv"}, Library(NVL72_SOURCE_DIR "/configs"), "h200");
    auto const calibration = calibrate_profile(data, library);
    auto const file = path + "/h200.yaml";
    std::ofstream(file) << calibration.text;
    auto const profile = load_profile(library, file);
    auto const measured = cost(profile, Gemm{Precision::bf16, 4096, 8192, 8192}, Load::burst);
    EXPECT_EQ(measured.basis.kind, BasisKind::on_grid);
    EXPECT_NEAR(to_microseconds(measured.time), 2 + 1099.5, 100);
    Attention attention;
    EXPECT_EQ(cost(profile, attention, Load::burst).basis.why, "attention scaled from h100");
}

TEST(Calibrate, SectionsWithoutRowsStayAsShipped) {
    auto const path = folder("gemm-only", {{"mine.csv", invented_gemms()}});
    Library const library(NVL72_SOURCE_DIR "/configs");
    auto const data =
        read_measured_data({path + "/mine.csv"}, Library(NVL72_SOURCE_DIR "/configs"), "h100");
    auto const file = path + "/h100.yaml";
    std::ofstream(file) << calibrate_profile(data, library).text;
    auto const mine = load_profile(library, file);
    auto const shipped = load_profile(library, "h100");
    EXPECT_EQ(mine.gemm->precisions.size(), 1U);
    EXPECT_EQ(mine.attention->precisions.size(), shipped.attention->precisions.size());
    EXPECT_EQ(mine.collectives.has_value(), shipped.collectives.has_value());
    Attention attention;
    EXPECT_EQ(cost(mine, attention, Load::burst).time, cost(shipped, attention, Load::burst).time);
}

TEST(Calibrate, RunsOfAnotherGpuAndTooFewRunsAreLeftAsideWithANote) {
    auto const path = folder("other-runs", {{"mine.csv", invented_gemms()}});
    Library const library(NVL72_SOURCE_DIR "/configs");
    std::string const runs = NVL72_SOURCE_DIR "/configs/experiments/llama-dense-published.yaml";
    auto const data = read_measured_data({path + "/mine.csv", runs}, library, "h100");
    ASSERT_EQ(data.experiments.size(), 1U);
    auto const calibration = calibrate_profile(data, library);
    ASSERT_EQ(calibration.notes.size(), 2U);
    EXPECT_EQ(calibration.notes[0], runs + ": 4 published runs of other GPUs left aside");
    EXPECT_EQ(calibration.notes[1],
              "2 published runs of h100: too few (expected 3) to fit sustained to");
    // Then the factor stays as shipped.
    Value const shipped = load_yaml(NVL72_SOURCE_DIR "/configs/calibration/h100.yaml");
    EXPECT_NE(calibration.text.find("sustained: {value: " + shipped.find("sustained")->scalar),
              std::string::npos);
}

TEST(Calibrate, TooFewRowsAreAnErrorThatSaysHowManyItTakes) {
    auto const path = folder("one-row", {{"one.csv",
                                          "gpu,kind,precision,m,n,k,time_us\n"
                                          "h100,gemm,bf16,1,1,1,1\n"}});
    Library const library(NVL72_SOURCE_DIR "/configs");
    auto const data = read_measured_data({path + "/one.csv"}, library, "h100");
    EXPECT_EQ(message_of([&] { (void)calibrate_profile(data, library); }),
              "one.csv: 1 gemm rows for 8 constants (expected at least 24)");
}

}  // namespace
}  // namespace nvl72
