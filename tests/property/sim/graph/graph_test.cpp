#include "sim/base/random.hpp"
#include "sim/graph/breakdown.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace nvl72 {
namespace {

constexpr int cases = 200;

/// A random graph whose needs point backwards, and times for it.
struct RandomGraph {
    TaskGraph graph;
    std::vector<TaskTime> times;
};

RandomGraph draw(RandomStream& random) {
    TaskGraphBuilder builder;
    builder.add_phase("phase");
    RandomGraph drawn;
    std::vector<ResourceId> resources;
    for (std::uint64_t r = 0; r < 1 + random.below(4); ++r) {
        resources.push_back(builder.add_resource({1e11 + 1e12 * random.uniform(), 1}));
    }
    std::vector<std::pair<StreamId, bool>> streams;
    auto const classes = static_cast<std::uint32_t>(1 + random.below(4));
    for (std::uint32_t c = 0; c < classes; ++c) {
        ClassId const who = builder.add_class({0, 1, RankId{c}, "class " + std::to_string(c)});
        streams.emplace_back(builder.add_stream({who, "compute", true}), true);
        streams.emplace_back(builder.add_stream({who, "network", false}), false);
    }
    std::vector<TaskId> tasks;
    auto const count = static_cast<std::uint32_t>(1 + random.below(80));
    for (std::uint32_t i = 0; i < count; ++i) {
        auto const& [stream, compute] = streams[random.below(streams.size())];
        Task task;
        task.kind = compute ? TaskKind::compute : TaskKind::transfer;
        task.dimension =
            compute ? ParallelDimension::none : static_cast<ParallelDimension>(1 + random.below(5));
        task.stream = stream;
        task.cost = CostId{i};
        drawn.times.push_back({Picoseconds{static_cast<std::int64_t>(random.below(500))},
                               Picoseconds{static_cast<std::int64_t>(random.below(5000))}});
        std::vector<TaskId> needs;
        while (!tasks.empty() && random.below(2) == 0) {
            needs.push_back(tasks[random.below(tasks.size())]);
        }
        std::vector<Traffic> traffic;
        for (ResourceId const resource : resources) {
            bool const used = random.below(2) == 0 && drawn.times.back().work.count > 0;
            if (used) traffic.push_back({resource, 5000 * random.uniform()});
        }
        tasks.push_back(builder.add_task(task, needs, traffic));
    }
    drawn.graph = builder.build();
    return drawn;
}

}  // namespace

TEST(RandomGraphs, SumTheirPartsToTheStep) {
    RandomStream random(21, "parts");
    for (int i = 0; i < cases; ++i) {
        auto const [graph, times] = draw(random);
        auto const done = execute(graph, times);
        std::vector<Picoseconds> busy(graph.classes().size());
        for (std::uint32_t t = 0; t < graph.tasks().size(); ++t) {
            if (graph.tasks()[t].kind != TaskKind::compute) continue;
            busy[graph.class_of(TaskId{t}).value] += done.finish[t] - done.start[t];
        }
        auto const parts = breakdown(graph, done);
        ASSERT_EQ(parts.size(), busy.size());
        for (std::size_t c = 0; c < parts.size(); ++c) {
            EXPECT_EQ(parts[c].total(), done.makespan) << "case " << i;
            EXPECT_EQ(parts[c].compute, busy[c]) << "case " << i;
            EXPECT_EQ(parts[c].exposed[0].count, 0) << "compute is not exposed, case " << i;
            for (Picoseconds const part : parts[c].exposed) EXPECT_GE(part.count, 0);
            EXPECT_GE(parts[c].bubble.count, 0);
            EXPECT_GE(parts[c].idle.count, 0);
        }
    }
}

TEST(RandomGraphs, RunOneTaskOfAStreamAtATimeAndNoneBeforeItsNeeds) {
    RandomStream random(22, "order");
    for (int i = 0; i < cases; ++i) {
        auto const [graph, times] = draw(random);
        auto const done = execute(graph, times);
        std::vector<Picoseconds> free(graph.streams().size());
        Picoseconds last;
        for (std::uint32_t t = 0; t < graph.tasks().size(); ++t) {
            Task const& task = graph.tasks()[t];
            Picoseconds ready = free[task.stream.value];
            EXPECT_GE(done.start[t], ready) << "case " << i << " task " << t;
            for (TaskId const needed : graph.needs(TaskId{t})) {
                EXPECT_GE(done.start[t], done.finish[needed.value]) << "case " << i;
                ready = std::max(ready, done.finish[needed.value]);
            }
            EXPECT_EQ(done.start[t], ready) << "it starts as soon as it may, case " << i;
            TaskTime const& alone = times[task.cost.value];
            EXPECT_GE(done.finish[t] - done.start[t], alone.latency + alone.work);
            free[task.stream.value] = done.finish[t];
            last = std::max(last, done.finish[t]);
        }
        EXPECT_EQ(done.makespan, last);
    }
}

TEST(RandomGraphs, CarryTheBytesOfTheirTasksAndNoMoreThanCapacity) {
    RandomStream random(23, "bytes");
    for (int i = 0; i < cases; ++i) {
        auto const [graph, times] = draw(random);
        auto const done = execute(graph, times);
        std::vector<double> bytes(graph.resources().size(), 0);
        for (std::uint32_t t = 0; t < graph.tasks().size(); ++t) {
            for (Traffic const& traffic : graph.traffic(TaskId{t})) {
                bytes[traffic.resource.value] += traffic.amount;
            }
        }
        for (std::size_t r = 0; r < bytes.size(); ++r) {
            EXPECT_NEAR(done.carried[r], bytes[r], 1e-9 * bytes[r]) << "case " << i;
            // Each finish is rounded to half a picosecond.
            double const room =
                graph.resources()[r].capacity * (to_seconds(done.makespan) + 1e-12 * times.size());
            EXPECT_LE(bytes[r], room) << "case " << i;
        }
    }
}

}  // namespace nvl72
