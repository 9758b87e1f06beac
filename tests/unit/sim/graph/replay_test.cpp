#include "sim/graph/replay.hpp"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace nvl72 {
namespace {

using namespace literals;

/// A stage that computes twice, and two sends of the first result that share a link of 1 B/ps: each
/// moves 80 B, 0.8 B/ps alone, so together they take 1.6 times their work.
struct Job {
    TaskGraph graph;

    Job() {
        TaskGraphBuilder builder;
        builder.add_phase("forward");
        auto const who = builder.add_class({0, 1, RankId{0}, "stage 0"});
        auto const link = builder.add_resource({1e12, 1});
        auto const compute = builder.add_stream({who, "compute", true});
        StreamId const sends[] = {builder.add_stream({who, "a"}), builder.add_stream({who, "b"})};
        Task task;
        task.stream = compute;
        task.cost = CostId{0};
        TaskId const first = builder.add_task(task, {});
        builder.add_task(task, {});
        task.kind = TaskKind::transfer;
        task.cost = CostId{1};
        for (StreamId const stream : sends) {
            task.stream = stream;
            builder.add_task(task, std::vector{first}, std::vector<Traffic>{{link, 80}});
        }
        graph = builder.build();
    }
};

std::vector<TaskTime> times_of(Picoseconds compute, Picoseconds send) {
    return {{10_ps, compute}, {5_ps, send}};
}

std::vector<Picoseconds> again(std::vector<std::vector<TaskTime>> const& sets) {
    Job const job;
    auto const times = times_of(50_ps, 100_ps);
    auto const recorded = record(job.graph, times, execute(job.graph, times));
    return replay(recorded, sets);
}

}  // namespace

// 10 + 50 for the first kernel, then 5 + 1.6 x 100 for the sends.
TEST(Replay, WithTheRecordedTimesIsTheRecordedRun) {
    Job const job;
    auto const times = times_of(50_ps, 100_ps);
    EXPECT_EQ(execute(job.graph, times).makespan, 225_ps);
    EXPECT_EQ(again({times}).front(), 225_ps);
}

TEST(Replay, StretchesOtherTimesAsSharingDid) {
    // 10 + 50 + 5 + 1.6 x 50; the second kernel ends at 120.
    EXPECT_EQ(again({times_of(50_ps, 50_ps)}).front(), 145_ps);
    // Kernels bind now: 2 x (10 + 400).
    EXPECT_EQ(again({times_of(400_ps, 50_ps)}).front(), 820_ps);
}

TEST(Replay, TakesAnyNumberOfSetsAtOnce) {
    std::vector<std::vector<TaskTime>> sets;
    for (int i = 0; i < 19; ++i) sets.push_back(times_of(Picoseconds{50 + i}, 100_ps));
    auto const spans = again(sets);
    ASSERT_EQ(spans.size(), 19U);
    for (int i = 0; i < 19; ++i) {
        EXPECT_EQ(spans[static_cast<std::size_t>(i)], Picoseconds{225 + i});
    }
}

/// A send that waits for a marker of no length, which was added after it: both start at once.
TaskGraph waiting_for_a_marker(int markers) {
    TaskGraphBuilder builder;
    builder.add_phase("forward");
    auto const who = builder.add_class({0, 1, RankId{0}, "stage 0"});
    Task task;
    TaskId waiting{};
    for (int i = 0; i <= markers; ++i) {
        task.stream = builder.add_stream({who, "s" + std::to_string(i)});
        task.cost = CostId{i == 0 ? 1U : 0U};
        TaskId const added = builder.add_task(task, {});
        if (i > 0) builder.add_need(waiting, added);
        waiting = added;
    }
    return builder.build();
}

// 30 of the marker, now that it has a length, then 100.
TEST(Replay, OfTasksThatStartTogetherTheOneThatStartsTheOtherGoesFirst) {
    std::vector<TaskTime> const recorded{{0_ps, 0_ps}, {0_ps, 100_ps}};
    std::vector<TaskTime> const other{{0_ps, 30_ps}, {0_ps, 100_ps}};
    auto const graph = waiting_for_a_marker(1);
    auto const run = execute(graph, recorded);
    EXPECT_EQ(run.makespan, 100_ps);
    auto const spans = replay(record(graph, recorded, run), std::vector{recorded, other});
    EXPECT_EQ(spans[0], 100_ps);
    EXPECT_EQ(spans[1], 130_ps);
}

// Two markers, the second waiting for the third: neither start nor finish tells their order.
TEST(Replay, OfTasksOverAtOnceTheNeededGoesFirst) {
    std::vector<TaskTime> const recorded{{0_ps, 0_ps}, {0_ps, 100_ps}};
    std::vector<TaskTime> const other{{0_ps, 30_ps}, {0_ps, 100_ps}};
    auto const graph = waiting_for_a_marker(2);
    auto const spans =
        replay(record(graph, recorded, execute(graph, recorded)), std::vector{recorded, other});
    EXPECT_EQ(spans[0], 100_ps);
    EXPECT_EQ(spans[1], 160_ps);
}

}  // namespace nvl72
