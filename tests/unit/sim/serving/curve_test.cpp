#include "sim/serving/curve.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

double square(std::int64_t x) { return static_cast<double>(x * x); }

TEST(SizeGrid, HoldsEveryNumberToSixteenAndEightAnOctaveAbove) {
    for (std::size_t i = 0; i <= 16; ++i) EXPECT_EQ(SizeGrid::point(i), static_cast<int>(i));
    EXPECT_EQ(SizeGrid::point(24), 32);
    EXPECT_EQ(SizeGrid::point(32), 64);
    EXPECT_EQ(SizeGrid::point(16 + 8 * 9), 8192);
}

TEST(SizeGrid, FindsTheIntervalOfEverySize) {
    for (double x = 0.25; x < 20000; x *= 1.01) {
        auto const [index, part] = SizeGrid::spot(x);
        EXPECT_LE(static_cast<double>(SizeGrid::point(index)), x);
        EXPECT_GT(static_cast<double>(SizeGrid::point(index + 1)), x);
        EXPECT_GE(part, 0);
        EXPECT_LT(part, 1);
    }
}

TEST(Curve, IsTheFunctionOnTheGridAndStraightBetween) {
    Curve curve(square);
    EXPECT_EQ(curve(0), 0);
    EXPECT_EQ(curve(7), 49);
    EXPECT_EQ(curve(64), 4096);
    EXPECT_DOUBLE_EQ(curve(2.5), (4 + 9) / 2.0);
    // 64 and its next point, 70 (64 x 2^(1/8) = 69.8): the middle lies on the chord.
    ASSERT_EQ(SizeGrid::point(33), 70);
    EXPECT_DOUBLE_EQ(curve(67), (64.0 * 64 + 70.0 * 70) / 2);
}

TEST(Curve, AsksOnceForEachPoint) {
    int asked = 0;
    Curve curve([&](std::int64_t x) {
        ++asked;
        return square(x);
    });
    curve(66);
    curve(67);
    curve(68);
    EXPECT_EQ(asked, 2);
}

TEST(Surface, IsStraightInBothSizes) {
    Surface surface([](std::int64_t x, std::int64_t y) { return static_cast<double>(x * y); });
    EXPECT_DOUBLE_EQ(surface(3, 1000), 3000);
    EXPECT_DOUBLE_EQ(surface(2.5, 10.5), 26.25);
    EXPECT_DOUBLE_EQ(surface(0.2, 0.2), 1);  // neither is below 1
}

}  // namespace
}  // namespace nvl72
