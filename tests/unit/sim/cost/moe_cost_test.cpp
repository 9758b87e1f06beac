#include "sim/cost/moe_cost.hpp"

#include "sim/base/error.hpp"
#include "sim/cost/profile.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

constexpr BytesPerSecond nvlink{900e9};

/// 10 us and 1 us a doubling; copies at 1 TB/s, local work at 2 TB/s; sums instead of overlap.
MoeRow plain_row() {
    MoeRow row;
    row.base = Seconds{10e-6};
    row.hop = Seconds{1e-6};
    row.copy = BytesPerSecond{1e12};
    row.local = BytesPerSecond{2e12};
    row.bytes = 2;
    return row;
}

/// 100 tokens of 1,000, 8 experts each.
MoeExchange exchange_over(std::int64_t ranks) {
    MoeExchange exchange;
    exchange.tokens = 100;
    exchange.hidden = 1000;
    exchange.top_k = 8;
    exchange.experts = 256;
    exchange.shape.ranks = exchange.shape.ranks_per_domain = ranks;
    exchange.shape.in_domain = nvlink;
    return exchange;
}

section::Time time_of(MoeRow const& row, MoeExchange const& exchange) {
    return moe_time(MoeKernels{}, row, nvlink, exchange);
}

TEST(MoeCost, SendsOneCopyToEachRankHoweverManyExpertsItHolds) {
    // EP 8: 8 x 7/8 = 7 copies of 2,000 bytes, 14 ns; 2,000 bytes at home, 1 ns; 100 tokens.
    auto const eight = time_of(plain_row(), exchange_over(8));
    EXPECT_NEAR(eight.latency, 13e-6, 1e-15);
    EXPECT_NEAR(eight.rest, 1.5e-6, 1e-15);
    // EP 2: of 8 experts' ranks only 2 differ, 2 x 1/2 = 1 copy.
    EXPECT_NEAR(time_of(plain_row(), exchange_over(2)).rest, 0.3e-6, 1e-15);
    // EP 32: a token's 8 experts are on 8 ranks, 8 x 31/32 = 7.75 copies.
    auto const many = time_of(plain_row(), exchange_over(32));
    EXPECT_NEAR(many.latency, 15e-6, 1e-15);
    EXPECT_NEAR(many.rest, 1.65e-6, 1e-15);
}

TEST(MoeCost, SmallerElementsCopyFasterAndAreReadAsBf16) {
    auto row = plain_row();
    row.bytes = 0.5;  // 7 copies of 500 bytes, 3.5 ns, and 1 ns
    EXPECT_NEAR(time_of(row, exchange_over(8)).rest, 0.45e-6, 1e-15);
}

TEST(MoeCost, HalfTheNvlinkDoublesTheCopies) {
    auto exchange = exchange_over(8);
    exchange.shape.in_domain = BytesPerSecond{450e9};  // 28 ns and 1 ns
    EXPECT_NEAR(time_of(plain_row(), exchange).rest, 2.9e-6, 1e-15);
}

TEST(MoeCost, NormsOverlapCopiesAndStartUp) {
    MoeKernels kernels;
    kernels.copy_norm = 2;
    auto row = plain_row();
    row.copy = BytesPerSecond{14e12 / 3};     // 3 ns
    row.local = BytesPerSecond{2000 / 4e-9};  // 4 ns: 5 together
    row.base = Seconds{0.9e-6};               // 1.2 us with 3 hops
    row.hop = Seconds{0.1e-6};
    EXPECT_NEAR(moe_time(kernels, row, nvlink, exchange_over(8)).rest, 0.5e-6, 1e-15);
    kernels.start_norm = 2;  // of 1.2 us and 0.5 us: 1.3 us
    auto const time = moe_time(kernels, row, nvlink, exchange_over(8));
    EXPECT_NEAR(time.latency, 1.2e-6, 1e-15);
    EXPECT_NEAR(time.rest, 0.1e-6, 1e-15);
}

TEST(MoeCost, PreparingCountsRoutes) {
    MoeRow row;
    row.base = Seconds{10e-6};
    row.hop = Seconds{1e-6};
    row.route = Seconds{1e-9};  // 100 tokens of 8 experts
    EXPECT_NEAR(time_of(row, exchange_over(8)).rest, 0.8e-6, 1e-15);
}

TEST(MoeCost, ShippedProfilesSayWhatTheyStandOn) {
    Library const library(NVL72_SOURCE_DIR "/configs");
    auto const gb200 = load_profile(library, "gb200");
    auto exchange = exchange_over(8);
    exchange.hidden = 7168;
    exchange.tokens = 128;
    EXPECT_EQ(cost(gb200, exchange, Load::burst).basis.kind, BasisKind::on_grid);
    exchange.shape.ranks = 64;
    EXPECT_EQ(cost(gb200, exchange, Load::burst).basis.why, "moe ep above 32");
    exchange.shape.in_domain = BytesPerSecond{850e9};
    EXPECT_EQ(cost(gb200, exchange, Load::burst).basis.why, "moe ep above 32, NVLink of 850 GB/s");
    exchange.shape.ranks = 8;
    EXPECT_EQ(cost(gb200, exchange, Load::burst).basis.why, "moe NVLink of 850 GB/s");
    EXPECT_EQ(cost(load_profile(library, "gb300"), exchange, Load::burst).basis.why,
              "moe scaled from gb200");
}

TEST(MoeCost, NamesWhatTheProfileLacks) {
    Library const library(NVL72_SOURCE_DIR "/configs");
    auto const error_of = [&](char const* gpu, MoeExchange const& exchange) -> std::string {
        try {
            (void)cost(load_profile(library, gpu), exchange, Load::burst);
            return "no error";
        } catch (ConfigError const& error) {
            return error.what();
        }
    };
    auto exchange = exchange_over(8);
    EXPECT_NE(error_of("h100", exchange)
                  .find("h100.yaml: moe: the h100 has no such section (expected a fit: calibrate "
                        "--from TABLES)"),
              std::string::npos);
    exchange.step = MoeStep::combine;
    exchange.precision = Precision::fp8;
    EXPECT_NE(error_of("gb200", exchange)
                  .find("no combine_fp8 of two_sided (expected combine_bf16 | combine_nvfp4 | "),
              std::string::npos);
    exchange.precision = Precision::bf16;
    exchange.shape.domains = 2;
    EXPECT_NE(error_of("gb200", exchange).find("an MoE exchange over 2 NVLink domains"),
              std::string::npos);
}

TEST(MoeCost, ChecksItsRows) {
    auto const error_of = [](MoeRow const& row) -> std::string {
        MoeSection section;
        section.nvlink = nvlink;
        section.tokens = section.ep = section.hidden = section.top_k = section.experts = {8};
        section.two_sided = MoeKernels{};
        section.two_sided->rows.emplace_back("dispatch_bf16", row);
        try {
            check(section);
            return "no error";
        } catch (ConfigError const& error) {
            return error.what();
        }
    };
    EXPECT_EQ(error_of(plain_row()), "no error");
    auto row = plain_row();
    row.copy.reset();
    EXPECT_NE(error_of(row).find("dispatch_bf16 is incomplete"), std::string::npos);
    row = plain_row();
    row.route = Seconds{1e-9};
    EXPECT_NE(error_of(row).find("dispatch_bf16 is incomplete"), std::string::npos);
    row = plain_row();
    row.copy = BytesPerSecond{0};
    EXPECT_NE(error_of(row).find("copy"), std::string::npos);
}

}  // namespace
}  // namespace nvl72
