#include "sim/engine/process.hpp"

#include "sim/base/error.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

Process sleeper(Scheduler& clock, double seconds, std::vector<double>& ends) {
    co_await clock.delay(seconds);
    ends.push_back(to_seconds(clock.now()));
}

Process worker(Scheduler& clock,
               Pool& pool,
               double begin,
               double work,
               int priority,
               double& end,
               std::size_t owner = 0) {
    co_await clock.delay(begin);
    co_await pool.use(work, priority, owner);
    end = to_seconds(clock.now());
}

Process producer(Scheduler& clock, Buffer& buffer, int count, double each) {
    for (int i = 0; i < count; ++i) {
        co_await clock.delay(each);
        co_await buffer.put(1, 1);
    }
    buffer.close();
}

Process consumer(Scheduler& clock, Buffer& buffer, double amount, double each, double& got) {
    while (true) {
        auto const taken = co_await buffer.get(amount);
        if (taken.amount <= 0) co_return;
        got += taken.amount;
        co_await clock.delay(each);
    }
}

Process starved(Buffer& buffer) { co_await buffer.get(5); }

TEST(Scheduler, WakesProcessesWhenTheirTimeHasCome) {
    Scheduler clock;
    std::vector<double> ends;
    clock.start("long", sleeper(clock, 3, ends));
    clock.start("short", sleeper(clock, 1, ends));
    EXPECT_FALSE(clock.run(from_seconds(10)));
    EXPECT_EQ(ends, (std::vector<double>{1, 3}));
}

TEST(Scheduler, SaysWhoWaitsForWhatInVain) {
    Scheduler clock;
    Buffer buffer(clock, "tokens", 10);
    clock.start("trainer", starved(buffer));
    try {
        clock.run(from_seconds(1));
        FAIL() << "no error";
    } catch (NoProgress const& error) {
        EXPECT_STREQ(error.what(),
                     "trainer waits for more in tokens, which nobody will bring (expected a phase "
                     "that does)");
    }
}

/// Two of 4 s and 2 s from 0 and 1: shared from 1 to 5, by when the second is done; the first has
/// then had 1 + 2 of its 4.
TEST(Pool, SharesEvenlyAmongEquals) {
    Scheduler clock;
    Pool pool(clock, "gpus");
    double first = 0, second = 0;
    clock.start("first", worker(clock, pool, 0, 4, 0, first));
    clock.start("second", worker(clock, pool, 1, 2, 0, second, 1));
    clock.run(from_seconds(100));
    EXPECT_NEAR(second, 5, 1e-9);
    EXPECT_NEAR(first, 6, 1e-9);
    EXPECT_NEAR(pool.busy_s(), 6, 1e-9);
}

TEST(Pool, DoesOneOwnersWorkOneAfterTheOther) {
    Scheduler clock;
    Pool pool(clock, "gpus");
    double first = 0, second = 0;
    clock.start("first", worker(clock, pool, 0, 4, 0, first));
    clock.start("second", worker(clock, pool, 1, 2, 0, second));
    clock.run(from_seconds(100));
    EXPECT_NEAR(first, 4, 1e-9);
    EXPECT_NEAR(second, 6, 1e-9);
}

TEST(Pool, LetsTheHigherPriorityGoFirst) {
    Scheduler clock;
    Pool pool(clock, "gpus");
    double low = 0, high = 0;
    clock.start("low", worker(clock, pool, 0, 4, 0, low));
    clock.start("high", worker(clock, pool, 1, 2, 1, high));
    clock.run(from_seconds(100));
    EXPECT_NEAR(high, 3, 1e-9);
    EXPECT_NEAR(low, 6, 1e-9);
}

/// A slow taker holds up a quick giver: 20 items, 2 at once, 1 s each round.
TEST(Buffer, HoldsUpWhoeverIsTooQuick) {
    Scheduler clock;
    Buffer buffer(clock, "tokens", 4);
    double got = 0;
    clock.start("producer", producer(clock, buffer, 20, 0.1));
    clock.start("consumer", consumer(clock, buffer, 2, 1, got));
    clock.run(from_seconds(100));
    EXPECT_EQ(got, 20);
    EXPECT_LE(buffer.most(), 4);
    EXPECT_NEAR(to_seconds(clock.now()), 10.2, 1e-9);  // two items at 0.2, then 10 rounds
}

TEST(Buffer, MixesMarks) {
    Scheduler clock;
    Buffer buffer(clock, "tokens", 10);
    EXPECT_TRUE(buffer.put(3, 1).await_ready());
    EXPECT_TRUE(buffer.put(1, 0).await_ready());
    auto get = buffer.get(2);
    EXPECT_TRUE(get.await_ready());
    EXPECT_DOUBLE_EQ(get.await_resume().mark, 0.75);
    EXPECT_DOUBLE_EQ(buffer.held(), 2);
}

Process meets(Scheduler& clock, Barrier& barrier, double each, std::vector<double>& passed) {
    for (int i = 0; i < 2; ++i) {
        co_await clock.delay(each);
        co_await barrier.arrive();
        passed.push_back(to_seconds(clock.now()));
    }
}

TEST(Barrier, LetsNobodyGoBeforeTheLast) {
    Scheduler clock;
    Barrier barrier(clock, "round", 2);
    std::vector<double> passed;
    clock.start("quick", meets(clock, barrier, 1, passed));
    clock.start("slow", meets(clock, barrier, 3, passed));
    clock.run(from_seconds(100));
    EXPECT_EQ(passed, (std::vector<double>{3, 3, 6, 6}));
}

}  // namespace
}  // namespace nvl72
