#include "sim/study/fit.hpp"

#include "sim/base/error.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

/// launch + size / rate for sizes 1, 2, 4 ... 1024.
std::vector<double> line(double launch, double rate) {
    std::vector<double> times;
    for (double size = 1; size <= 1024; size *= 2) times.push_back(launch + size / rate);
    return times;
}

std::vector<FitParameter> const line_parameters{{"launch", 1, 0.01, 100}, {"rate", 1, 0.01, 100}};

Fit fit_line(std::vector<double> const& measured,
             std::vector<FitParameter> const& parameters = line_parameters) {
    return fit_log_times(parameters, measured, [](auto const& v) { return line(v[0], v[1]); });
}

TEST(FitLogTimes, FindsTheConstantsThatMadeTheData) {
    auto const fit = fit_line(line(7, 20));
    EXPECT_NEAR(fit.values[0], 7, 1e-4);
    EXPECT_NEAR(fit.values[1], 20, 1e-4);
    EXPECT_LT(fit.iterations, 30);
}

TEST(FitLogTimes, OneWildRowHardlyMovesThem) {
    auto data = line(7, 20);
    data[3] *= 10;
    auto const fit = fit_line(data);
    EXPECT_NEAR(fit.values[0], 7, 0.35);
    EXPECT_NEAR(fit.values[1], 20, 1);
}

TEST(FitLogTimes, StaysInsideTheBoundsAndFitsTheRest) {
    auto parameters = line_parameters;
    parameters[0].high = 5;
    auto const fit = fit_line(line(7, 20), parameters);
    EXPECT_DOUBLE_EQ(fit.values[0], 5);
    EXPECT_GT(fit.values[1], 10);
}

TEST(FitLogTimes, AStartOutsideTheBoundsIsABug) {
    auto parameters = line_parameters;
    parameters[1].start = 1000;
    EXPECT_THROW((void)fit_line(line(7, 20), parameters), Error);
}

TEST(FitErrors, SummariseAbsoluteErrors) {
    auto const errors = errors_of({1, 1, 1, 2, 1}, {1.1, 0.8, 1, 3, 1.05});  // 10, 20, 0, 50, 5 %
    EXPECT_NEAR(errors.median, 0.1, 1e-12);
    EXPECT_NEAR(errors.worst, 0.5, 1e-12);
    EXPECT_EQ(errors.worst_row, 3U);
    EXPECT_THROW((void)errors_of({}, {}), Error);
}

}  // namespace
}  // namespace nvl72
