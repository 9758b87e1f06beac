#include "sim/study/point.hpp"
#include "tests/support/small_experiment.hpp"

#include <cmath>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

using support::shipped_library;
using support::small_experiment;

SweepRow row_of(std::vector<std::string> const& overrides) {
    auto const point = load_point(small_experiment(overrides).points.at(0), shipped_library(), {});
    return simulate_point(point, 0).row;
}

// A limit that holds the clock is kept by machines that draw more at a lower clock: the step is as
// uncertain as before, and more.
TEST(StepInterval, IsWiderWhereALimitHoldsTheClock) {
    auto const free = row_of({});
    auto const capped = row_of({"power.gpu_cap=450 W"});
    EXPECT_EQ(free.power.clock, 1);
    ASSERT_LT(capped.power.clock, 1);
    EXPECT_LT(capped.step_p10_s / capped.step_s, free.step_p10_s / free.step_s);
    EXPECT_GT(capped.step_p90_s / capped.step_s, free.step_p90_s / free.step_s);
    auto const loose = row_of({"power.gpu_cap=700 W"});  // its TDP: nothing is held
    EXPECT_EQ(loose.step_p90_s, free.step_p90_s);
}

// Step 0.9 to 1.1 and power 0.8 to 1.25 of what is predicted: energy to exp(hypot(ln 1.1, ln 1.25))
// = 1.274. A rent of 4 of 5 USD follows the time: 0.8 x 1.1 + 0.2 x 1.274 = 1.135.
TEST(PowerBands, JoinTimeAndPowerAndLetRentFollowTheTime) {
    PowerFigures figures;
    figures.usd_per_mtoken = 5;
    PowerSetting setting;
    setting.usd_per_gpu = 4 * 8766;  // written off in a year: 4 USD an hour
    setting.facility.years = 1;
    auto const bands = power_bands(figures, setting, {0.9, 1.1}, {0.8, 1.25}, 1);
    EXPECT_NEAR(bands.energy.high, 1.274, 0.001);
    EXPECT_NEAR(bands.energy.low, std::exp(-std::hypot(std::log(0.9), std::log(0.8))), 1e-12);
    EXPECT_NEAR(bands.usd.high, 0.8 * 1.1 + 0.2 * bands.energy.high, 1e-12);
    EXPECT_FALSE(power_bands(figures, setting, {}, {0.8, 1.25}, 1).energy.known());
}

}  // namespace
}  // namespace nvl72
