#include "sim/study/plan_goal.hpp"

#include "sim/base/error.hpp"
#include "sim/study/plan.hpp"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace nvl72 {
namespace {

TEST(PlanGoal, ReadsAnObjectiveWithLimitsAndTokens) {
    auto const goal = parse_goal("fewest gpus under 30 days for 15e12 tokens");
    EXPECT_EQ(goal.objective, PlanObjective::fewest_gpus);
    EXPECT_EQ(goal.seconds, 30 * 86400.0);
    EXPECT_EQ(goal.tokens, 15e12);
    EXPECT_FALSE(goal.usd || goal.mwh || goal.gpus || goal.memory_gib);
}

TEST(PlanGoal, ReadsEveryLimit) {
    auto const goal = parse_goal(
        "Least Energy under 2 weeks and 2e6 USD and 900 MWh and 512 gpus and 60 GiB "
        "for 1e12 tokens");
    EXPECT_EQ(goal.objective, PlanObjective::least_energy);
    EXPECT_EQ(goal.seconds, 14 * 86400.0);
    EXPECT_EQ(goal.usd, 2e6);
    EXPECT_EQ(goal.mwh, 900);
    EXPECT_EQ(goal.gpus, 512);
    EXPECT_EQ(goal.memory_gib, 60);
}

TEST(PlanGoal, NeedsNoLimits) {
    EXPECT_EQ(parse_goal("fastest").objective, PlanObjective::fastest);
    EXPECT_EQ(parse_goal("least memory").objective, PlanObjective::least_memory);
    EXPECT_EQ(parse_goal("least cost for 1e12 tokens").objective, PlanObjective::least_cost);
}

TEST(PlanGoal, SaysInALineWhatItDoesNotTake) {
    struct Case {
        std::string goal, says;
    };
    std::vector<Case> const cases{
        {"", "expected fastest | fewest gpus"},
        {"cheapest", "'cheapest' (expected fastest | fewest gpus"},
        {"fewest", "expected fastest | fewest gpus"},
        {"fewest gpus", "under a time"},
        {"fewest gpus under 30 days", "for 15e12 tokens"},
        {"fastest under many gpus", "'many' (expected a number of"},
        {"fastest under -3 gpus", "'-3' (expected a number of"},
        {"fastest under 3 furlongs", "'furlongs' (expected hours, days, weeks, gpus"},
        {"fastest for 3e12", "'the end' (expected tokens"},
        {"fastest for 3e12 tokens please", "'please' (expected the end"},
        {"fastest please", "'please' (expected 'under', 'for' or the end"},
    };
    for (auto const& one : cases) {
        try {
            parse_goal(one.goal);
            ADD_FAILURE() << one.goal;
        } catch (ConfigError const& error) {
            std::string const text = error.what();
            EXPECT_EQ(text.find("--goal: "), 0U) << text;
            EXPECT_NE(text.find(one.says), std::string::npos) << text;
            EXPECT_EQ(text.find('\n'), std::string::npos);
        }
    }
}

TEST(PlanGoal, LooksAtHalvesAndThreeQuarters) {
    EXPECT_EQ(goal_sizes(32), (std::vector<std::int64_t>{1, 2, 3, 4, 6, 8, 12, 16, 24, 32}));
    EXPECT_EQ(goal_sizes(72), (std::vector<std::int64_t>{9, 18, 27, 36, 54, 72}));
}

}  // namespace
}  // namespace nvl72
