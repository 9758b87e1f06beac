#include "sim/study/fit_training.hpp"

#include "tests/support/small_experiment.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <string>

namespace nvl72 {
namespace {

/// The small run with three batches, "published" as it comes out at `factor`.
std::vector<LoadedPoint> planted_runs(double factor) {
    std::vector<LoadedPoint> runs;
    for (char const* batch : {"global_batch=16", "global_batch=32", "global_batch=64"}) {
        auto const experiment = support::small_experiment({batch});
        auto run = load_point(experiment.points.at(0), support::shipped_library(), {});
        run.profile.sustained = factor;
        Placed<double> rate;
        rate.value = simulate_point(run, 0).row.tokens_per_s_per_gpu;
        run.system.published.tokens_per_s_per_gpu = rate;
        run.profile.sustained = 1;
        runs.push_back(run);
    }
    return runs;
}

TEST(FitTraining, RecoversAPlantedFactorAndLeavesNoError) {
    for (double const factor : {1.0, 1.07, 1.37, 2.0}) {
        auto const fitted = fit_sustained(planted_runs(factor), "planted");
        EXPECT_EQ(fitted.yaml.scalar, fmt::format("{:.2f}", factor));
        EXPECT_EQ(fitted.fit.rows, 3U);
        EXPECT_NEAR(fitted.fit.in_sample.worst, 0, 1e-12);
        EXPECT_NEAR(fitted.fit.left_out.worst, 0, 1e-12);
    }
}

/// One run 10 % too fast moves the factor, and is itself missed by more than the fit shows.
TEST(FitTraining, ARunLeftOutIsPredictedFromTheOthers) {
    auto runs = planted_runs(1.3);
    runs[2].system.published.tokens_per_s_per_gpu->value *= 1.1;
    auto const fitted = fit_sustained(runs, "planted");
    EXPECT_LT(std::stod(fitted.yaml.scalar), 1.3);
    EXPECT_LT(fitted.fit.in_sample.worst, 0.09);
    EXPECT_NEAR(fitted.fit.left_out.worst, 1 - 1 / 1.1, 1e-6);  // the others say exactly 1.30
    EXPECT_EQ(fitted.fit.left_out.worst_row, 2U);
    EXPECT_TRUE(fitted.yaml.source.starts_with("fitted: least squares of log throughput over 3"))
        << fitted.yaml.source;
}

}  // namespace
}  // namespace nvl72
