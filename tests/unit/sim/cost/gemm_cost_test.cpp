#include "sim/cost/gemm_cost.hpp"

#include "sim/base/error.hpp"

#include <cmath>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

/// 128 x 128 tiles only; one step along k takes `sms` x 2 x 128 x 128 / peak = 1 ns on every SM;
/// caches and memory are so fast that they do not show.
GemmRow plain_row(int sms) {
    GemmRow row;
    row.launch = Seconds{3e-6};
    row.peak = FlopsPerSecond{2.0 * 128 * 128 * sms / 1e-9};
    row.tile = Seconds{1e-6};
    row.wave_quantisation = 1;
    row.operand_bytes = 2;
    row.tile_rows = {128};
    row.splits = {1};
    return row;
}

GemmSection plain_section() {
    GemmSection section;
    section.hbm = BytesPerSecond{1e24};
    section.l2 = BytesPerSecond{1e24};
    section.overlap_norm = 2;
    section.m = section.n = section.k = {128, 1024};
    return section;
}

double rest_us(GemmSection const& section,
               GemmRow const& row,
               int sms,
               double m,
               double n,
               double k,
               double slowdown = 1) {
    return gemm_time(section, row, sms, m, n, k, slowdown).rest * 1e6;
}

TEST(GemmCost, OneTileTakesItsStepsAndItsPrologue) {
    auto const section = plain_section();
    // 1000 steps of 1 ns and 1 us of prologue.
    EXPECT_NEAR(rest_us(section, plain_row(1), 1, 128, 128, 1000), 2.0, 1e-9);
    EXPECT_DOUBLE_EQ(gemm_time(section, plain_row(1), 1, 128, 128, 1000).latency, 3e-6);
}

TEST(GemmCost, AnUnfilledTileCostsAWholeOne) {
    EXPECT_NEAR(rest_us(plain_section(), plain_row(1), 1, 1, 1, 1000), 2.0, 1e-9);
}

TEST(GemmCost, TheLastWaveCostsAsMuchAsItsQuantisationSays) {
    auto row = plain_row(2);
    // 3 tiles on 2 SMs: 2 waves of 2 us when quantised, 1.5 when not, 1.75 halfway.
    EXPECT_NEAR(rest_us(plain_section(), row, 2, 3 * 128, 128, 1000), 4.0, 1e-9);
    row.wave_quantisation = 0;
    EXPECT_NEAR(rest_us(plain_section(), row, 2, 3 * 128, 128, 1000), 3.0, 1e-9);
    // Fewer tiles than SMs still take as long as one tile.
    EXPECT_NEAR(rest_us(plain_section(), row, 2, 128, 128, 1000), 2.0, 1e-9);
    row.wave_quantisation = 0.5;
    EXPECT_NEAR(rest_us(plain_section(), row, 2, 3 * 128, 128, 1000), 3.5, 1e-9);
}

TEST(GemmCost, CuttingKPaysWhereTilesAreFew) {
    auto section = plain_section();
    section.split = Seconds{0.5e-6};
    auto row = plain_row(2);
    row.splits = {1, 2};
    // One tile, two SMs: 4000 ns + 1 us uncut; 2000 ns + 1 us + 0.5 us cut in two.
    EXPECT_NEAR(rest_us(section, row, 2, 128, 128, 4000), 3.5, 1e-9);
    // Two tiles fill both SMs already: 400 ns + 1 us uncut.
    EXPECT_NEAR(rest_us(section, row, 2, 256, 128, 400), 1.4, 1e-9);
}

TEST(GemmCost, MemoryAndComputeOverlapByTheNorm) {
    auto section = plain_section();
    // Compute 3 us; operands (128 x 2000 twice) and result (128 x 128) of 2 bytes in 4 us.
    double const bytes = 2.0 * (2 * 128 * 2000 + 128 * 128);
    section.hbm = BytesPerSecond{bytes / 4e-6};
    EXPECT_NEAR(rest_us(section, plain_row(1), 1, 128, 128, 2000), 5.0, 1e-9);
}

TEST(GemmCost, QuantisingReadsBf16AndWritesTheOperand) {
    auto row = plain_row(1);
    row.operand_bytes = 1;
    row.quantise = BytesPerSecond{128.0 * 1000 * 3 / 1e-6};  // 2 bytes in, 1 out: 1 us
    EXPECT_NEAR(rest_us(plain_section(), row, 1, 128, 128, 1000), 3.0, 1e-9);
}

TEST(GemmCost, LoadSlowsTheTensorCoresOnly) {
    // 1000 ns x 1.2 + 1 us of prologue.
    EXPECT_NEAR(rest_us(plain_section(), plain_row(1), 1, 128, 128, 1000, 1.2), 2.2, 1e-9);
}

TEST(GemmCost, ALikenedPrecisionTakesTheOthersTimeAndSaysSo) {
    auto section = plain_section();
    section.precisions.emplace_back("fp8_block", plain_row(1));
    GemmLikeness likeness;
    likeness.like = "fp8_block";
    likeness.time = 1.5;
    section.likened.emplace_back("mxfp8", likeness);
    auto const measured = gemm_cost(section, {Precision::fp8_block, 128, 128, 1024}, 1, 1);
    auto const likened = gemm_cost(section, {Precision::mxfp8, 128, 128, 1024}, 1, 1);
    EXPECT_EQ(measured.time.count, 3'000'000 + 2'024'000);
    EXPECT_EQ(likened.time.count, measured.time.count * 3 / 2);
    EXPECT_EQ(measured.basis.kind, BasisKind::on_grid);
    EXPECT_EQ(likened.basis.kind, BasisKind::extrapolated);
    EXPECT_EQ(likened.basis.why, "gemm mxfp8 from fp8_block");
}

TEST(GemmCost, ItsLatencyIsTheLaunch) {
    auto section = plain_section();
    section.precisions.emplace_back("bf16", plain_row(1));
    auto const cost = gemm_cost(section, {Precision::bf16, 128, 128, 1024}, 1, 1);
    EXPECT_EQ((cost.time - cost.bandwidth_part).count, 3'000'000);
}

// The tables' FP8 GEMM launches its quantisation too. With operands ready only one kernel is left,
// launched as the BF16 one: 3 us; its 1024 steps of 1 ns and 1 us of prologue stay.
TEST(GemmCost, ReadyOperandsAreNotQuantisedAndLaunchOneKernel) {
    auto section = plain_section();
    section.precisions.emplace_back("bf16", plain_row(1));
    auto quantising = plain_row(1);
    quantising.launch = Seconds{7e-6};
    quantising.operand_bytes = 1;
    quantising.quantise = BytesPerSecond{128.0 * 1024 * 3 / 1e-6};  // 1 us
    section.precisions.emplace_back("fp8", quantising);
    auto const cost = [&](bool ready) {
        return gemm_cost(section, {Precision::fp8, 128, 128, 1024, ready}, 1, 1);
    };
    EXPECT_EQ(cost(false).time.count, 7'000'000 + 2'024'000 + 1'000'000);
    EXPECT_EQ(cost(true).time.count, 3'000'000 + 2'024'000);
    EXPECT_EQ(cost(true).bandwidth_part.count, 2'024'000);
}

// 3 groups of one tile on 2 SMs: 2 waves of 2 us where one group takes one, a GEMM of 3 tiles.
TEST(GemmCost, GroupsShareOutTheirTiles) {
    auto const section = plain_section();
    auto row = plain_row(2);
    auto const rest = [&](double m, double groups) {
        return gemm_time(section, row, 2, m, 128, 1000, 1, groups).rest * 1e6;
    };
    EXPECT_NEAR(rest(128, 1), 2.0, 1e-9);
    EXPECT_NEAR(rest(128, 2), 2.0, 1e-9) << "the other SM was idle";
    EXPECT_NEAR(rest(128, 3), 4.0, 1e-9);
    EXPECT_NEAR(rest(3 * 128, 1), 4.0, 1e-9);
    EXPECT_NEAR(rest(1, 3), 4.0, 1e-9) << "every group fills tiles of its own";
    EXPECT_DOUBLE_EQ(gemm_time(section, row, 2, 128, 128, 1000, 1, 3).latency, 3e-6)
        << "one launch";
}

// Two groups on two SMs compute for 3 us, as one does, while twice 4 us of operands move: the root
// of 9 + 64. Each group's left operand is quantised too, 1 us each.
TEST(GemmCost, GroupsMoveTheirOwnOperands) {
    auto section = plain_section();
    double const bytes = 2.0 * (2 * 128 * 2000 + 128 * 128);
    section.hbm = BytesPerSecond{bytes / 4e-6};
    auto row = plain_row(2);
    EXPECT_NEAR(gemm_time(section, row, 2, 128, 128, 2000, 1, 2).rest * 1e6, std::sqrt(73.0), 1e-9);
    section.hbm = BytesPerSecond{1e24};
    row.operand_bytes = 1;
    row.quantise = BytesPerSecond{128.0 * 2000 * 3 / 1e-6};
    EXPECT_NEAR(gemm_time(section, row, 2, 128, 128, 2000, 1, 2).rest * 1e6, 3 + 2, 1e-9);
}

// Whatever the shape: at least one of them, at most all of them launched one by one.
TEST(GemmCost, GroupsTakeBetweenOneAndAllOfThem) {
    auto section = plain_section();
    section.hbm = BytesPerSecond{3e12};
    section.l2 = BytesPerSecond{2e13};
    section.split = Seconds{0.5e-6};
    auto row = plain_row(132);
    row.tile_rows = {64, 128, 256};
    row.splits = {1, 2, 4};
    row.wave_quantisation = 0.7;
    section.precisions.emplace_back("bf16", row);
    for (std::int64_t const m : {1, 100, 129, 2048, 16'384}) {
        for (std::int64_t const k : {128, 1000, 8192}) {
            auto const time = [&](std::int64_t groups) {
                Gemm const gemm{Precision::bf16, m, 1536, k, false, groups};
                return gemm_cost(section, gemm, 132, 1).time.count;
            };
            Gemm const plain{Precision::bf16, m, 1536, k};
            EXPECT_EQ(time(1), gemm_cost(section, plain, 132, 1).time.count);
            for (std::int64_t groups = 2; groups <= 64; groups *= 2) {
                EXPECT_GE(time(groups), time(groups / 2)) << m << " " << k << " " << groups;
                // Rounded to a picosecond each.
                EXPECT_LE(time(groups), groups * (time(1) + 1)) << m << " " << k << " " << groups;
            }
        }
    }
}

TEST(GemmCost, TheBasisNamesAxisAndSide) {
    auto section = plain_section();
    section.precisions.emplace_back("bf16", plain_row(1));
    auto const basis = [&](std::int64_t m, std::int64_t n, std::int64_t k) {
        return gemm_cost(section, {Precision::bf16, m, n, k}, 1, 1).basis;
    };
    EXPECT_EQ(basis(128, 1024, 128).kind, BasisKind::on_grid);
    EXPECT_EQ(basis(128, 1024, 129).kind, BasisKind::interpolated);
    EXPECT_EQ(basis(1025, 1024, 127).kind, BasisKind::extrapolated);
    EXPECT_EQ(basis(1025, 1024, 127).why, "gemm m above 1024, k below 128");
    section.scaled = "h100";
    EXPECT_EQ(basis(128, 128, 128).kind, BasisKind::datasheet);
    EXPECT_EQ(basis(128, 128, 128).why, "gemm scaled from h100");
}

TEST(GemmCost, AnUnknownPrecisionNamesThoseThereAre) {
    auto section = plain_section();
    section.precisions.emplace_back("bf16", plain_row(1));
    try {
        (void)gemm_cost(section, {Precision::nvfp4, 128, 128, 128}, 1, 1);
        FAIL() << "no error";
    } catch (ConfigError const& error) {
        EXPECT_STREQ(error.what(), ": no nvfp4 GEMM on this GPU (expected bf16)");
    }
}

}  // namespace
}  // namespace nvl72
