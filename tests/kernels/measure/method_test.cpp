#include "kernels/measure/method.hpp"

#include "kernels/measure/errors.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <limits>
#include <set>

namespace nvl72::measure {
namespace {

/// A block that takes the given times, one after the other, then the last for ever.
struct Scripted {
    std::vector<double> times;
    std::size_t ran = 0;
    double operator()() { return times[std::min(ran++, times.size() - 1)]; }
};

TEST(Median, IsTheMiddleOrTheMeanOfTheTwoMiddleOnes) {
    EXPECT_DOUBLE_EQ(median({3, 1, 2}), 2);
    EXPECT_DOUBLE_EQ(median({4, 1, 3, 2}), 2.5);  // (2 + 3) / 2
    EXPECT_DOUBLE_EQ(median({7}), 7);
    EXPECT_THROW(median({}), std::invalid_argument);
}

TEST(ScaledDeviation, IsTheMedianDistanceTimesAGaussiansFactor) {
    // Median 3; distances 2 1 0 1 97, their median 1.
    std::vector<double> const values{1, 2, 3, 4, 100};
    EXPECT_DOUBLE_EQ(scaled_deviation(values), 1.4826);
}

TEST(Outliers, AreFiveDeviationsAndFivePercentAway) {
    // Median 10.0; distances 0.2 0.1 0 0.1 2: scaled deviation 0.148, limit max(0.741, 0.5).
    EXPECT_EQ(outliers(std::vector<double>{9.8, 9.9, 10.0, 10.1, 12.0}),
              (std::vector<bool>{false, false, false, false, true}));
    // 10.7 is 0.7 away: inside 0.741.
    EXPECT_EQ(outliers(std::vector<double>{9.8, 9.9, 10.0, 10.1, 10.7}),
              (std::vector<bool>(5, false)));
}

TEST(Outliers, AreNoneAmongBlocksThatAgreeWithinFivePercent) {
    // Deviation 0, but 10.4 is 4 % away; 10.6 is 6 % away.
    EXPECT_EQ(outliers(std::vector<double>{10, 10, 10, 10, 10.4}), std::vector<bool>(5, false));
    EXPECT_TRUE(outliers(std::vector<double>{10, 10, 10, 10, 10.6}).back());
}

TEST(WarmUp, StopsWhenTwoGroupsOfThreeAgree) {
    // Groups (9 5 3), (2 2 2), (2 2 2): medians 5, 2, 2.
    Scripted block{{9, 5, 3, 2}};
    EXPECT_EQ(warm_up(std::ref(block), 0.02, 100), 9);
    EXPECT_EQ(block.ran, 9U);
}

TEST(WarmUp, StopsAtOnceWhenTheFirstTwoGroupsAgree) {
    Scripted block{{1}};
    EXPECT_EQ(warm_up(std::ref(block), 0.02, 100), 6);
}

TEST(WarmUp, GivesUpAfterTheMostAskedFor) {
    double time = 1;
    auto const growing = [&time] { return time *= 1.5; };
    EXPECT_EQ(warm_up(growing, 0.02, 10), 10);
    Scripted block{{1}};
    EXPECT_EQ(warm_up(std::ref(block), 0.02, 0), 0);
    EXPECT_EQ(block.ran, 0U);
}

TEST(Iterations, FillABlockFromOneToAThousand) {
    EXPECT_EQ(iterations_for(1e-3, 5e-3), 5);
    EXPECT_EQ(iterations_for(0.9e-3, 5e-3), 6);  // 5.6, rounded up
    EXPECT_EQ(iterations_for(1, 5e-3), 1);
    EXPECT_EQ(iterations_for(1e-9, 5e-3), 1000);
}

Case fixed_case(std::string const& kind, double seconds, std::vector<std::string>* log = nullptr) {
    return {LaunchRow{kind}, [=](std::int64_t) {
                if (log != nullptr) log->push_back(kind);
                return seconds;
            }};
}

Method plain_method() {
    Method method;
    method.blocks = 4;
    method.warmup = 0;
    method.iterations = 7;
    return method;
}

/// `cases` cases of 1 to so many seconds, each timed at the given speeds.
std::vector<CaseTimes> passes_at(std::size_t cases, std::vector<double> const& slowness) {
    std::vector<CaseTimes> times(cases);
    for (std::size_t i = 0; i < cases; ++i) {
        for (double const slow : slowness) {
            times[i].blocks.push_back({0, 0, 1, slow * static_cast<double>(i + 1), 0});
        }
    }
    return times;
}

TEST(Drift, IsTheSlowestPassOverTheQuickest) {
    auto times = passes_at(9, {1.0, 1.4, 1.05});
    EXPECT_NEAR(drift_of(times).value(), 0.4, 1e-12);
    times[3].blocks[0].time_s *= 50;  // one disturbed block makes no slow pass
    EXPECT_NEAR(drift_of(times).value(), 0.4, 0.051);
}

TEST(Drift, IsNoneWhenAllPassesAreAlikeThoughBlocksAreNot) {
    // Each case is slow in a pass of its own, three cases in each: every pass is typically 1.
    auto times = passes_at(9, {1, 1, 1});
    for (std::size_t i = 0; i < 9; ++i) times[i].blocks[i % 3].time_s *= 1.5;
    EXPECT_NEAR(drift_of(times).value(), 0, 1e-12);
}

TEST(Drift, IsNotToldByFewCasesOrOnePass) {
    EXPECT_FALSE(drift_of(passes_at(7, {1.0, 1.4})).has_value());
    EXPECT_TRUE(drift_of(passes_at(8, {1.0, 1.4})).has_value());
    EXPECT_FALSE(drift_of(passes_at(8, {1.0})).has_value());
    EXPECT_FALSE(drift_of({}).has_value());
}

TEST(Drift, OfARunIsThatOfItsWorstBatch) {
    std::vector<Drift> const drifts{{"a", 0.1}, {"b", 0.3}, {"c", 0.2}};
    EXPECT_EQ(worst_of(drifts).value().batch, "b");
    EXPECT_FALSE(worst_of({}).has_value());
}

TEST(TimeCases, TimesEveryCaseOncePerBlock) {
    Session session;
    session.order = 100;
    auto const times =
        time_cases("launch", {fixed_case("a", 1), fixed_case("b", 2), fixed_case("c", 3)},
                   plain_method(), session);
    ASSERT_EQ(times.size(), 3U);
    std::set<std::int64_t> orders;
    for (auto const& one : times) {
        ASSERT_EQ(one.blocks.size(), 4U);
        for (std::int64_t block = 0; block < 4; ++block) {
            auto const& timing = one.blocks[static_cast<std::size_t>(block)];
            EXPECT_EQ(timing.block, block);
            EXPECT_EQ(timing.iterations, 7);
            // Block by block: 3 cases each, numbered from 100.
            EXPECT_EQ((timing.order - 100) / 3, block);
            orders.insert(timing.order);
        }
    }
    EXPECT_EQ(orders.size(), 12U);
    EXPECT_EQ(session.order, 112);
}

std::vector<std::string> order_of(std::uint64_t seed) {
    std::vector<std::string> log;
    std::vector<Case> cases;
    for (char name = 'a'; name < 'i'; ++name) cases.push_back(fixed_case({name}, 1, &log));
    auto method = plain_method();
    method.seed = seed;
    Session session;
    (void)time_cases("launch", cases, method, session);
    return log;
}

TEST(TimeCases, DrawsTheOrderFromTheSeed) {
    EXPECT_EQ(order_of(1), order_of(1));
    EXPECT_NE(order_of(1), order_of(2));
}

TEST(TimeCases, PutsUnavailableCasesAsideAndGoesOn) {
    Session session;
    Case const broken{LaunchRow{"broken"},
                      [](std::int64_t) -> double { throw CaseUnavailable("no such thing here"); }};
    auto const times = time_cases("launch", {broken, fixed_case("a", 1)}, plain_method(), session);
    ASSERT_EQ(times.size(), 1U);
    EXPECT_EQ(times[0].blocks.size(), 4U);
    ASSERT_EQ(session.skipped.size(), 1U);
    EXPECT_EQ(session.skipped[0].suite, "launch");
    EXPECT_EQ(session.skipped[0].subject, "launch broken");
    EXPECT_EQ(session.skipped[0].reason, "no such thing here");
}

TEST(TimeCases, FlagsTheBlockThatWasDisturbedAndKeepsIt) {
    Session session;
    int calls = 0;
    // One untimed first use, then (no choice of iterations, no warm-up) a block; from block 1 on a
    // refresher before each. The last call, block 3's, is slow.
    Case const disturbed{LaunchRow{"a"}, [&](std::int64_t) { return ++calls == 8 ? 9.0 : 1.0; }};
    auto const times = time_cases("launch", {disturbed}, plain_method(), session);
    ASSERT_EQ(calls, 8);
    ASSERT_EQ(times[0].blocks.size(), 4U);
    EXPECT_EQ(times[0].blocks[3].outlier, 1);
    EXPECT_EQ(times[0].blocks[0].outlier, 0);
}

TEST(TimeCases, RefusesATimeThatIsNone) {
    for (double const wrong : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(),
                               std::numeric_limits<double>::infinity()}) {
        Session session;
        EXPECT_THROW(time_cases("launch", {fixed_case("a", wrong)}, plain_method(), session),
                     std::runtime_error);
    }
}

TEST(TimeCases, EndsWhenASignalCame) {
    bool stop = false;
    Session session;
    session.stopped = [&] { return stop; };
    int calls = 0;
    Case const stopping{LaunchRow{"a"}, [&](std::int64_t) {
                            if (++calls == 2) stop = true;
                            return 1.0;
                        }};
    EXPECT_THROW(time_cases("launch", {stopping}, plain_method(), session), Interrupted);
    EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace nvl72::measure
