#include "sim/study/calibrate.hpp"

#include "sim/base/error.hpp"
#include "sim/cost/profile.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

namespace fs = std::filesystem;

/// A fresh folder with these files.
std::string folder(std::string const& name,
                   std::vector<std::pair<std::string, std::string>> const& files) {
    auto const path = fs::path(testing::TempDir()) / name;
    fs::remove_all(path);
    fs::create_directories(path);
    for (auto const& file : files) std::ofstream(path / file.first) << file.second;
    return path.string();
}

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

TEST(Calibrate, AFolderLeavesOtherTablesAsideAndSaysSo) {
    auto const path = folder(
        "mixed", {{"a.csv", invented_gemms()}, {"b.csv", "city,people\nBern,1\n"}, {"c.txt", ""}});
    auto const data = read_measured_data({path}, Library(NVL72_SOURCE_DIR "/configs"), "h100");
    EXPECT_EQ(data.samples.size(), 36U);
    EXPECT_EQ(data.gemm_origin, "a.csv");
    ASSERT_EQ(data.notes.size(), 1U);
    EXPECT_NE(data.notes[0].find("b.csv: no table of measurements that we read, left aside"),
              std::string::npos);
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

TEST(Calibrate, BadInputSaysWhatIsMissing) {
    auto const path = folder("bad", {{"two.csv",
                                      "gpu,kind,precision,m,n,k,time_us\nh100,gemm,bf16,1,1,1,1\n"
                                      "b200,gemm,bf16,1,1,1,1\n"},
                                     {"empty.csv", "dtype,m,n,k,time_us\n"}});
    auto const empty = folder("empty", {});
    auto const file = [&](char const* name) { return std::vector<std::string>{path + "/" + name}; };
    EXPECT_EQ(message_of([&] {
                  (void)read_measured_data({empty}, Library(NVL72_SOURCE_DIR "/configs"), "");
              }),
              empty +
                  ": nothing measured in this folder (expected a table of kernels or "
                  "collectives (CSV), an nccl-tests log, samples of nvl72-measure, an "
                  "experiment (YAML), or a folder of these)");
    EXPECT_EQ(message_of([&] {
                  (void)read_measured_data({"/no/such"}, Library(NVL72_SOURCE_DIR "/configs"), "");
              }),
              "/no/such: no such file");
    EXPECT_EQ(message_of([&] {
                  (void)read_measured_data(file("empty.csv"), Library(NVL72_SOURCE_DIR "/configs"),
                                           "h100");
              }),
              "--from: no GEMM, attention, MoE or collective rows, and no samples");
    EXPECT_EQ(message_of([&] {
                  (void)read_measured_data(file("two.csv"), Library(NVL72_SOURCE_DIR "/configs"),
                                           "");
              }),
              "--from: rows of b200, h100 (expected one GPU, or --gpu NAME)");
    EXPECT_EQ(message_of([&] {
                  (void)read_measured_data(file("two.csv"), Library(NVL72_SOURCE_DIR "/configs"),
                                           "gb200");
              }),
              "--gpu: no rows of gb200 (they are of b200, h100)");
    Library const library(NVL72_SOURCE_DIR "/configs");
    EXPECT_EQ(
        message_of([&] {
            (void)calibrate_profile(
                read_measured_data(file("two.csv"), Library(NVL72_SOURCE_DIR "/configs"), "h100"),
                library);
        }),
        "two.csv: 1 gemm rows for 8 constants (expected at least 24)");
}

}  // namespace
}  // namespace nvl72
