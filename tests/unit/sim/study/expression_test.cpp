#include "sim/study/expression.hpp"

#include "sim/base/error.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

Place const here{"test.yaml", 7, "values.x"};

/// Two systems, one of them at two domain sizes, and a measured run of the first.
std::vector<ResultTable> tables() {
    return {{"sweep",
             {{"point", "", "", std::vector<std::int64_t>{0, 1, 2, 3}},
              {"kind", "", "", std::vector<std::string>{"system", "sweep", "sweep", "measured"}},
              {"system", "", "", std::vector<std::string>{"h100", "gb200 a", "gb200 b", "h100"}},
              {"gpus", "", "", std::vector<std::int64_t>{8, 72, 72, 8}},
              {"step_s", "s", "", std::vector<double>{6, 3, 2, 7}}}},
            {"collectives",
             {{"system", "", "", std::vector<std::string>{"rack", "box"}},
              {"busbw", "GB/s", "", std::vector<double>{600, 400}}}}};
}

std::vector<PointTag> tags() {
    return {{"h100", {}},
            {"gb200", {{"cluster.nvlink_domain", "8"}, {"cluster.nic_line_rate", "400 Gb/s"}}},
            {"gb200", {{"cluster.nvlink_domain", "72"}, {"cluster.nic_line_rate", "400 Gb/s"}}},
            {"h100", {}}};
}

std::vector<double> numbers(std::string const& expression) {
    auto const all = tables();
    Scope scope(all, tags());
    scope.set("three", Values::of(std::vector{3.0}));
    return evaluate(expression, scope, here).numbers;
}

std::string refusal(std::string const& expression) {
    try {
        numbers(expression);
    } catch (ConfigError const& error) {
        return error.what();
    }
    return "";
}

using Numbers = std::vector<double>;

TEST(Expression, ArithmeticHasItsUsualOrder) {
    EXPECT_EQ(numbers("2 + 3 * 4 ^ 2"), (Numbers{50}));
    EXPECT_EQ(numbers("-(2 - 5) / three"), (Numbers{1}));
    EXPECT_EQ(numbers("2^3^2"), (Numbers{512}));
    EXPECT_EQ(numbers("8 - 4 - 2"), (Numbers{2}));
}

TEST(Expression, ANameInQuotesMayHaveCommasAndSigns) {
    std::vector<ResultTable> const all{
        {"sweep",
         {{"system", "", "", std::vector<std::string>{"8B, near", "8B, near", "x=1"}},
          {"rate", "", "", std::vector<double>{1, 2, 2}},
          {"step_s", "s", "", std::vector<double>{6, 3, 2}}}}};
    Scope const scope(all, {});
    EXPECT_EQ(evaluate("step_s['8B, near', rate=2]", scope, here).numbers, (Numbers{3}));
    EXPECT_EQ(evaluate("step_s[rate=2, 'x=1']", scope, here).numbers, (Numbers{2}));
    EXPECT_TRUE(refusal("step_s['h100]").find("one quote") != std::string::npos);
    EXPECT_TRUE(refusal("step_s['h100' gpus=8]").find("expected ']'") != std::string::npos);
    EXPECT_TRUE(refusal("step_s[h100").find("no ']'") != std::string::npos);
}

TEST(Expression, AColumnIsChosenBySystemColumnAndSweptKey) {
    EXPECT_EQ(numbers("step_s[h100]"), (Numbers{6}));
    EXPECT_EQ(numbers("step_s[gb200]"), (Numbers{3, 2}));
    EXPECT_EQ(numbers("step_s[gb200, cluster.nvlink_domain=72]"), (Numbers{2}));
    EXPECT_EQ(numbers("step_s[cluster.nic_line_rate=400 Gb/s, cluster.nvlink_domain=8]"),
              (Numbers{3}));
    EXPECT_EQ(numbers("step_s[gpus=72]"), (Numbers{3, 2}));
    EXPECT_EQ(numbers("collectives.busbw[box]"), (Numbers{400}));
}

TEST(Expression, MeasuredRunsAreLeftOutUnlessAskedFor) {
    EXPECT_EQ(numbers("step_s"), (Numbers{6, 3, 2}));
    EXPECT_EQ(numbers("step_s[kind=measured]"), (Numbers{7}));
}

TEST(Expression, ASweptKeyIsItsNumber) {
    EXPECT_EQ(numbers("cluster.nvlink_domain[gb200]"), (Numbers{8, 72}));
    EXPECT_EQ(numbers("cluster.nic_line_rate[gb200]"), (Numbers{400, 400}));
}

TEST(Expression, ManyNumbersComeToOne) {
    EXPECT_EQ(numbers("max(step_s)"), (Numbers{6}));
    EXPECT_EQ(numbers("median([4, 1, 2])"), (Numbers{2}));
    EXPECT_EQ(numbers("mean(step_s[gb200])"), (Numbers{2.5}));
    EXPECT_EQ(numbers("last(step_s[gb200]) / first(step_s[gb200])"), (Numbers{2.0 / 3}));
    EXPECT_EQ(numbers("at_min(cluster.nvlink_domain[gb200], step_s[gb200])"), (Numbers{72}));
    EXPECT_EQ(numbers("min(step_s, 2.5)"), (Numbers{2.5, 2.5, 2}));
}

TEST(Expression, OneNumberMeetsManyButTwoNeverMeetThree) {
    EXPECT_EQ(numbers("step_s[gb200] * 10"), (Numbers{30, 20}));
    EXPECT_NE(refusal("step_s[gb200] * step_s").find("2 values beside 3"), std::string::npos);
}

TEST(Expression, MistakesNameTheirPlaceAndTheNearestName) {
    EXPECT_EQ(refusal("stepp_s[h100]"),
              "test.yaml:7: values.x: unknown 'stepp_s' in \"stepp_s[h100]\" (expected did you "
              "mean step_s?)");
    EXPECT_NE(refusal("step_s[h200]").find("no row of step_s"), std::string::npos);
    EXPECT_NE(refusal("step_s[h100").find("no ']'"), std::string::npos);
    EXPECT_NE(refusal("1 + ").find("the end"), std::string::npos);
    EXPECT_NE(refusal("system * 2").find("arithmetic on texts"), std::string::npos);
    EXPECT_NE(refusal("frobnicate(1)").find("frobnicate of 1"), std::string::npos);
}

std::string filled(std::string const& text) {
    auto const all = tables();
    Scope scope(all, tags());
    scope.set("gain", Values::of(std::vector{2.6543}));
    scope.set("share", Values::of(std::vector{0.416}));
    scope.set("gpus_", Values::of(std::vector{98304.0}));
    scope.set("days", Values::of(std::vector{1.0, 2.0, 3.0}));
    scope.set("who", Values::of(std::vector<std::string>{"nvfp4"}));
    return fill(text, scope, here);
}

TEST(Fill, NumbersTakeTheirFormat) {
    EXPECT_EQ(filled("{gain:.2f} times, {share:.0%}, {gpus_:,.0f} GPUs"),
              "2.65 times, 42 %, 98,304 GPUs");
    EXPECT_EQ(filled("{days:.0f} days by {who}; {{kept}}"), "1, 2 and 3 days by nvfp4; {kept}");
}

TEST(Fill, BracesThatDoNotPairAreRefused) {
    EXPECT_THROW(filled("{gain"), ConfigError);
    EXPECT_THROW(filled("gain}"), ConfigError);
    EXPECT_THROW(filled("{gain:.2q}"), ConfigError);
    EXPECT_THROW(filled("{nobody}"), ConfigError);
}

}  // namespace
}  // namespace nvl72
