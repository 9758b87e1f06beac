#include "sim/graph/executor.hpp"

#include "sim/base/error.hpp"

#include <gtest/gtest.h>
#include <vector>

namespace nvl72 {
namespace {

using namespace literals;

/// One class with streams that share one link.
struct OneLink {
    TaskGraphBuilder builder;
    ClassId who;
    ResourceId link;

    explicit OneLink(double capacity) {
        builder.add_phase("send");
        who = builder.add_class({0, 1, RankId{0}, "stage 0"});
        link = builder.add_resource({capacity, 1});
    }
    StreamId stream() { return builder.add_stream({who, "pp", false}); }
    TaskId add(StreamId stream, std::uint32_t cost, double bytes, std::vector<TaskId> needs = {}) {
        Task task;
        task.kind = TaskKind::transfer;
        task.stream = stream;
        task.cost = CostId{cost};
        std::vector<Traffic> const traffic{{link, bytes}};
        return builder.add_task(task, needs, traffic);
    }
};

/// 5 ps of latency, then 100 ps of work.
std::vector<TaskTime> const send{{5_ps, 100_ps}};

/// Two sends of 80 B at the same instant; when both are done.
Picoseconds two_sends(double bytes_per_second) {
    OneLink one(bytes_per_second);
    one.add(one.stream(), 0, 80);
    one.add(one.stream(), 0, 80);
    return execute(one.builder.build(), send).makespan;
}

}  // namespace

// Alone each takes 5 + 100 ps and moves 80 B / 100 ps = 0.8 B/ps. Two need 1.6 B/ps, so they take
// latency + max(work, 2 x work x 0.8 / capacity).
TEST(Executor, TwoTransfersShareALinkByItsCapacity) {
    EXPECT_EQ(two_sends(2e12), 105_ps);    // 2 B/ps: room for both
    EXPECT_EQ(two_sends(1.6e12), 105_ps);  // just
    EXPECT_EQ(two_sends(1e12), 165_ps);    // 2 x 100 x 0.8 / 1 = 160
    EXPECT_EQ(two_sends(0.5e12), 325_ps);  // 2 x 100 x 0.8 / 0.5 = 320
}

TEST(Executor, OneTransferAboveCapacityTakesAsLongAsItsBytes) {
    OneLink one(0.5e12);
    one.add(one.stream(), 0, 80);
    EXPECT_EQ(execute(one.builder.build(), send).makespan, 165_ps);  // 5 + 80 / 0.5
}

// On one stream they queue: no sharing, twice the whole time.
TEST(Executor, TasksOfOneStreamRunOneAfterTheOther) {
    OneLink one(1e12);
    StreamId const stream = one.stream();
    TaskId const a = one.add(stream, 0, 80);
    TaskId const b = one.add(stream, 0, 80);
    auto const done = execute(one.builder.build(), send);
    EXPECT_EQ(done.start[a.value], 0_ps);
    EXPECT_EQ(done.finish[a.value], 105_ps);
    EXPECT_EQ(done.start[b.value], 105_ps);
    EXPECT_EQ(done.finish[b.value], 210_ps);
}

// The head of the second stream waits for the first stream's task, and what is behind it waits too
// although it needs nothing.
TEST(Executor, AWaitingHeadBlocksItsStream) {
    OneLink one(1e12);
    StreamId const first = one.stream();
    StreamId const second = one.stream();
    TaskId const a = one.add(first, 0, 0);
    TaskId const head = one.add(second, 0, 0, {a});
    TaskId const behind = one.add(second, 0, 0);
    auto const done = execute(one.builder.build(), send);
    EXPECT_EQ(done.start[head.value], 105_ps);
    EXPECT_EQ(done.start[behind.value], 210_ps);
    EXPECT_EQ(done.makespan, 315_ps);
}

TEST(Executor, CarriesTheBytesOfItsTasks) {
    OneLink one(1e12);
    one.add(one.stream(), 0, 80);
    one.add(one.stream(), 0, 15);
    auto const done = execute(one.builder.build(), send);
    ASSERT_EQ(done.carried.size(), 1U);
    EXPECT_NEAR(done.carried[0], 95, 1e-9);
}

// A link that is down carries nothing: the step would never end.
TEST(Executor, NoProgressIsExitFourAndNamesTheRankThatWaitsAndForWhat) {
    OneLink one(0);
    one.add(one.stream(), 0, 80);
    try {
        (void)execute(one.builder.build(), send);
        FAIL() << "80 bytes crossed a link of capacity 0";
    } catch (NoProgress const& error) {
        EXPECT_EQ(error.code(), ExitCode::no_progress);
        EXPECT_EQ(static_cast<int>(error.code()), 4);
        EXPECT_STREQ(error.what(),
                     "no progress: nothing is pending, 1 activities cannot end; stage 0 (rank 0) "
                     "pp: send waits for resource 0 (capacity 0)");
    }
}

TEST(Executor, StopsWhenItsListenerThrows) {
    OneLink one(1e12);
    StreamId const stream = one.stream();
    for (int i = 0; i < 70000; ++i) one.add(stream, 0, 0);
    double told = 0;
    auto const stop = [&](double share) {
        told = share;
        throw Error(ExitCode::interrupted, "stopped");
    };
    EXPECT_THROW((void)execute(one.builder.build(), send, stop), Error);
    EXPECT_NEAR(told, 65536.0 / 70000, 1e-12);
}

}  // namespace nvl72
