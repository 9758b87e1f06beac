#include "sim/workload/campaign.hpp"

#include <cmath>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

constexpr double mtti_s = 20000, step_s = 7, checkpoint_s = 60, restart_s = 600;

Reliability table(bool takes_node = false) {
    Reliability reliability;
    reliability.detect = Seconds{restart_s / 2};
    reliability.restart = Seconds{restart_s / 2 - checkpoint_s};
    reliability.repair = Seconds{40000};
    reliability.storage_per_gpu = BytesPerSecond{1e9};
    FailureCause cause;
    cause.name = "node";
    cause.per = FailureUnit::node;
    cause.mtbf = Seconds{100 * mtti_s};
    cause.takes_node = takes_node;
    reliability.causes = {cause};
    return reliability;
}

CampaignSpec spec(double interval_s) {
    CampaignSpec spec;
    spec.steps = 200000;
    spec.checkpoint_block_s = spec.checkpoint_write_s = spec.load_s = checkpoint_s;
    spec.interval_s = interval_s;
    spec.nodes = 100;
    spec.replicas = 100;
    spec.replicas_per_node = 1;
    spec.exposure.nodes = 100;
    return spec;
}

double mean_wall(CampaignSpec const& spec, Reliability const& reliability, int runs = 100) {
    double sum = 0;
    for (int run = 0; run < runs; ++run) {
        FailureProcess process(reliability, spec.exposure, static_cast<std::uint64_t>(run));
        auto const done = run_campaign(
            spec, reliability, [](auto const&) { return step_s; }, [&] { return process.next(); });
        double parts = 0;
        for (auto const& part : campaign_parts) parts += done.*part.member;
        EXPECT_NEAR(parts / done.wall, 1, 1e-9);
        EXPECT_NEAR(done.useful, static_cast<double>(spec.steps) * step_s, 1e-3);
        sum += done.wall;
    }
    return sum / runs;
}

/// Daly's expected time (2006) of work in intervals of `tau`, failures at any time, restarts too.
double expected_wall(double tau) {
    double const work = 200000 * step_s;
    return mtti_s * std::exp(restart_s / mtti_s) * std::expm1((tau + checkpoint_s) / mtti_s) *
           work / tau;
}

TEST(Campaign, MeanWallTimeIsDalysClosedForm) {
    for (double const tau : {700.0, 1540.0, 4900.0}) {
        double const found = mean_wall(spec(tau), table());
        EXPECT_NEAR(found / expected_wall(tau), 1, 0.01) << tau;
    }
}

TEST(Campaign, YoungAndDalysIntervalBeatsAThirdAndThreeTimesOfIt) {
    double const best = young_daly(checkpoint_s, checkpoint_s, mtti_s);
    double const at_best = mean_wall(spec(best), table());
    EXPECT_LT(at_best, mean_wall(spec(best / 3), table()));
    EXPECT_LT(at_best, mean_wall(spec(best * 3), table()));
}

TEST(Campaign, MoreSparesAreNeverWorse) {
    double before = std::numeric_limits<double>::infinity();
    for (std::int64_t const spares : {0, 1, 2, 4, 8, 16}) {
        auto with = spec(1500);
        with.spares = spares;
        double const wall = mean_wall(with, table(true));
        EXPECT_LE(wall, before * 1.001) << spares;  // over 100 runs; one may be unlucky
        before = wall;
    }
    EXPECT_NEAR(before / mean_wall(spec(1500), table(false)), 1, 1e-3);  // enough: none is missed
}

TEST(Campaign, RarerFailuresGiveMoreGoodput) {
    double before = 0;
    for (double const times : {0.2, 1.0, 5.0, 1e9}) {
        auto rarer = table();
        rarer.causes[0].mtbf.count *= times;
        double const goodput = 200000 * step_s / mean_wall(spec(1500), rarer);
        EXPECT_GT(goodput, before);
        before = goodput;
    }
    EXPECT_NEAR(before, 1500 / (1500.0 + checkpoint_s), 1e-3);
}

}  // namespace
}  // namespace nvl72
