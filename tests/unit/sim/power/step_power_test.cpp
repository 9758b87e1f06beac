#include "sim/power/step_power.hpp"

#include "sim/base/error.hpp"
#include "topology/fabric.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

Library library() { return Library(NVL72_SOURCE_DIR "/configs"); }

Fabric cluster(std::string const& name, std::int64_t gpus) {
    ClusterChoice choice;
    choice.name = name;
    choice.gpus = gpus;
    return build_fabric(choice, library());
}

PowerSetting setting_of(Fabric const& fabric, PowerChoice const& choice = {}) {
    auto const& spec = fabric.cluster();
    auto const setting =
        load_power(choice, library(), spec.kind, spec.gpu, fabric.gpu().tdp, spec.unit_power);
    return *setting;
}

/// Every GPU of the fabric so long in each state.
std::vector<GpuActivity> activity(Fabric const& fabric, std::array<double, gpu_states> seconds) {
    return {{static_cast<double>(fabric.gpus()), seconds}};
}

TEST(StepPower, OfABoxIsTheSumOfItsPartsWorkedByHand) {
    auto const fabric = cluster("hgx-h100", 8);
    auto setting = setting_of(fabric);
    setting.cooling = Cooling::immersion;
    // configs/power/hgx.yaml: GPUs at their TDP, 2 CPUs, 2 TB of DRAM, 4 NVSwitches, 8 NICs, rest.
    double const parts = 8 * 700 + 2 * 230 + 2000 * 0.1 + 4 * 100 + 8 * 30 + 430;
    auto const drawn = step_power(setting, fabric, activity(fabric, {2, 0, 0, 0, 0}), 2, 1);
    EXPECT_NEAR(drawn.node_w, parts / 0.96, 1e-6);
    EXPECT_DOUBLE_EQ(drawn.node_w, drawn.node_peak_w);
    EXPECT_DOUBLE_EQ(drawn.node_w, drawn.unit_w);      // a box is its own rack
    EXPECT_NEAR(drawn.cluster_w, drawn.node_w, 1e-6);  // one box crosses no network
    EXPECT_DOUBLE_EQ(drawn.joules, 2 * drawn.cluster_w);
}

TEST(StepPower, OfHalfExposedTimeIsHalfWayBetweenTheTwoStates) {
    auto const fabric = cluster("hgx-h100", 8);
    auto const setting = setting_of(fabric);
    auto const drawn = step_power(setting, fabric, activity(fabric, {1, 0, 1, 0, 0}), 2, 1);
    auto const& gpu = setting.coefficients.gpu;
    EXPECT_NEAR(drawn.gpu_w, 700 * (gpu.compute + gpu.exposed) / 2, 1e-9);
    EXPECT_LT(drawn.node_w, drawn.node_peak_w);
}

TEST(StepPower, OfARackCountsItsSwitchTraysAndATrayDoesNot) {
    auto const fabric = cluster("gb200-nvl72", 72);
    auto const setting = setting_of(fabric);
    auto const drawn = step_power(setting, fabric, activity(fabric, {1, 0, 0, 0, 0}), 1, 1);
    auto const& power = setting.coefficients;
    double const switches =
        18 * power.nvswitch.count * (1 + power.fans.liquid) / power.conversion.ac;
    EXPECT_NEAR(drawn.unit_w - 18 * drawn.node_w, switches, 1e-6);
    EXPECT_LT(drawn.unit_w, 120e3);  // what the rack is built for
    EXPECT_GT(drawn.unit_w, 90e3);
}

TEST(StepPower, IsHigherInAirThanInLiquidThanInABath) {
    auto const fabric = cluster("hgx-b200", 8);
    auto setting = setting_of(fabric);
    std::vector<double> watts;
    for (auto const cooling : {Cooling::immersion, Cooling::liquid, Cooling::air}) {
        setting.cooling = cooling;
        watts.push_back(
            step_power(setting, fabric, activity(fabric, {1, 0, 0, 0, 0}), 1, 1).node_w);
    }
    EXPECT_LT(watts[0], watts[1]);
    EXPECT_LT(watts[1], watts[2]);
}

TEST(StepPower, ANodeFedWithDirectCurrentConvertsLess) {
    auto const fabric = cluster("hgx-h100", 8);
    auto setting = setting_of(fabric);
    auto const busy = activity(fabric, {1, 0, 0, 0, 0});
    double const ac = step_power(setting, fabric, busy, 1, 1).node_w;
    setting.feed = Feed::dc;
    double const dc = step_power(setting, fabric, busy, 1, 1).node_w;
    EXPECT_NEAR(ac / dc, 0.98 / 0.96, 1e-9);
}

TEST(StepPower, BetweenBoxesThePortsOfTheNetworkCount) {
    auto const fabric = cluster("hgx-h100-superpod", 64);
    auto const setting = setting_of(fabric);
    auto const drawn = step_power(setting, fabric, activity(fabric, {1, 0, 0, 0, 0}), 1, 1);
    double const port = setting.coefficients.network_port.count;
    EXPECT_NEAR(drawn.cluster_w, 8 * drawn.node_w + 64 * port, 1e-6);  // 8 boxes: one leaf tier
}

TEST(IdleWatts, AreLessThanAnyStep) {
    auto const fabric = cluster("gb200-nvl72", 72);
    auto const setting = setting_of(fabric);
    auto const drawn = step_power(setting, fabric, activity(fabric, {0, 0, 0, 0, 1}), 1, 1);
    EXPECT_LT(idle_watts(setting, fabric), drawn.cluster_w);
    EXPECT_GT(idle_watts(setting, fabric), 72 * 0.17 * 1200);
}

TEST(GpuCap, GivesTheClockThatTheLawSays) {
    auto const fabric = cluster("hgx-h100", 8);
    PowerChoice choice;
    choice.gpu_cap = Watts{500};
    auto const setting = setting_of(fabric, choice);
    // (500 / 700 - 0.17) / (1 - 0.17), and its square root
    EXPECT_NEAR(clock_of_gpu_cap(setting, fabric.gpu().tdp), 0.8097, 1e-3);
    auto const drawn = step_power(setting, fabric, activity(fabric, {1, 0, 0, 0, 0}), 1,
                                  clock_of_gpu_cap(setting, fabric.gpu().tdp));
    EXPECT_NEAR(drawn.gpu_w, 500, 1e-6);
}

TEST(UnitCap, TheClockItGivesKeepsItAndALowerCapGivesALowerClock) {
    auto const fabric = cluster("gb200-nvl72", 72);
    auto const busy = activity(fabric, {0.7, 0.1, 0.1, 0.05, 0.05});
    double before = 1;
    for (double const kw : {120.0, 90.0, 80.0, 60.0}) {
        PowerChoice choice;
        choice.unit_cap = Watts{kw * 1e3};
        auto const setting = setting_of(fabric, choice);
        auto const free = step_power(setting, fabric, busy, 1, 1);
        double const clock = clock_of_unit_cap(setting, fabric, free, {});
        EXPECT_LE(clock, before);
        EXPECT_LE(step_power(setting, fabric, busy, 1, clock).unit_w, kw * 1e3 * 1.0001);
        before = clock;
    }
    EXPECT_LT(before, 1);
}

TEST(UnitCap, ThatIdleGpusExceedIsRefused) {
    auto const fabric = cluster("gb200-nvl72", 72);
    PowerChoice choice;
    choice.unit_cap = Watts{20e3};
    auto const setting = setting_of(fabric, choice);
    auto const free = step_power(setting, fabric, activity(fabric, {1, 0, 0, 0, 0}), 1, 1);
    EXPECT_THROW((void)clock_of_unit_cap(setting, fabric, free, {"x.yaml", 1, "power"}),
                 ConfigError);
}

TEST(LoadPower, RefusesACapBelowIdleAndAnUnknownSite) {
    auto const fabric = cluster("hgx-h100", 8);
    PowerChoice low;
    low.gpu_cap = Watts{100};
    EXPECT_THROW(setting_of(fabric, low), ConfigError);
    PowerChoice lost;
    lost.facility = "nowhere";
    EXPECT_THROW(setting_of(fabric, lost), ConfigError);
    PowerChoice wrong;
    wrong.pue = 0.9;
    EXPECT_THROW(setting_of(fabric, wrong), ConfigError);
}

TEST(Cost, IsRentOrThePriceWrittenOffAndElectricity) {
    auto const fabric = cluster("hgx-h100", 8);
    PowerChoice choice;
    choice.usd_per_gpu_hour = 2;
    EXPECT_DOUBLE_EQ(cost_usd(setting_of(fabric, choice), 10, 3.6e6), 20);
    choice.usd_per_gpu = 43830;  // 5 years of 8766 hours: one dollar an hour
    choice.years = 5;
    choice.pue = 1.5;
    choice.usd_per_kwh = 0.1;
    EXPECT_NEAR(cost_usd(setting_of(fabric, choice), 10, 3.6e6), 10 * 1 + 1.5 * 0.1, 1e-9);
}

TEST(Footprint, IsTheEnergyTimesThePueAndTheGridsCarbon) {
    Facility site;
    site.pue = 1.25;
    site.carbon_g_per_kwh = 400;
    site.usd_per_kwh = 0.1;
    auto const print = footprint(site, 7.2e6);  // 2 kWh
    EXPECT_DOUBLE_EQ(print.energy_kwh, 2.5);
    EXPECT_DOUBLE_EQ(print.carbon_g, 1000);
    EXPECT_DOUBLE_EQ(print.electricity_usd, 0.25);
}

}  // namespace
}  // namespace nvl72
