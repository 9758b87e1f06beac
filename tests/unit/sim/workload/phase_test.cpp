#include "sim/workload/phase.hpp"

#include "sim/base/error.hpp"
#include "sim/workload/control_loop.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

PhasePlan phase(std::string name, std::size_t pool, double batch, double each_s) {
    PhasePlan plan;
    plan.name = std::move(name);
    plan.batch = batch;
    plan.stages.push_back(
        {plan.name, pool, false, [each_s](double items) { return items * each_s; }});
    return plan;
}

/// A factory of 1 item/s before a trainer of 2 items/s: the trainer works half the time.
TEST(Workload, LeavesTheQuickerOfTwoPhasesIdle) {
    WorkloadPlan plan;
    plan.pools = {{"factory"}, {"trainer"}};
    plan.links = {{"items", 20}};
    plan.phases = {phase("make", 0, 10, 1), phase("train", 1, 10, 0.5)};
    plan.phases[0].gives = {{0, 1, 0}};
    plan.phases[1].takes = {{0, 1, -1}};
    plan.phases[1].total = 1000;
    auto const run = run_workload(plan);
    EXPECT_NEAR(run.span_s, 1005, 1e-6);  // 100 rounds of 10 s, and the last 5 s of training
    EXPECT_NEAR(run.phases[1].alone_s, 500, 1e-6);
    EXPECT_NEAR(run.phases[1].input_wait_s, 505, 1e-6);
    EXPECT_EQ(run.phases[1].mark, 0);
    EXPECT_NEAR(run.pool_busy_s[0], 1005, 1e-6);
}

TEST(Workload, ConservesItems) {
    WorkloadPlan plan;
    plan.pools = {{"a"}, {"b"}};
    plan.links = {{"items", 7}};
    plan.phases = {phase("make", 0, 3, 1), phase("use", 1, 2, 0.1)};
    plan.phases[0].gives = {{0, 2, 1}};
    plan.phases[0].total = 31;
    plan.phases[1].takes = {{0, 1, -1}};
    auto const run = run_workload(plan);
    EXPECT_NEAR(run.phases[0].items, 31, 1e-9);
    EXPECT_NEAR(run.phases[1].items, 62, 1e-9);
    EXPECT_NEAR(run.link_left[0], 0, 1e-9);
    EXPECT_LE(run.link_most[0], 7 + 1e-9);
}

/// Three stages of 3, 2 and 1 s on machines of their own: one after the other 6 s a round, with
/// rounds overlapped the longest alone.
TEST(Workload, OverlapsTheStagesOfLanes) {
    WorkloadPlan plan;
    plan.pools = {{"gpus"}, {"cores"}, {"judge"}};
    PhasePlan search;
    search.name = "search";
    search.batch = 1;
    search.total = 60;
    for (std::size_t s = 0; s < 3; ++s) {
        double const seconds = 3.0 - static_cast<double>(s);
        search.stages.push_back(
            {"stage", s, false, [seconds](double items) { return seconds * items; }});
    }
    plan.phases = {search};
    EXPECT_NEAR(run_workload(plan).span_s, 360, 1e-6);
    plan.phases[0].lanes = 4;  // of a quarter each
    auto const run = run_workload(plan);
    EXPECT_NEAR(run.span_s, 180, 6);
    EXPECT_NEAR(run.pool_busy_s[0], 180, 1e-6);
}

TEST(Workload, LoadsWeightsThatAnotherPhasePublishes) {
    WorkloadPlan plan;
    plan.pools = {{"actors"}, {"learner"}};
    plan.phases = {phase("act", 0, 1, 1), phase("learn", 1, 1, 10)};
    plan.phases[0].follows = 1;
    plan.phases[0].reload_s = 2;
    plan.phases[1].total = 5;
    auto const run = run_workload(plan);
    EXPECT_NEAR(run.span_s, 50, 1e-9);
    EXPECT_GT(run.phases[0].age, 0);
    // 4 versions are loaded before the end, 2 s each.
    EXPECT_NEAR(run.phases[0].alone_s - run.phases[0].by_stage_s[0], 8, 1e-9);
}

TEST(Workload, SaysWhichPhaseWaitsInVain) {
    WorkloadPlan plan;
    plan.pools = {{"gpus"}};
    plan.links = {{"items", 5}};
    plan.phases = {phase("train", 0, 1, 1)};
    plan.phases[0].takes = {{0, 1, -1}};
    EXPECT_THROW(run_workload(plan), NoProgress);
}

ControlPlan robots(std::int64_t count) {
    ControlPlan plan;
    plan.robots = count;
    plan.period_s = 0.5;
    plan.deadline_s = 0.5;
    plan.span_s = 60;
    plan.network_s = 0.013;
    plan.seconds = [](std::int64_t batch) { return 0.06 + 0.013 * static_cast<double>(batch); };
    return plan;
}

TEST(ControlLoop, GivesALoneRobotTheSumOfItsParts) {
    auto const run = run_control_loop(robots(1), 1);
    EXPECT_EQ(run.misses, 0);
    EXPECT_NEAR(run.answer_s.front(), 0.086, 1e-9);  // 73 ms and 13 ms of network
    EXPECT_NEAR(run.answer_s.back(), 0.086, 1e-9);
    EXPECT_NEAR(run.busy_share, 0.073 / 0.5, 0.002);
    EXPECT_NEAR(run.age_p50_s, 0.086 + 0.25, 1e-6);
}

/// 0.073 s a request: a server bears 0.5 / 0.073 = 6.8 robots, by batches of 8 many more.
TEST(ControlLoop, MissesDeadlinesBeyondWhatItsServerBears) {
    EXPECT_EQ(run_control_loop(robots(5), 1).misses, 0);
    auto const many = run_control_loop(robots(9), 1);
    EXPECT_GT(static_cast<double>(many.misses), 0.5 * static_cast<double>(many.requests));
    auto together = robots(9);
    together.batch_max = 8;
    EXPECT_EQ(run_control_loop(together, 1).misses, 0);
}

}  // namespace
}  // namespace nvl72
