#include "sim/study/campaign_study.hpp"

#include "sim/base/error.hpp"
#include "sim/study/run.hpp"
#include "tests/support/small_experiment.hpp"

#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

namespace nvl72 {
namespace {

using support::shipped_library;
using support::small_experiment;

RunResult run_small(std::vector<std::string> const& overrides) {
    return run_experiment(small_experiment(overrides), shipped_library(), {});
}

std::vector<double> column(RunResult const& result,
                           std::string const& table,
                           std::string const& name) {
    auto const* found = result.file.find(table)->find(name);
    return std::get<std::vector<double>>(found->values);
}

TEST(Power, OfARunIsInItsColumnsAndItsPartsSumToTheStep) {
    auto const result = run_small({});
    auto const& power = result.rows[0].power;
    EXPECT_GT(power.gpu_w, 0.17 * 700);
    EXPECT_LT(power.gpu_w, 700);
    EXPECT_DOUBLE_EQ(power.clock, 1);
    auto const parts = column(result, "power", "energy_j");
    EXPECT_NEAR(std::accumulate(parts.begin(), parts.end(), 0.0) / power.energy_per_step_j, 1,
                1e-9);
    EXPECT_DOUBLE_EQ(power.energy_per_token_j, power.energy_per_step_j / (16 * 2048));
    EXPECT_DOUBLE_EQ(power.energy_per_step_j, power.cluster_w * result.rows[0].step_s);
}

TEST(Power, ALimitSlowsTheStepAndIsKeptAndALowerOneSlowsItMore) {
    double step = run_small({}).rows[0].step_s;
    for (std::string const kw : {"7", "6"}) {
        auto const row = run_small({"power.unit_cap=" + kw + " kW"}).rows[0];
        EXPECT_GT(row.step_s, step);
        EXPECT_LT(row.power.clock, 1);
        EXPECT_LE(row.power.unit_w, std::stod(kw) * 1e3 * 1.002);
        EXPECT_GE(row.power.unit_w, std::stod(kw) * 1e3 * 0.99);
        step = row.step_s;
    }
    auto const capped = run_small({"power.gpu_cap=400 W"}).rows[0];
    EXPECT_LE(capped.power.gpu_w, 400);
    EXPECT_GT(capped.step_s, run_small({"power.gpu_cap=600 W"}).rows[0].step_s);
}

TEST(Power, PricesAndCarbonFollowTheSite) {
    auto const row =
        run_small({"power.pue=1.5", "power.carbon_g_per_kwh=100", "power.usd_per_gpu_hour=2"})
            .rows[0];
    double const joules = row.power.energy_per_token_j * 1e6;
    EXPECT_NEAR(row.power.carbon_g_per_mtoken, joules * 1.5 / 3.6e6 * 100, 1e-9);
    EXPECT_NEAR(row.power.usd_per_mtoken, 2 * 1e6 / (row.tokens_per_s_per_gpu * 3600), 1e-9);
}

TEST(Campaign, OfARunGivesDaysGoodputAndEnergyAndOneSeedGivesTheSame) {
    std::vector<std::string> const asked{"campaign={tokens: 1e11, runs: 20, interval: auto}"};
    auto const result = run_small(asked);
    auto const& row = result.rows[0];
    auto const& campaign = row.campaign;
    double const ideal = 1e11 / (row.tokens_per_s_per_gpu * 16) / 86400;
    EXPECT_GE(campaign.days.p10, ideal * 0.999);
    EXPECT_LT(campaign.days.p90, ideal * 1.2);
    EXPECT_NEAR(campaign.goodput.p50 * campaign.days.p50 / ideal, 1, 0.02);
    EXPECT_GT(campaign.energy_mwh.p50, 1.2 * row.power.cluster_w * ideal * 24 / 1e6 * 0.999);
    EXPECT_EQ(column(result, "campaign", "wall_s").size(), 20U);
    EXPECT_EQ(result.file.digest(), run_small(asked).file.digest());
}

TEST(Campaign, WithoutFailuresIsAllUseful) {
    support::TemporaryFile const table(
        "title: none\ncauses: []\ndetect: 1 s\nrestart: 1 s\nrepair: 1 h\n"
        "checkpoint_stall: 0 s\nstorage_per_gpu: 1 GB/s\nsource: \"assumed: none fails\"\n",
        ".yaml");
    auto const row =
        run_small({"campaign={steps: 1000, runs: 1, reliability: " + table.path() + "}"}).rows[0];
    EXPECT_GT(row.campaign.goodput.p50, 0.999);
    EXPECT_EQ(row.campaign.interruptions.p50, 0);
    EXPECT_NEAR(row.campaign.days.p50 * 86400 / (1000 * row.step_s), 1, 1e-3);
}

TEST(Campaign, ALostNicIsRunOnWithSlowerUntilItIsMended) {
    support::TemporaryFile const table(
        "title: NICs\nsource: \"assumed: a test\"\ndetect: 1 s\nrestart: 1 s\nrepair: 10 h\n"
        "checkpoint_stall: 0 s\nstorage_per_gpu: 1 GB/s\n"
        "causes: [{name: nic, per: nic, mtbf: 100 h, effect: lose_nic}]\n",
        ".yaml");
    support::TemporaryFile const trace("hours,cause\n0,nic\n", ".csv");
    auto const result = run_small(
        {"campaign={wall: 5 h, reliability: " + table.path() + ", trace: " + trace.path() + "}"});
    EXPECT_EQ(result.rows[0].campaign.interruptions.p50, 0);
    double const slowed = column(result, "campaign", "slowed_s")[0];
    EXPECT_GT(slowed, 0);
    EXPECT_LT(slowed, 5 * 3600 / 2.0);  // half the bandwidth of what a step waits for in part
    EXPECT_NEAR(column(result, "campaign", "useful_s")[0] + slowed, 5 * 3600, 1);
}

TEST(Campaign, AnEndThatIsMissingOrDoubleIsRefused) {
    for (std::string const ends : {"{}", "{steps: 10, tokens: 1e9}", "{steps: 0}"}) {
        EXPECT_THROW(run_small({"campaign=" + ends}), ConfigError) << ends;
    }
}

}  // namespace
}  // namespace nvl72
