#include "sim/study/unseen.hpp"

#include "sim/base/random.hpp"

#include <cmath>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

/// Ratios measured / predicted of 0.01, 0.02 ... 0.01 n, each a fold of its own.
std::vector<UnseenRow> ladder(int n) {
    std::vector<UnseenRow> rows;
    for (int i = 1; i <= n; ++i) rows.push_back({0.01 * i, 1, static_cast<std::size_t>(i)});
    return rows;
}

TEST(SpreadOfUnseen, IsTheTenthAndNinetiethPercentile) {
    // Of 99 ratios the 10th smallest and the 10th largest: a new one falls below the first with
    // probability 10 / 100.
    auto const spread = spread_of(ladder(99));
    EXPECT_DOUBLE_EQ(spread.low, 0.10);
    EXPECT_DOUBLE_EQ(spread.high, 0.90);
}

TEST(SpreadOfUnseen, OfFewRowsIsStudents) {
    // Two rows, 10 % high and as much low: RMS log 1.1; t = 1.2816 + (1.2816^3 + 1.2816) / 8.
    auto const spread = spread_of({{1.1, 1, 0}, {1 / 1.1, 1, 1}});
    double const t = 1.2816 + (1.2816 * 1.2816 * 1.2816 + 1.2816) / 8;
    EXPECT_NEAR(std::log(spread.high), t * std::log(1.1), 1e-12);
    EXPECT_NEAR(spread.low * spread.high, 1, 1e-12);
}

TEST(SpreadOfUnseen, OfGroupsLooksAsOftenAsThereAreGroups) {
    // 200 rows of two numbers of ranks, 5 % low and 5 % high: two looks, not two hundred. The 80th
    // percentile of the distances, log 1.05, times Student's t over the normal's 1.2816.
    std::vector<UnseenRow> rows;
    for (std::size_t i = 0; i < 200; ++i)
        rows.push_back({i % 2 ? 1.05 : 1 / 1.05, 1, i, i % 2 + 1});
    double const t = 1.2816 + (1.2816 * 1.2816 * 1.2816 + 1.2816) / 8;
    EXPECT_NEAR(std::log(spread_of(rows).high), std::log(1.05) * t / 1.2816, 1e-12);
}

TEST(Widened, AddsIndependentFactorsAsSquares) {
    // exp(0.3) and exp(0.4) together reach exp(0.5).
    auto const wide = widened({std::exp(-0.3), std::exp(0.3)}, std::exp(0.4));
    EXPECT_NEAR(std::log(wide.low), -0.5, 1e-12);
    EXPECT_NEAR(std::log(wide.high), 0.5, 1e-12);
    // An interval wholly above 1 reaches down by all of the factor: 0.1 - 0.4.
    auto const above = widened({std::exp(0.1), std::exp(0.3)}, std::exp(0.4));
    EXPECT_NEAR(std::log(above.low), -0.3, 1e-12);
    EXPECT_NEAR(std::log(above.high), 0.5, 1e-12);
    auto const same = widened({0.9, 1.2}, 1);
    EXPECT_NEAR(same.low, 0.9, 1e-12);
    EXPECT_NEAR(same.high, 1.2, 1e-12);
}

TEST(BetweenPasses, IsTheFactorThatFourOfFiveStayWithin) {
    // Nine blocks: the 8th, as a tenth one falls below it with probability 8 / 10.
    EXPECT_DOUBLE_EQ(between_passes({1, 1.9, 1.1, 1.8, 1.2, 1.7, 1.3, 1.6, 1.4}), 1.8);
    EXPECT_DOUBLE_EQ(between_passes({}), 1);
    EXPECT_DOUBLE_EQ(between_passes({1}), 1);
}

TEST(CoverageOfUnseen, JudgesAGroupByTheOthers) {
    // Ten rows 20 % high against ten that are right: outside. The right ones lie inside the wide.
    std::vector<UnseenRow> rows;
    for (std::size_t i = 0; i < 20; ++i) rows.push_back({i < 10 ? 1.2 : 1.001, 1, i, i / 10 + 1});
    auto const coverage = coverage_of(rows);
    EXPECT_EQ(coverage.judged, 20U);
    EXPECT_EQ(coverage.covered, 10U);
}

// Two rows of one model half off, 20 and 20 of others a twentieth: the 80th percentile by rows
// knows nothing of the first, with models of equal weight it lies among its third.
TEST(SpreadOfUnseen, GroupsOfEqualWeightCountFewRowsAsMuchAsMany) {
    std::vector<UnseenRow> rows;
    for (std::size_t i = 0; i < 42; ++i) {
        std::size_t const group = i < 2 ? 1 : i < 22 ? 2 : 3;
        rows.push_back({group == 1 ? 1.5 : 1.05, 1, group, group});
    }
    auto const by_rows = spread_of(rows);
    EXPECT_LT(by_rows.high, 1.1);
    weigh_groups_alike(rows);
    EXPECT_DOUBLE_EQ(rows[0].weight, 7);
    EXPECT_DOUBLE_EQ(rows[41].weight, 0.7);
    EXPECT_GT(spread_of(rows).high, 1.5);
    // Groups two and three are judged covered by what the others tell, the first is not.
    EXPECT_NEAR(coverage_of(rows).share(), 2.0 / 3, 1e-12);
    EXPECT_EQ(coverage_of(rows).covered, 40U);
}

TEST(CoverageOfUnseen, CountsRowsAgainstTheSpreadOfOtherFolds) {
    // Without itself a row of the ladder has 98 others, whose 9th ends are dropped: rows 1 to 9 and
    // 91 to 99 lie outside, and so do 10 and 90 where their own absence moves the end past them.
    auto const coverage = coverage_of(ladder(99));
    EXPECT_EQ(coverage.judged, 99U);
    EXPECT_NEAR(coverage.share(), 0.8, 0.03);
}

TEST(CoverageOfUnseen, OneFoldJudgesNothing) {
    EXPECT_EQ(coverage_of({{1, 1, 7}, {2, 1, 7}}).judged, 0U);
}

TEST(CoverageOfUnseen, NormalErrorsAreCoveredAtTheMeantShareAndWidth) {
    RandomStream stream(20260101, "coverage of normal errors");
    std::vector<UnseenRow> rows;
    for (std::size_t i = 0; i < 2000; ++i) {
        double sum = 0;
        for (int k = 0; k < 12; ++k) sum += stream.uniform();
        rows.push_back({std::exp(0.03 * (sum - 6)), 1, i % 5});
    }
    auto const coverage = coverage_of(rows);
    EXPECT_NEAR(coverage.share(), 0.8, 0.02);
    EXPECT_NEAR(coverage.width_over_error(), 3.8, 0.3);
}

}  // namespace
}  // namespace nvl72
