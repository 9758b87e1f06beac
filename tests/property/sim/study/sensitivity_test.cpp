#include "sim/study/sensitivity.hpp"

#include "tests/support/small_experiment.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace nvl72 {
namespace {

using support::shipped_library;
using support::small_experiment;

std::vector<Sensitivity> of(std::vector<std::string> const& overrides) {
    auto const point = load_point(small_experiment(overrides).points.at(0), shipped_library(), {});
    return sensitivities(point, 0, shipped_library());
}

std::vector<std::vector<std::string>> const layouts{
    {},
    {"systems.0.layout.tp=8", "systems.0.layout.vp=1"},
    {"systems.0.layout.tp=2", "systems.0.layout.cp=2"},
    {"systems.0.layout.tp=2", "systems.0.layout.pp=4", "systems.0.layout.vp=4"},
    {"systems.0.cluster.name=gb200-nvl72-superpod", "systems.0.cluster.nvlink_domain=8"},
};

Sensitivity const* find(std::vector<Sensitivity> const& rows, std::string const& what) {
    auto const found = std::ranges::find(rows, what, &Sensitivity::what);
    return found == rows.end() ? nullptr : &*found;
}

}  // namespace

// Every time is something over a rate, or itself what a lever shortens: with twice of all a step
// takes half as long, so that the elasticities sum to -1 (Euler).
TEST(Sensitivities, SumToMinusOneAndNoneIsAboveZero) {
    for (auto const& layout : layouts) {
        double sum = 0;
        for (Sensitivity const& row : of(layout)) {
            if (std::isnan(row.elasticity)) continue;
            EXPECT_LE(row.elasticity, 1e-6) << row.what;
            sum += row.elasticity;
        }
        EXPECT_NEAR(sum, -1, 0.02);
    }
}

TEST(Sensitivities, AreTheSameByReplayAsSimulatedAgain) {
    for (auto const& layout : layouts) {
        for (Sensitivity const& row : of(layout)) {
            if (std::isnan(row.replayed)) continue;
            EXPECT_NEAR(row.replayed, row.simulated, 0.002) << row.what;
        }
    }
}

TEST(Sensitivities, NameNoNetworkWhereNoneIsCrossedAndLossesNeverHelp) {
    auto const inside = of({"systems.0.cluster.name=gb200-nvl72"});
    EXPECT_EQ(find(inside, "NIC bandwidth"), nullptr);
    EXPECT_EQ(find(inside, "one NIC lost"), nullptr);
    auto const across = of({});
    ASSERT_NE(find(across, "NIC bandwidth"), nullptr);
    for (char const* what : {"one NVLink plane lost", "one NIC lost", "half the NICs' rate"}) {
        auto const* row = find(across, what);
        ASSERT_NE(row, nullptr) << what;
        EXPECT_GE(row->simulated, 0) << what;
        EXPECT_TRUE(std::isnan(row->replayed));
    }
}

TEST(Sensitivities, SayWhyAChangeCannotRun) {
    auto const rows = of({"systems.0.cluster.fabric.resiliency=full"});
    auto const* row = find(rows, "one NVLink plane lost");
    ASSERT_NE(row, nullptr);
    EXPECT_TRUE(std::isnan(row->simulated));
    EXPECT_NE(row->note.find("resiliency"), std::string::npos) << row->note;
}

}  // namespace nvl72
