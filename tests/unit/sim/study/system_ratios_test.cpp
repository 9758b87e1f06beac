#include "sim/study/system_ratios.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

ValidationRow run(char const* gpu, double measured, double predicted, char const* job = "a") {
    ValidationRow row;
    row.metric = "tokens_per_s_per_gpu";
    row.gpu = gpu;
    row.job = job;
    row.measured = measured;
    row.predicted = predicted;
    row.model_tflops = 7 * predicted;
    row.in_fit = true;
    return row;
}

// Measured 3 times as fast, predicted 3.3: a tenth too much, though both rows are off by more.
TEST(SystemRatios, CompareTheRatioOfTwoRowsWithTheMeasuredOne) {
    auto const ratios = system_ratios({run("h100", 100, 200), run("gb200", 300, 660)});
    ASSERT_EQ(ratios.size(), 1U);
    EXPECT_EQ(ratios[0].gpu, "gb200");
    EXPECT_EQ(ratios[0].other, "h100");
    EXPECT_DOUBLE_EQ(ratios[0].measured, 3);
    EXPECT_DOUBLE_EQ(ratios[0].predicted, 3.3);
    EXPECT_NEAR(ratios[0].error(), 0.1, 1e-12);
}

TEST(SystemRatios, PairRowsOfOneJobOnOtherGpusAlone) {
    auto aside = run("gb300", 400, 400);
    aside.status = "set_aside";
    EXPECT_TRUE(
        system_ratios({run("h100", 1, 1), run("h100", 1, 1), run("gb200", 3, 3, "b"), aside})
            .empty());
    EXPECT_EQ(system_ratios({run("h100", 1, 1), run("gb200", 3, 3), run("gb300", 4, 4)}).size(),
              3U);
}

// Seconds of a whole job: quicker is less, and only equal numbers of GPUs compare.
TEST(SystemRatios, OfStepsAreOfEqualNumbersOfGpus) {
    auto slow = run("h100", 6, 5);
    auto quick = run("gb200", 2, 2.5);
    for (auto* row : {&slow, &quick}) {
        row->metric = "step_s";
        row->model_tflops = 1 / *row->predicted;
        row->gpus = 64;
    }
    auto const ratios = system_ratios({slow, quick});
    ASSERT_EQ(ratios.size(), 1U);
    EXPECT_DOUBLE_EQ(ratios[0].measured, 3);
    EXPECT_DOUBLE_EQ(ratios[0].predicted, 2);
    slow.gpus = 128;
    EXPECT_TRUE(system_ratios({slow, quick}).empty());
}

TEST(SystemRatios, TableKeepsRowsThatWereNotFittedToApart) {
    auto own = run("gb200", 300, 270);
    own.in_fit = false;
    auto const table = system_ratios_table(system_ratios(
        {run("h100", 100, 100), own, run("h100", 100, 100, "b"), run("gb200", 300, 306, "b")}));
    ASSERT_EQ(table.rows(), 2U);
    EXPECT_EQ(std::get<std::string>(table.at(0, 0)), "gb200 / h100");
    EXPECT_NEAR(std::get<double>(table.at(0, 2)), 2, 1e-9);
    EXPECT_EQ(std::get<std::string>(table.at(1, 0)), "gb200 / h100, not fitted to");
    EXPECT_NEAR(std::get<double>(table.at(1, 4)), -10, 1e-9);
}

}  // namespace
}  // namespace nvl72
