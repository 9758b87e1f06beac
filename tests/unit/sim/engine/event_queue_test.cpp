#include "sim/engine/event_queue.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

Event event(std::int64_t at, std::uint32_t kind, std::uint32_t subject) {
    return {Picoseconds{at}, kind, subject};
}

TEST(EventQueue, HoldsAnEventInSixteenBytes) { EXPECT_EQ(sizeof(Event), 16U); }

TEST(EventQueue, PopsAWholeInstantByKindThenSubject) {
    EventQueue queue;
    queue.push(event(7, 1, 0));
    queue.push(event(9, 0, 0));
    queue.push(event(7, 0, 5));
    queue.push(event(7, 0, 2));
    auto const first = queue.pop_instant();
    ASSERT_EQ(first.size(), 3U);
    EXPECT_EQ(first[0].subject, 2U);
    EXPECT_EQ(first[1].subject, 5U);
    EXPECT_EQ(first[2].kind, 1U);
    EXPECT_EQ(queue.now(), Picoseconds{7});
    EXPECT_EQ(queue.pop_instant().size(), 1U);
    EXPECT_EQ(queue.now(), Picoseconds{9});
    EXPECT_TRUE(queue.empty());
}

TEST(EventQueue, TakesEventsOfTheInstantItStandsAt) {
    EventQueue queue;
    queue.push(event(7, 0, 0));
    queue.push(event(8, 0, 1));
    queue.pop_instant();
    EXPECT_FALSE(queue.more_now());
    queue.push(event(7, 3, 3));
    EXPECT_TRUE(queue.more_now());
    EXPECT_EQ(queue.pop_instant()[0].subject, 3U);
    EXPECT_EQ(queue.now(), Picoseconds{7});
    EXPECT_EQ(queue.pop_instant()[0].subject, 1U);
}

TEST(EventQueue, RefusesThePastAndAnEmptyPop) {
    EventQueue queue;
    EXPECT_THROW(queue.pop_instant(), Error);
    queue.push(event(10, 0, 0));
    queue.pop_instant();
    EXPECT_THROW(queue.push(event(9, 0, 0)), Error);
}

TEST(EventQueue, ReachesTheEndOfTime) {
    EventQueue queue;
    queue.push(event(INT64_MAX, 0, 1));
    queue.push(event(0, 0, 0));
    EXPECT_EQ(queue.pop_instant()[0].subject, 0U);
    EXPECT_EQ(queue.pop_instant()[0].subject, 1U);
}

}  // namespace
}  // namespace nvl72
