#include "sim/cost/spread.hpp"

#include "sim/base/error.hpp"
#include "sim/cost/collective_traffic.hpp"

#include <cmath>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

SpreadTable table() {
    return {{"gemm bf16", {{}, {0.9, 1.1}, {0.8, 1.3}}},
            {"gemm fp8", {{}, {0.95, 1.05}, {}}},
            {"collectives ring-simple", {{}, {0.9, 1.2}, {}}},
            {"datasheet", {{}, {0.9, 1.2}, {}}}};
}

TEST(Spread, MeasuredSizesTakeTheInsideAndOthersTheOutside) {
    EXPECT_EQ(spread_at(table(), "gemm bf16", BasisKind::on_grid).low, 0.9);
    EXPECT_EQ(spread_at(table(), "gemm bf16", BasisKind::interpolated).high, 1.1);
    EXPECT_EQ(spread_at(table(), "gemm bf16", BasisKind::extrapolated).high, 1.3);
}

TEST(Spread, WithoutARowBeyondTheRangeTheDistanceDoubles) {
    // Twice the logarithm of 0.95 is that of 0.9025.
    auto const outside = spread_at(table(), "gemm fp8", BasisKind::extrapolated);
    EXPECT_DOUBLE_EQ(outside.low, 0.95 * 0.95);
    EXPECT_DOUBLE_EQ(outside.high, 1.05 * 1.05);
}

TEST(Spread, ADatasheetAddsItsOwnAsSquares) {
    auto const spread = spread_at(table(), "gemm bf16", BasisKind::datasheet);
    EXPECT_NEAR(std::log(spread.high), std::hypot(std::log(1.3), std::log(1.2)), 1e-12);
    EXPECT_NEAR(std::log(spread.low), -std::hypot(std::log(0.8), std::log(0.9)), 1e-12);
}

TEST(Spread, APartWithoutARowTakesTheWidestOfItsSection) {
    EXPECT_EQ(spread_at(table(), "gemm nvfp4", BasisKind::on_grid).low, 0.9);
    EXPECT_EQ(spread_at(table(), "collectives nvls", BasisKind::on_grid).high, 1.2);
}

TEST(Spread, WithoutAnyRowNothingIsKnown) {
    EXPECT_FALSE(spread_at({}, "gemm bf16", BasisKind::on_grid).known());
    EXPECT_FALSE(spread_at(table(), "attention bf16", BasisKind::on_grid).known());
}

TEST(Spread, PartsAreNamedAsTheFitsNameThem) {
    EXPECT_EQ(part_of(Gemm{Precision::fp8_block, 1, 1, 1, false}), "gemm fp8_block");
    Collective across;
    across.op = CollectiveOp::all_gather;
    across.algorithm = static_cast<std::uint8_t>(CollectiveAlgorithm::ring_simple);
    across.shape.domains = 2;
    across.size = Bytes{999'999};
    EXPECT_EQ(part_of(across), "collectives ring-simple across, small");
    across.size = Bytes{1 << 20};
    EXPECT_EQ(part_of(across), "collectives ring-simple across, middle");
    across.size = Bytes{256 << 20};
    EXPECT_EQ(part_of(across), "collectives ring-simple across, large");
    across.shape.domains = 3;
    across.shape.ranks_per_domain = 72;
    EXPECT_EQ(part_of(across), "collectives ring-simple across, racks");
    across.op = CollectiveOp::alltoall;
    across.shape.domains = 1;
    EXPECT_EQ(part_of(across), "collectives alltoall large");
    across.size = Bytes{999'999};
    EXPECT_EQ(part_of(across), "collectives alltoall");  // whichever protocol is quicker
    across.op = CollectiveOp::all_reduce;
    across.size = Bytes{256 << 20};
    across.shape.domains = 2;  // of 72 ranks
    EXPECT_EQ(part_of(across), "collectives ring-simple across, racks");
    across.size = Bytes{1 << 20};
    EXPECT_EQ(part_of(across), "collectives ring-simple across, middle");
    Attention attention;
    EXPECT_EQ(part_of(attention), "attention bf16 short");
    attention.kv_precision = Precision::fp8;
    EXPECT_EQ(part_of(attention), "attention bf16_over_fp8 short");
    attention.batch = 1'000'000'000;
    EXPECT_EQ(part_of(attention), "attention bf16_over_fp8");
    attention.kv_tokens = 100;
    EXPECT_EQ(part_of(attention), "generation bf16_over_fp8");
    MoeExchange exchange;
    EXPECT_EQ(part_of(exchange), "moe two_sided dispatch_bf16");
    exchange.step = MoeStep::prepare;
    EXPECT_EQ(part_of(exchange), "moe two_sided prepare");
}

TEST(Spread, APairOutOfOrderIsRefused) {
    for (std::vector<double> const& pair :
         {std::vector{1.1, 0.9}, std::vector{0.9}, std::vector{0.0, 1.0}, std::vector{1.0, 1.0}}) {
        SpreadTable const wrong{{"gemm bf16", {{"p.yaml", 3, "spread.gemm bf16"}, pair, {}, {}}}};
        EXPECT_THROW(check(wrong), ConfigError);
    }
}

}  // namespace
}  // namespace nvl72
