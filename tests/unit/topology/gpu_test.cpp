#include "topology/gpu.hpp"

#include "sim/base/error.hpp"
#include "tests/support/small_experiment.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

using support::shipped_library;
using support::TemporaryFile;

/// What a GPU with these peaks is told, without the file's name; "" where it loads.
std::string refusal(std::string const& architecture, int sms, std::string const& peaks) {
    TemporaryFile const file(
        fmt::format("title: a GPU\narchitecture: {}\nsms: {}\npeak: {{{}}}\nhbm_capacity: 80 GB\n"
                    "hbm_reserve: 1 GiB\nhbm_bandwidth: 3 TB/s\nl2: 50 MB\ntdp: 700 W\n",
                    architecture, sms, peaks),
        ".yaml");
    try {
        (void)load_gpu(shipped_library(), file.path(), {});
    } catch (ConfigError const& error) {
        std::string const text = error.what();
        EXPECT_EQ(text.find('\n'), std::string::npos);
        EXPECT_EQ(text.find(file.path() + ":4: "), 0U) << text;
        return text.substr(file.path().size() + 4);
    }
    return "";
}

}  // namespace

TEST(GpuPeaks, OfEveryShippedGpuAreDense) {
    auto const library = shipped_library();
    for (auto const& name : library.names("gpus")) {
        EXPECT_NO_THROW((void)load_gpu(library, name, {})) << name;
    }
}

// The H100's datasheet: 1979 TFLOP/s of BF16 and 3958 of FP8, "with sparsity".
TEST(GpuPeaks, SparseFp8BesideDenseBf16IsRefusedWithTheLikelyCause) {
    EXPECT_EQ(refusal("hopper", 132, "bf16: 989.4 TFLOP/s, fp8: 1978.9 TFLOP/s"), "");
    EXPECT_EQ(refusal("hopper", 132, "bf16: 989.4 TFLOP/s, fp8: 3958 TFLOP/s"),
              "peak.fp8: 3958 TFLOP/s, 4.00 times bf16 (expected a dense peak, 1 to 2.2 times "
              "bf16; datasheets print sparse figures, twice the dense ones)");
}

// 1979e12 / 132 SMs / 4096 FLOP per clock = 3.66 GHz: no Hopper runs at that.
TEST(GpuPeaks, SparseFiguresThroughoutAreRefusedByTheirClock) {
    EXPECT_EQ(refusal("hopper", 132, "bf16: 1979 TFLOP/s, fp8: 3958 TFLOP/s"),
              "peak.bf16: 1979 TFLOP/s, which 132 SMs reach at 3.66 GHz (expected a dense peak, at "
              "most 2.5 GHz; datasheets print sparse figures, twice the dense ones)");
    EXPECT_NE(refusal("ampere", 108, "bf16: 624 TFLOP/s"), "");
    EXPECT_EQ(refusal("ampere", 108, "bf16: 312 TFLOP/s"), "");
    EXPECT_NE(refusal("blackwell", 148, "bf16: 4500 TFLOP/s"), "");
}

TEST(GpuPeaks, SparseNvfp4BesideDenseFp8IsRefused) {
    std::string const b200 = "bf16: 2250 TFLOP/s, fp8: 4500 TFLOP/s, nvfp4: ";
    EXPECT_EQ(refusal("blackwell", 148, b200 + "9000 TFLOP/s"), "");
    EXPECT_EQ(refusal("blackwell", 148, b200 + "13500 TFLOP/s"), "") << "B300";
    EXPECT_NE(refusal("blackwell", 148, b200 + "18000 TFLOP/s"), "");
}

// A slip of the unit: less in fewer bits.
TEST(GpuPeaks, FewerBitsAreNeverSlower) {
    EXPECT_NE(refusal("hopper", 132, "bf16: 989.4 TFLOP/s, fp8: 197.9 TFLOP/s"), "");
}

}  // namespace nvl72
