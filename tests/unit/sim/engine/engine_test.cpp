#include "sim/engine/engine.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <utility>

namespace nvl72 {
namespace {

using namespace literals;

/// Notes when each subject ends, checks the sharing after every instant, and runs a function at
/// each timer.
struct Log {
    Engine& engine;
    std::map<std::uint32_t, Picoseconds> ends{};
    std::vector<std::string> calls{};
    std::function<void(std::uint32_t, std::uint32_t)> on_timer{};
    std::function<void(std::uint32_t)> on_finish{};

    void finished(std::uint32_t subject) {
        ends[subject] = engine.now();
        calls.push_back("finished " + std::to_string(subject));
        if (on_finish) on_finish(subject);
    }
    void timer(std::uint32_t kind, std::uint32_t subject) {
        calls.push_back("timer " + std::to_string(kind) + " " + std::to_string(subject));
        if (on_timer) on_timer(kind, subject);
    }
    void settled() const { engine.sharing().check(); }
    [[nodiscard]] static std::string describe(std::uint32_t subject) {
        return "flow " + std::to_string(subject);
    }
};

Activity activity(double work,
                  double rate_max,
                  std::span<Usage const> uses,
                  Picoseconds latency = Picoseconds{0},
                  std::uint32_t multiplicity = 1) {
    Activity made;
    made.latency = latency;
    made.work = work;
    made.rate_max = rate_max;
    made.multiplicity = multiplicity;
    made.uses = uses;
    return made;
}

TEST(EngineAlone, TakesLatencyPlusWorkOverRateMaxToThePicosecond) {
    Engine engine;
    auto const link = engine.add_resource({50e9, 1});
    Usage const uses[]{{link, 1}};
    // 1,000,003 B / 37e9 B/s = 27,027,108.1.. ps -> 27,027,108; rounded, not up
    engine.start(activity(1'000'003, 37e9, uses, 3_us), 0);
    Log log{engine};
    engine.run(log);
    EXPECT_EQ(log.ends[0], 3_us + 27'027'108_ps);
    EXPECT_EQ(engine.last_call(), log.ends[0]);
    EXPECT_EQ(engine.sharing().solves(), 0U);
    EXPECT_EQ(engine.moved(link), 1'000'003);
}

TEST(EngineAlone, RunsAtAFullLinkWhenRateMaxIsMore) {
    Engine engine;
    auto const link = engine.add_resource({50e9, 1});
    Usage const uses[]{{link, 2}};  // 2 B on the link per unit of work
    engine.start(activity(1e6, 1e12, uses), 0);
    Log log{engine};
    engine.run(log);
    EXPECT_EQ(log.ends[0], 40_us);  // 2e6 B / 50e9 B/s
}

TEST(EngineAlone, NeedsNoResource) {
    Engine engine;
    engine.start(activity(5, 2, {}, 7_ps), 0);
    Log log{engine};
    engine.run(log);
    EXPECT_EQ(log.ends[0], 2'500'000'000'007_ps);
}

TEST(EngineAlone, WithoutWorkTakesItsLatencyOnly) {
    Engine engine;
    auto const link = engine.add_resource({0, 1});
    Usage const uses[]{{link, 1}};
    engine.start(activity(0, 1, uses, 11_ps), 0);
    engine.start(activity(0, 1, uses), 1);
    Log log{engine};
    engine.run(log);
    EXPECT_EQ(log.ends[0], 11_ps);
    EXPECT_EQ(log.ends[1], 0_ps);
}

TEST(EngineShared, TwoEqualOnesTakeTheLongerOfRateMaxAndHalfTheLink) {
    // link 100 B/s, 1000 units of 1 B: alone at 80/s 12.5 s, two share at 50/s: 20 s.
    // At 40/s both fit: 25 s.
    for (auto const& [rate_max, seconds] : {std::pair{80.0, 20.0}, {40.0, 25.0}, {50.0, 20.0}}) {
        Engine engine;
        auto const link = engine.add_resource({100, 1});
        Usage const uses[]{{link, 1}};
        engine.start(activity(1000, rate_max, uses, 5_us), 0);
        engine.start(activity(1000, rate_max, uses, 5_us), 1);
        Log log{engine};
        engine.run(log);
        EXPECT_EQ(log.ends[0], 5_us + from_seconds(seconds));
        EXPECT_EQ(log.ends[1], log.ends[0]);
        EXPECT_EQ(engine.moved(link), 2000);
    }
}

TEST(EngineShared, RoundsUpNoNoise) {
    // 93 / (93 / 2) s is a little more than 2 s where the rate comes from 1 / 93 in doubles.
    Engine engine;
    auto const link = engine.add_resource({93, 1});
    Usage const uses[]{{link, 1}};
    engine.start(activity(93, 93, uses), 0);
    engine.start(activity(93, 93, uses), 1);
    Log log{engine};
    engine.run(log);
    EXPECT_EQ(log.ends[0], 2_s);
    EXPECT_EQ(log.ends[1], 2_s);
}

TEST(EngineShared, TheSecondOneSlowsTheFirstFromItsStartToItsEnd) {
    // Link 100 B/s. Flow 0: 1000 B from 0 s; flow 1: 200 B from 5 s. Alone until 5 s flow 0 moves
    // 500; at 50 B/s each flow 1 ends at 9 s; then 0 has 300 left at 100 B/s: 12 s.
    Engine engine;
    auto const link = engine.add_resource({100, 1});
    Usage const uses[]{{link, 1}};
    engine.start(activity(1000, 100, uses), 0);
    engine.start(activity(200, 100, uses, 5_s), 1);
    Log log{engine};
    engine.run(log);
    EXPECT_EQ(log.ends[1], 9_s);
    EXPECT_EQ(log.ends[0], 12_s);
}

TEST(EngineShared, FinishesBeforeAStartOfTheSameInstant) {
    // 1 starts where 0 ends: neither is slowed, nothing is solved.
    Engine engine;
    auto const link = engine.add_resource({100, 1});
    Usage const uses[]{{link, 1}};
    engine.start(activity(500, 100, uses), 0);
    engine.start(activity(500, 100, uses, 5_s), 1);
    Log log{engine};
    engine.run(log);
    EXPECT_EQ(log.ends[0], 5_s);
    EXPECT_EQ(log.ends[1], 10_s);
    EXPECT_EQ(engine.sharing().solves(), 0U);
}

TEST(EngineShared, AStartFromAFinishSharesFromTheSameInstant) {
    Engine engine;
    auto const link = engine.add_resource({100, 1});
    Usage const uses[]{{link, 1}};
    engine.start(activity(100, 100, uses), 0);
    Log log{engine};
    log.on_finish = [&](std::uint32_t subject) {
        if (subject != 0) return;
        engine.start(activity(100, 100, uses), 1);
        engine.start(activity(200, 100, uses), 2);
    };
    engine.run(log);
    EXPECT_EQ(log.ends[1], 3_s);  // 50 B/s each from 1 s
    EXPECT_EQ(log.ends[2], 4_s);  // 100 left at 3 s, alone
}

TEST(EngineShared, MultiplicityCountsIdenticalOnes) {
    // 3 copies of one and 1 of another on 100 B/s: 25 B/s each. The four end at 4 s.
    Engine engine;
    auto const link = engine.add_resource({100, 1});
    Usage const uses[]{{link, 1}};
    engine.start(activity(100, 100, uses, {}, 3), 0);
    engine.start(activity(200, 100, uses), 1);
    Log log{engine};
    engine.run(log);
    EXPECT_EQ(log.ends[0], 4_s);
    EXPECT_EQ(log.ends[1], 5_s);  // 100 left at 100 B/s
    EXPECT_EQ(engine.moved(link), 500);
}

TEST(EngineShared, DominantSharesMixBytesAndSms) {
    // SM pool 100, link 50 B/s. A takes 1 SM and 1/10 B per unit: shares 1/100 and 1/500.
    // B takes 1/4 SM and 1 B per unit: shares 1/400 and 1/50. At equal shares s the SMs carry
    // s + s/8, the link s/5 + s: the link is full at s = 5/6 and holds both there.
    Engine engine;
    auto const sms = engine.add_resource({100, 1});
    auto const link = engine.add_resource({50, 1});
    Usage const a[]{{sms, 1}, {link, 0.1}};
    Usage const b[]{{sms, 0.25}, {link, 1}};
    auto const first = engine.start(activity(1000, 1e9, a), 0);
    auto const second = engine.start(activity(1000, 1e9, b), 1);
    Log log{engine};
    log.on_timer = [&](std::uint32_t, std::uint32_t) {
        EXPECT_NEAR(engine.rate(second), 50 * 5 / 6.0, 1e-6);
        EXPECT_NEAR(engine.rate(first), 100 * 5 / 6.0, 1e-6);
    };
    engine.at(1_us, 0, 0);
    engine.run(log);
}

TEST(EngineShared, FillsWhatTheSlowerOnesLeave) {
    // Links X 100, Y 25. 0 on X and Y, 1 on Y, 2 on X: dominant share of 0 is that of Y.
    // Y: 12.5 each; X: 2 takes the other 87.5.
    Engine engine;
    auto const x = engine.add_resource({100, 1});
    auto const y = engine.add_resource({25, 1});
    Usage const both[]{{x, 1}, {y, 1}};
    Usage const narrow[]{{y, 1}};
    Usage const wide[]{{x, 1}};
    engine.start(activity(12.5, 1e3, both), 0);
    engine.start(activity(25, 1e3, narrow), 1);
    engine.start(activity(87.5, 1e3, wide), 2);
    Log log{engine};
    engine.run(log);
    EXPECT_EQ(log.ends[0], 1_s);
    EXPECT_EQ(log.ends[2], 1_s);
    EXPECT_EQ(log.ends[1], 1500_ms);  // 12.5 left at 25
}

TEST(EngineShared, LetsCappedOnesFitExactly) {
    // Three at a third of the link each: all at rate_max, no solve.
    Engine engine;
    auto const link = engine.add_resource({50e9, 1});
    Usage const uses[]{{link, 1}};
    for (std::uint32_t i = 0; i < 3; ++i) engine.start(activity(1e9, 50e9 / 3, uses), i);
    Log log{engine};
    engine.run(log);
    EXPECT_EQ(log.ends[2], from_seconds(1e9 / (50e9 / 3)));
    EXPECT_EQ(engine.sharing().solves(), 0U);
}

TEST(EngineShared, MergesAResourceNamedTwiceAndTakesMoreThanSixUses) {
    Engine engine;
    std::vector<Usage> uses;
    for (int i = 0; i < 8; ++i) uses.push_back({engine.add_resource({100, 1}), 1});
    uses.push_back({uses[7].resource, 1});  // 2 per work on the last: 50 a second
    engine.start(activity(100, 1e3, uses), 0);
    Log log{engine};
    engine.run(log);
    EXPECT_EQ(log.ends[0], 2_s);
    EXPECT_EQ(engine.moved(uses[0].resource), 100);
    EXPECT_EQ(engine.moved(uses[7].resource), 200);
}

TEST(EngineCapacity, ChangesAtAnInstant) {
    // 1000 B at 100 B/s; from 4 s the link has 50 B/s, from 8 s none, from 10 s 200 B/s:
    // 400 + 200 + 0 + 400 -> 12 s.
    Engine engine;
    auto const link = engine.add_resource({100, 1});
    Usage const uses[]{{link, 1}};
    engine.start(activity(1000, 300, uses), 0);
    Log log{engine};
    double const capacities[]{50, 0, 200};
    log.on_timer = [&](std::uint32_t, std::uint32_t which) {
        engine.set_capacity(link, capacities[which]);
    };
    engine.at(4_s, 0, 0);
    engine.at(8_s, 0, 1);
    engine.at(10_s, 0, 2);
    engine.run(log);
    EXPECT_EQ(log.ends[0], 12_s);
    EXPECT_EQ(engine.moved(link), 1000);
}

TEST(EngineCapacity, SlowsOnlyOneOfTwoLinks) {
    // 0 on X and Y, 1 on Y, both 100 B/s and equal: 50 each. At 1 s X falls to 25, where 0's
    // dominant share is now: equal shares s fill Y at 25 s + 100 s = 100, s = 4/5: 20 and 80.
    // 1 has 150 left: 1.875 s more. By then 0 has 12.5 left, now at 25: 0.5 s more.
    Engine engine;
    auto const x = engine.add_resource({100, 1});
    auto const y = engine.add_resource({100, 1});
    Usage const both[]{{x, 1}, {y, 1}};
    Usage const one[]{{y, 1}};
    engine.start(activity(100, 1e3, both), 0);
    engine.start(activity(200, 1e3, one), 1);
    Log log{engine};
    log.on_timer = [&](std::uint32_t, std::uint32_t) { engine.set_capacity(x, 25); };
    engine.at(1_s, 0, 0);
    engine.run(log);
    EXPECT_EQ(log.ends[1], 2875_ms);
    EXPECT_EQ(log.ends[0], 3375_ms);
}

TEST(EngineCapacity, FreesTheOthersOfAResourceItLeavesUncontended) {
    // X 10, Y 40: equal shares s fill Y at 10 s + 40 s = 40, s = 4/5: 0 at 8, 1 at 32 of the 36 it
    // wants. At 1 s X falls to 1 and Y has room: 1 has 72 of 104 left at 36, 0 12 of 20 at 1.
    Engine engine;
    auto const x = engine.add_resource({10, 1});
    auto const y = engine.add_resource({40, 1});
    Usage const both[]{{x, 1}, {y, 1}};
    Usage const one[]{{y, 1}};
    engine.start(activity(20, 1e3, both), 0);
    engine.start(activity(104, 36, one), 1);
    Log log{engine};
    log.on_timer = [&](std::uint32_t, std::uint32_t) { engine.set_capacity(x, 1); };
    engine.at(1_s, 0, 0);
    engine.run(log);
    EXPECT_EQ(log.ends[1], 3_s);
    EXPECT_EQ(log.ends[0], 13_s);
}

TEST(EngineOrder, CallsFinishesBySubjectThenTimersByKindAndSubject) {
    Engine engine;
    engine.at(5_ps, 1, 0);
    engine.at(5_ps, 0, 9);
    engine.start(activity(0, 1, {}, 5_ps), 8);
    engine.start(activity(0, 1, {}, 5_ps), 3);
    Log log{engine};
    engine.run(log);
    EXPECT_EQ(log.calls,
              (std::vector<std::string>{"finished 3", "finished 8", "timer 0 9", "timer 1 0"}));
}

TEST(EngineOrder, LastCallIsNotAStaleEvent) {
    // 0 would end at 10 s sharing; the capacity rises and it ends at 6 s.
    Engine engine;
    auto const link = engine.add_resource({100, 1});
    Usage const uses[]{{link, 1}};
    engine.start(activity(1000, 1e9, uses), 0);
    Log log{engine};
    log.on_timer = [&](std::uint32_t, std::uint32_t) { engine.set_capacity(link, 500); };
    engine.at(5_s, 0, 0);
    engine.run(log);
    EXPECT_EQ(log.ends[0], 6_s);
    EXPECT_EQ(engine.last_call(), 6_s);
}

TEST(EngineNoProgress, NamesTheActivitiesAndTheirResources) {
    Engine engine;
    engine.add_resource({100, 1});
    auto const down = engine.add_resource({0, 1});
    Usage const uses[]{{down, 1}};
    engine.start(activity(1, 1, uses), 4);
    Log log{engine};
    try {
        engine.run(log);
        FAIL() << "a flow over a link that is down ended";
    } catch (NoProgress const& error) {
        EXPECT_EQ(std::string(error.what()),
                  "no progress: nothing is pending, 1 activities cannot end; flow 4 waits for "
                  "resource 1 (capacity 0)");
    }
}

TEST(EngineInput, RefusesWhatIsNoActivity) {
    Engine engine;
    Usage const unknown[]{{ResourceId{3}, 1}};
    EXPECT_THROW(engine.start(activity(1, 1, unknown), 0), Error);
    EXPECT_THROW(engine.start(activity(1, 0, {}), 0), Error);
    EXPECT_THROW(engine.start(activity(-1, 1, {}), 0), Error);
    EXPECT_THROW(engine.start(activity(0.0 / 0.0, 1, {}), 0), Error);
    EXPECT_THROW(engine.start(activity(1, 1, {}, {}, 0), 0), Error);
    EXPECT_THROW(engine.start(activity(1, 1, {}, {}, 1U << 24), 0), Error);
    EXPECT_THROW(engine.add_resource({-1, 1}), Error);
}

}  // namespace
}  // namespace nvl72
