#include "sim/workload/campaign.hpp"

#include "sim/base/error.hpp"

#include <fstream>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

/// One node-sized cause of `effect`, and round times.
Reliability table(FailureEffect effect, bool takes_node, double repair_s = 1000) {
    Reliability reliability;
    reliability.detect = Seconds{10};
    reliability.restart = Seconds{20};
    reliability.repair = Seconds{repair_s};
    reliability.storage_per_gpu = BytesPerSecond{1e9};
    FailureCause cause;
    cause.name = "node";
    cause.per = FailureUnit::node;
    cause.mtbf = Seconds{1e6};
    cause.effect = effect;
    cause.takes_node = takes_node;
    reliability.causes = {cause};
    return reliability;
}

/// 12 steps of 10 s, a blocking checkpoint of 5 s after every 6.
CampaignSpec spec() {
    CampaignSpec spec;
    spec.steps = 12;
    spec.checkpoint_block_s = spec.checkpoint_write_s = spec.load_s = 5;
    spec.interval_s = 60;
    spec.nodes = 4;
    spec.replicas = 4;
    spec.replicas_per_node = 1;
    spec.exposure.nodes = 4;
    return spec;
}

double ten_seconds(Degradation const&) { return 10; }

CampaignRun run_with(CampaignSpec const& spec,
                     Reliability const& reliability,
                     std::vector<double> const& at_s,
                     StepTime const& step = ten_seconds) {
    std::size_t next = 0;
    return run_campaign(spec, reliability, step, [&]() -> std::optional<Failure> {
        if (next == at_s.size()) return std::nullopt;
        return Failure{at_s[next++] / 3600, 0};
    });
}

double sum_of(CampaignRun const& run) {
    double sum = 0;
    for (auto const& part : campaign_parts) sum += run.*part.member;
    return sum;
}

TEST(Campaign, WithoutFailuresIsItsStepsAndTheCheckpointsBetween) {
    auto const run = run_with(spec(), table(FailureEffect::stop, false), {});
    EXPECT_EQ(run.steps, 12);
    EXPECT_NEAR(run.wall, 125, 1e-9);  // the last steps need no checkpoint
    EXPECT_NEAR(run.checkpoint, 5, 1e-9);
    auto free = spec();
    free.checkpoint_block_s = free.checkpoint_write_s = 0;
    auto const whole = run_with(free, table(FailureEffect::stop, false), {});
    EXPECT_DOUBLE_EQ(whole.goodput(), 1);
}

TEST(Campaign, AFailureUndoesTheWorkSinceTheLastCheckpoint) {
    // 60 s of work, 5 s of checkpoint, 35 s lost at 100; 10 + 20 + 5 s to come back; 60 s again.
    auto const run = run_with(spec(), table(FailureEffect::stop, false), {100});
    EXPECT_NEAR(run.wall, 195, 1e-6);
    EXPECT_NEAR(run.lost, 35, 1e-6);
    EXPECT_NEAR(run.restart, 35, 1e-6);
    EXPECT_NEAR(run.useful, 120, 1e-6);
    EXPECT_NEAR(sum_of(run), run.wall, 1e-6);
}

TEST(Campaign, ACheckpointThatIsNotWrittenYetIsNone) {
    auto late = spec();
    late.checkpoint_block_s = 1;
    late.checkpoint_write_s = 40;
    auto const reliability = table(FailureEffect::stop, false);
    // At 90 the checkpoint begun at 60 is safe only from 100 on: all is lost. At 110 it is.
    EXPECT_NEAR(run_with(late, reliability, {90}).lost, 89, 1e-6);
    EXPECT_NEAR(run_with(late, reliability, {110}).lost, 49, 1e-6);
}

TEST(Campaign, APlannedStopLosesNothingAndNeedsNoDetection) {
    auto const run = run_with(spec(), table(FailureEffect::planned, false), {100});
    EXPECT_NEAR(run.lost, 0, 1e-9);
    EXPECT_NEAR(run.restart, 5 + 20 + 5, 1e-6);  // a checkpoint, the start, loading
    EXPECT_EQ(run.interruptions, 1);
}

TEST(Campaign, WithoutASpareItWaitsForTheRepairAndWithOneItDoesNot) {
    auto const reliability = table(FailureEffect::stop, true);
    auto const waits = run_with(spec(), reliability, {100});
    EXPECT_NEAR(waits.waiting, 1000, 1e-6);
    EXPECT_NEAR(sum_of(waits), waits.wall, 1e-6);
    auto with_spare = spec();
    with_spare.spares = 1;
    auto const goes_on = run_with(with_spare, reliability, {100});
    EXPECT_NEAR(goes_on.waiting, 0, 1e-9);
    EXPECT_NEAR(goes_on.wall, 195, 1e-6);
}

TEST(Campaign, ShrunkItRunsOnWithTheReplicasThatAreLeft) {
    auto shrinks = spec();
    shrinks.without_spare = WithoutSpare::shrink;
    auto const run = run_with(shrinks, table(FailureEffect::stop, true), {100});
    // Six steps left, by three replicas of four: 40/3 s each.
    EXPECT_NEAR(run.wall, 135 + 6 * 40.0 / 3, 1e-6);
    EXPECT_NEAR(run.slowed, 6 * 10.0 / 3, 1e-6);
    EXPECT_NEAR(sum_of(run), run.wall, 1e-6);
}

TEST(Campaign, WithAPlaneLostItRunsOnSlowerUntilItIsMended) {
    auto const slower = [](Degradation const& lost) { return lost.plane ? 12.5 : 10.0; };
    auto const run = run_with(spec(), table(FailureEffect::lose_plane, false, 50), {20}, slower);
    // 50 s do four steps where they did five.
    EXPECT_NEAR(run.wall, 125 + 10, 1e-6);
    EXPECT_NEAR(run.slowed, 10, 1e-6);
    EXPECT_EQ(run.interruptions, 0);
}

TEST(Campaign, AFabricThatCannotGoOnWithoutAPlaneStopsTheJob) {
    auto const stops = [](Degradation const& lost) {
        return lost.plane ? std::numeric_limits<double>::infinity() : 10.0;
    };
    auto const run = run_with(spec(), table(FailureEffect::lose_plane, false), {100}, stops);
    EXPECT_NEAR(run.lost, 35, 1e-6);
    EXPECT_NEAR(run.waiting, 1000, 1e-6);
    EXPECT_EQ(run.interruptions, 1);
    auto interval = spec();
    interval.interval_s.reset();  // then its failures set the interval, too
    EXPECT_LT(steps_between(interval, table(FailureEffect::lose_plane, false), stops), 1000);
    EXPECT_GT(steps_between(interval, table(FailureEffect::lose_plane, false), ten_seconds), 1e9);
}

TEST(Campaign, EndsAtItsWallTimeWhateverIsDone) {
    auto timed = spec();
    timed.steps = 0;
    timed.wall_s = 1000;
    auto const run = run_with(timed, table(FailureEffect::stop, false), {333, 777});
    EXPECT_NEAR(run.wall, 1000, 1e-9);
    EXPECT_NEAR(sum_of(run), 1000, 1e-6);
    EXPECT_EQ(run.failures[0], 2);
}

TEST(Campaign, ThatFailuresNeverLetFinishIsRefused) {
    auto const reliability = table(FailureEffect::stop, false);
    double t = 0;
    auto const often = [&]() -> std::optional<Failure> { return Failure{(t += 20) / 3600, 0}; };
    EXPECT_THROW((void)run_campaign(spec(), reliability, ten_seconds, often), NoProgress);
}

TEST(YoungDaly, IsTheSquareRootAndNoShorterThanAWrite) {
    EXPECT_NEAR(young_daly(8, 8, 10000), 392, 1e-9);  // sqrt(160000) - 8
    EXPECT_DOUBLE_EQ(young_daly(0, 30, 10000), 30);
}

TEST(FailureProcess, OneSeedGivesTheSameFailuresAndAnotherOthers) {
    auto const reliability = table(FailureEffect::stop, false);
    FailureExposure exposure;
    exposure.nodes = 100;
    auto const first = [&](std::uint64_t seed) {
        return FailureProcess(reliability, exposure, seed).next()->hours;
    };
    EXPECT_EQ(first(1), first(1));
    EXPECT_NE(first(1), first(2));
}

TEST(ReadFailures, TakesATraceInOrderAndNamesWhatItCannotRead) {
    auto const reliability = table(FailureEffect::stop, false);
    auto const file = [](std::string const& text) {
        auto const path = testing::TempDir() + "failures.csv";
        std::ofstream(path) << text;
        return path;
    };
    auto const read = read_failures(file("hours,cause\n# late\n7.5,node\n0.5,node\n"), reliability);
    ASSERT_EQ(read.size(), 2U);
    EXPECT_DOUBLE_EQ(read[0].hours, 0.5);
    try {
        (void)read_failures(file("hours,cause\n1,nod\n"), reliability);
        FAIL();
    } catch (ConfigError const& error) {
        EXPECT_NE(std::string(error.what()).find(":2: "), std::string::npos) << error.what();
        EXPECT_NE(std::string(error.what()).find("node"), std::string::npos) << error.what();
    }
    EXPECT_THROW((void)read_failures(file("x,node\n"), reliability), ConfigError);
}

TEST(ShippedReliability, OfLlama3AddsUpToItsOwnCount) {
    Library const library(NVL72_SOURCE_DIR "/configs");
    auto const reliability = load_reliability(library, "llama3-h100", {});
    FailureExposure const exposure{16384, 16384, 2048, 2048};
    double stops = 0;
    for (auto const& cause : reliability.causes) stops += hourly_rate(cause, exposure) * 54 * 24;
    EXPECT_NEAR(stops, 466, 0.5);
}

}  // namespace
}  // namespace nvl72
