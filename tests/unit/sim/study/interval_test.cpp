#include "sim/study/interval.hpp"

#include "sim/study/point.hpp"
#include "tests/support/small_experiment.hpp"

#include <cmath>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

using support::shipped_library;
using support::small_experiment;

StepSpec spec_of(LoadedPoint const& point, Profile const& profile) {
    return {point.model, point.parallel, point.fabric, profile, point.recipe, point.precision};
}

/// The small step, simulated once and replayed with another profile.
Picoseconds replayed(LoadedPoint const& point, Profile const& profile) {
    auto const done = simulate_step(spec_of(point, point.profile));
    std::vector<std::vector<TaskTime>> const sets{reprice_step(spec_of(point, profile), done)};
    return replay(done.replay, sets).front();
}

}  // namespace

TEST(StepReplay, AtItsOwnPricesIsTheStep) {
    auto const point = load_point(small_experiment().points.at(0), shipped_library(), {});
    EXPECT_EQ(replayed(point, point.profile), simulate_step(spec_of(point, point.profile)).step);
}

// Sharing may stretch otherwise at other prices, and hides at most part of what moves.
TEST(StepReplay, FollowsADrawAsASimulationDoes) {
    auto const point = load_point(small_experiment().points.at(0), shipped_library(), {});
    for (auto const& drawn : drawn_profiles(shipped_library(), "h100", 5, 6)) {
        double const simulated = to_seconds(simulate_step(spec_of(point, drawn)).step);
        EXPECT_NEAR(to_seconds(replayed(point, drawn)) / simulated, 1, 2e-3);
    }
}

TEST(StepInterval, HoldsTheDrawsAndWhatRunsLeaveUnexplained) {
    auto point = load_point(small_experiment().points.at(0), shipped_library(), {});
    auto const without = simulate_point(point, 0).row;
    EXPECT_TRUE(std::isnan(without.drawn_p10_s));
    auto const library = shipped_library();
    point.draws = DrawnProfiles(library, 1).of("h100");
    auto const row = simulate_point(point, 0).row;
    EXPECT_EQ(row.step_s, without.step_s);
    EXPECT_LT(row.drawn_p10_s, row.step_s);
    EXPECT_GT(row.drawn_p90_s, row.step_s);
    // Independent causes: distances add as squares, in logarithms.
    double const drawn = std::log(row.drawn_p90_s / row.step_s);
    double const rest = std::log(without.step_p90_s / row.step_s);
    EXPECT_NEAR(std::log(row.step_p90_s / row.step_s), std::hypot(drawn, rest), 1e-9);
}

// Fitted runs of this model, software and GPU: the inside. Any of the three unknown: wider, never
// narrower; by the model's content, not by its name.
TEST(StepInterval, IsWiderForWhatNoRunWasFittedOf) {
    auto const point = load_point(small_experiment().points.at(0), shipped_library(), {});
    auto const interval = [&](Architecture const& model, Profile const& profile, bool software,
                              BasisKind kind = BasisKind::interpolated) {
        StepSpec const spec{model,   point.parallel, point.fabric,
                            profile, point.recipe,   point.precision};
        return step_interval(spec, StepResult{}, {{kind, ""}, 1, true}, nullptr, software).all;
    };
    Spread const inside = interval(point.model, point.profile, true);
    ASSERT_TRUE(inside.known());
    auto renamed = point.model;
    renamed.name = "another name";
    EXPECT_EQ(interval(renamed, point.profile, true).high, inside.high);
    auto smaller = point.model;
    smaller.layers /= 2;
    auto const wider = [&](Spread const& other) {
        EXPECT_LT(other.low, inside.low);
        EXPECT_GT(other.high, inside.high);
    };
    Spread const unknown_model = interval(smaller, point.profile, true);
    wider(unknown_model);
    wider(interval(point.model, point.profile, false));
    // A GPU scaled from another, without runs of its own.
    auto const library = shipped_library();
    Spread const scaled =
        interval(point.model, load_profile(library, "h200"), true, BasisKind::datasheet);
    wider(scaled);
    EXPECT_LT(scaled.low, unknown_model.low);
    EXPECT_GT(scaled.high, unknown_model.high);
}

TEST(DrawnProfiles, AreMadeOnceForAllPointsOfAGpu) {
    auto const library = shipped_library();
    DrawnProfiles drawn(library, 1);
    EXPECT_EQ(drawn.of("h100"), drawn.of("h100"));
}

}  // namespace nvl72
