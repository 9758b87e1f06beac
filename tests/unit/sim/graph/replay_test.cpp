#include "sim/graph/replay.hpp"

#include <gtest/gtest.h>
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

}  // namespace nvl72
