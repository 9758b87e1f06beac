#include "sim/study/answer.hpp"

#include "sim/base/error.hpp"

#include <cmath>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <limits>
#include <numbers>
#include <regex>

namespace nvl72 {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

/// 8 GPUs and a batch of 4 sequences of 2000 tokens: 1 s of step costs 8 / 8000 x 1e6 = 1000
/// GPU-seconds per million tokens.
SweepRow row(std::string const& name, StepParts const& parts) {
    SweepRow row;
    row.system = name;
    row.kind = "system";
    row.gpus = 8;
    row.global_batch = 4;
    row.sequence_length = 2000;
    row.parts = parts;
    for (StepPart const& part : step_parts) row.step_s += parts.*part.member;
    row.tokens_per_s_per_gpu = 4 * 2000 / row.step_s / 8;
    row.model_tflops_per_gpu = 412.34;
    row.published_tokens_per_s_per_gpu = row.published_step_s = none;
    row.published_step_low_s = row.published_step_high_s = row.error = none;
    row.step_p10_s = row.step_p90_s = none;
    return row;
}

SweepRow slow() { return row("hopper", {10, 4, 1, 0, 2, 0.5, 2, 0.5}); }
SweepRow fast() { return row("rack", {4, 0.5, 0, 0, 1, 0.5, 1, 0}); }

}  // namespace

// 20 s against 7 s; exchanged one by one, each factor is the time before over the time after:
// 20/14 x 14/10.5 x 10.5/9.5 x 1 x 9.5/8.5 x 1 x 8.5/7.5 x 7.5/7.
TEST(ExplainRatio, FactorsMultiplyToTheRatio) {
    auto const explained = explain_ratio(slow(), fast());
    EXPECT_DOUBLE_EQ(explained.ratio, 20.0 / 7.0);
    ASSERT_EQ(explained.factors.size(), step_parts.size());
    double product = 1;
    for (RatioFactor const& factor : explained.factors) product *= factor.factor;
    EXPECT_NEAR(product, explained.ratio, 1e-12);
    EXPECT_EQ(explained.factors[0].name, "compute");
    EXPECT_NEAR(explained.factors[0].factor, 20.0 / 14.0, 1e-12);
    EXPECT_NEAR(explained.factors[0].from_s, 10000, 1e-9);
    EXPECT_NEAR(explained.factors[0].to_s, 4000, 1e-9);
    EXPECT_EQ(explained.factors[1].name, "exposed TP");
    EXPECT_NEAR(explained.factors[1].factor, 14.0 / 10.5, 1e-12);
    EXPECT_NEAR(explained.factors[3].factor, 1, 1e-12);
}

// Batch and GPUs differ: the ratio is that of tokens per second and GPU.
TEST(ExplainRatio, IsOfThroughputPerGpu) {
    SweepRow half = fast();
    half.gpus = 4;
    half.global_batch = 6;
    half.tokens_per_s_per_gpu = 6 * 2000 / half.step_s / 4;
    auto const explained = explain_ratio(slow(), half);
    EXPECT_NEAR(explained.ratio, half.tokens_per_s_per_gpu / slow().tokens_per_s_per_gpu, 1e-12);
    double product = 1;
    for (RatioFactor const& factor : explained.factors) product *= factor.factor;
    EXPECT_NEAR(product, explained.ratio, 1e-12);
}

TEST(ExplainRatio, TheOtherWayRoundIsTheInverse) {
    EXPECT_NEAR(explain_ratio(slow(), fast()).ratio * explain_ratio(fast(), slow()).ratio, 1,
                1e-12);
    EXPECT_DOUBLE_EQ(explain_ratio(fast(), fast()).ratio, 1);
}

TEST(RatioSentence, NamesTheTwoLargestFactorsAndThePublishedRatio) {
    SweepRow from = slow();
    SweepRow to = fast();
    EXPECT_EQ(
        ratio_sentence(from, to),
        "rack gives 2.86x the tokens/s/GPU of hopper: 1.43x from compute, 1.33x from exposed TP.");
    from.published_tokens_per_s_per_gpu = 100;
    to.published_tokens_per_s_per_gpu = 250;
    EXPECT_EQ(ratio_sentence(from, to),
              "rack gives 2.86x the tokens/s/GPU of hopper (published 2.50x, error +14.3 %): 1.43x "
              "from compute, 1.33x from exposed TP.");
}

// Independent errors of both systems: 10 % up on one side and 10 % down on the other add as
// squares.
TEST(RatioSentence, TheIntervalOfARatioHoldsBothErrors) {
    SweepRow from = slow();
    SweepRow to = fast();
    from.step_p10_s = from.step_s / 1.1;
    from.step_p90_s = from.step_s * 1.1;
    to.step_p10_s = to.step_s / 1.1;
    to.step_p90_s = to.step_s * 1.1;
    double const side = std::exp(std::numbers::sqrt2 * std::log(1.1));
    double const ratio = 20.0 / 7.0;
    EXPECT_NE(ratio_sentence(from, to).find(
                  fmt::format("80 % interval {:.2f} - {:.2f}", ratio / side, ratio * side)),
              std::string::npos)
        << ratio_sentence(from, to);
}

TEST(MegatronLine, IsWhatUsersParsersLookFor) {
    std::regex const wanted(
        R"(elapsed time per iteration \(ms\): ([0-9.]+) \| throughput per GPU \(TFLOP/s/GPU\): ([0-9.]+))");
    std::smatch found;
    std::string const line = megatron_line(fast());
    ASSERT_TRUE(std::regex_search(line, found, wanted)) << line;
    EXPECT_EQ(found[1], "7000.0");
    EXPECT_EQ(found[2], "412.3");
    EXPECT_TRUE(std::regex_search(line, std::regex(R"(global batch size: +4 \|)"))) << line;
    EXPECT_TRUE(std::regex_search(line, std::regex(R"(consumed samples: +4 \|)"))) << line;
}

TEST(PredictionTable, LeavesUnpublishedCellsBlank) {
    SweepRow known = fast();
    known.published_tokens_per_s_per_gpu = 200;
    known.error = -0.25;
    auto const table = prediction_table({slow(), known});
    for (std::size_t const column : {6U, 7U, 8U}) {
        EXPECT_TRUE(std::holds_alternative<std::monostate>(table.at(0, column))) << column;
    }
    EXPECT_EQ(std::get<double>(table.at(1, 7)), 200);
    EXPECT_EQ(std::get<double>(table.at(1, 8)), -25);
}

// 7 s for 1000 tokens a GPU are 143 tokens/s; a step of 8 s would be 125, one of 5 s 200.
TEST(PredictionTable, TheIntervalIsOfTheThroughput) {
    SweepRow row = fast();
    row.step_p10_s = 5;
    row.step_p90_s = 8;
    EXPECT_EQ(std::get<std::string>(prediction_table({row}).at(0, 6)), "125 - 200");
}

TEST(BreakdownTable, SumsToTheStep) {
    auto const table = breakdown_table({slow(), fast()});
    for (std::size_t r = 0; r < 2; ++r) {
        double percent = 0;
        for (std::size_t c = 0; c < table.columns().size(); ++c) {
            if (!table.columns()[c].name.ends_with("_percent")) continue;
            percent += std::get<double>(table.at(r, c));
        }
        EXPECT_NEAR(percent, 100, 1e-9);
    }
    EXPECT_EQ(table.columns()[3].name, "compute_percent");
    EXPECT_NEAR(std::get<double>(table.at(0, 3)), 50, 1e-12);
}

TEST(FullTable, HasTheResultFilesColumns) {
    auto const table = full_table({slow()});
    auto const sweep = to_table({slow()});
    ASSERT_EQ(table.columns().size(), sweep.columns.size());
    for (std::size_t c = 0; c < sweep.columns.size(); ++c) {
        EXPECT_EQ(table.columns()[c].name, sweep.columns[c].name);
    }
}

TEST(SweepRows, ComeBackFromTheirTable) {
    ResultFile file;
    file.tables.push_back(to_table({slow(), fast()}));
    auto const back = sweep_rows(file, "x.h5");
    ASSERT_EQ(back.size(), 2U);
    EXPECT_EQ(full_table(back).csv(), full_table({slow(), fast()}).csv());
    EXPECT_EQ(back[1].system, "rack");
    EXPECT_EQ(back[1].parts.exposed_dp, 1);
    EXPECT_TRUE(std::isnan(back[1].error));
}

TEST(SweepRows, SayWhatIsMissing) {
    ResultFile file;
    EXPECT_THROW((void)sweep_rows(file, "x.h5"), ConfigError);
    file.tables.push_back(to_table({slow()}));
    std::erase_if(file.tables[0].columns,
                  [](ResultColumn const& column) { return column.name == "bubble_s"; });
    try {
        (void)sweep_rows(file, "x.h5");
        FAIL() << "a column is missing";
    } catch (ConfigError const& error) {
        EXPECT_EQ(std::string(error.what()).substr(0, 32), "x.h5: no column /sweep/bubble_s ");
    }
}

}  // namespace nvl72
