#include "sim/cost/profile.hpp"

#include "sim/base/error.hpp"
#include "tests/support/small_experiment.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

namespace nvl72 {
namespace {

namespace fs = std::filesystem;

Library shipped() { return Library(NVL72_SOURCE_DIR "/configs"); }

/// The H100's profile with one text replaced, loaded; or what the error says, without its folder.
std::string error_of(std::string const& from, std::string const& to) {
    std::ifstream in(NVL72_SOURCE_DIR "/configs/calibration/h100.yaml");
    std::ostringstream buffer;
    buffer << in.rdbuf();
    auto text = buffer.str();
    auto const at = text.find(from);
    if (at == std::string::npos) return "the profile lacks " + from;
    text.replace(at, from.size(), to);
    auto const file = fs::path(testing::TempDir()) / "edited-profile.yaml";
    std::ofstream(file) << text;
    try {
        (void)load_profile(shipped(), file.string());
        return "no error";
    } catch (ConfigError const& error) {
        std::string const message = error.what();
        return message.substr(message.find("edited-profile.yaml"));
    }
}

TEST(Profile, EveryShippedOneIsOfAGpuWithThatName) {
    auto const library = shipped();
    auto gpus = library.names("gpus");
    std::erase(gpus, "localhost");  // nothing is known of a CPU before it is measured
    ASSERT_EQ(library.names("calibration"), gpus);
    for (auto const& name : library.names("calibration")) {
        EXPECT_EQ(load_profile(library, name).gpu, name);
    }
}

TEST(Profile, EveryValueOfAMeasuredOneHasASource) {
    for (char const* name : {"h100", "b200", "gb200"}) {
        Trail trail;
        (void)load_profile(shipped(), name, {}, &trail);
        for (auto const& value : trail) {
            if (value.key != "gpu" && value.from != "default") {
                EXPECT_FALSE(value.source.empty()) << name << ' ' << value.key;
            }
        }
    }
}

TEST(Profile, TheH200IsAnH100WithFasterMemory) {
    auto const h100 = load_profile(shipped(), "h100");
    auto const h200 = load_profile(shipped(), "h200");
    EXPECT_DOUBLE_EQ(h200.gemm->hbm.count, h100.gemm->hbm.count * (4.8 / 3.35));
    EXPECT_DOUBLE_EQ(h200.gemm->precisions[0].second.peak.count,
                     h100.gemm->precisions[0].second.peak.count);
    EXPECT_DOUBLE_EQ(h200.memory->rate.count, h100.memory->rate.count * (4.8 / 3.35));
    EXPECT_EQ(h200.sustained, h100.sustained);
    auto const basis = cost(h200, Gemm{Precision::bf16, 4096, 4096, 4096}, Load::burst).basis;
    EXPECT_EQ(basis.kind, BasisKind::datasheet);
    EXPECT_EQ(basis.why, "gemm scaled from h100");
}

TEST(Profile, TheA100HasNoFp8) {
    auto const a100 = load_profile(shipped(), "a100-80gb");
    EXPECT_GT(cost(a100, Gemm{Precision::bf16, 4096, 4096, 4096}, Load::burst).time.count, 0);
    EXPECT_THROW((void)cost(a100, Gemm{Precision::fp8, 4096, 4096, 4096}, Load::burst),
                 ConfigError);
    EXPECT_THROW((void)cost(load_profile(shipped(), "h100"), Gemm{Precision::mxfp8, 64, 64, 64},
                            Load::burst),
                 ConfigError);
}

TEST(Profile, TheB200KeepsItsOwnGemmsAndBorrowsAttention) {
    auto const b200 = load_profile(shipped(), "b200");
    EXPECT_EQ(cost(b200, Gemm{Precision::bf16, 4096, 4096, 4096}, Load::burst).basis.kind,
              BasisKind::on_grid);
    Attention attention;
    attention.query_tokens = attention.kv_tokens = 4096;
    attention.heads = attention.kv_heads = 8;
    EXPECT_EQ(cost(b200, attention, Load::burst).basis.why, "attention scaled from gb200");
    attention.heads = 16;
    EXPECT_EQ(cost(load_profile(shipped(), "gb200"), attention, Load::burst).basis.kind,
              BasisKind::on_grid);
}

TEST(Profile, AGivenRatioReplacesTheDatasheets) {
    support::TemporaryFile const file(
        "gpu: gb300\nscaled_from: gb200\ncompute: {source: 'assumed: a test', bf16: 1.5}\n",
        ".yaml");
    auto const gb200 = load_profile(shipped(), "gb200");
    auto const gb300 = load_profile(shipped(), file.path());
    ASSERT_EQ(gb200.gemm->precisions[0].first, "bf16");
    EXPECT_DOUBLE_EQ(gb300.gemm->precisions[0].second.peak.count,
                     1.5 * gb200.gemm->precisions[0].second.peak.count);
}

TEST(Profile, SustainedLoadSlowsComputeAndSparesMemory) {
    auto const profile = load_profile(shipped(), "h100");
    auto const ratio = [&](Query const& query) {
        return cost(profile, query, Load::sustained).time / cost(profile, query, Load::burst).time;
    };
    EXPECT_NEAR(ratio(Gemm{Precision::bf16, 16384, 16384, 16384}), profile.sustained, 0.01);
    EXPECT_NEAR(ratio(Gemm{Precision::bf16, 1, 16384, 16384}), 1, 0.01);
    // 64 heads over 65536 tokens: scores take far longer than queries, keys and values move.
    EXPECT_NEAR(ratio(Attention{Precision::bf16, 1, 65536, 65536, 64, 8, 128}), profile.sustained,
                0.02);
    EXPECT_EQ(ratio(MemoryTraffic{Bytes{1'000'000'000}, 1}), 1);
}

TEST(Profile, MemoryTakesItsLaunchesAndItsTraffic) {
    MemorySection section;
    section.rate = BytesPerSecond{2e12};
    section.launch = Seconds{3e-6};
    auto const price = memory_cost(section, MemoryTraffic{Bytes{4'000'000}, 2});  // 2 x 3 us + 2 us
    EXPECT_EQ(price.time.count, 8'000'000);
    EXPECT_EQ(price.bandwidth_part.count, 2'000'000);
    EXPECT_EQ(price.basis.kind, BasisKind::interpolated);
}

TEST(Profile, BadValuesNameTheirPlace) {
    EXPECT_EQ(error_of("hbm: ", "hbm: 0 B/s #"),
              "edited-profile.yaml:4: gemm.hbm: 0 (expected more than 0)");
    EXPECT_EQ(error_of("overlap_norm: ", "overlap_nrom: 2 #"),
              "edited-profile.yaml:9: gemm.overlap_nrom: unknown key, did you mean overlap_norm? "
              "(expected "
              "hbm, l2, split, overlap_norm, m, n, k, precisions, likened)");
    EXPECT_NE(
        error_of("m: {value: [1, 16", "m: {value: [16, 1").find("gemm.m: points out of order"),
        std::string::npos);
    EXPECT_NE(error_of("bf16:", "bf17:").find("unknown precision 'bf17'"), std::string::npos);
    EXPECT_NE(error_of("gpu: h100", "gpu: h111").find("gpu: unknown 'h111'"), std::string::npos);
    EXPECT_NE(error_of("memory:", "memoir:").find("unknown key"), std::string::npos);
    EXPECT_NE(error_of("gpu: h100\n", "gpu: h100\nscaled_from: h200\n").find("no error"),
              std::string::npos);
}

TEST(Profile, ASectionLeftOutNeedsASister) {
    auto const file = fs::path(testing::TempDir()) / "lone-profile.yaml";
    std::ofstream(file) << "gpu: h100\nsustained: 1\n";
    try {
        (void)load_profile(shipped(), file.string());
        FAIL() << "no error";
    } catch (ConfigError const& error) {
        EXPECT_NE(std::string(error.what())
                      .find("no gemm (expected gemm, or scaled_from another profile)"),
                  std::string::npos);
    }
}

}  // namespace
}  // namespace nvl72
