#include "sim/cost/fabric_profile.hpp"

#include "sim/base/error.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

Library const& library() {
    static Library const shipped(NVL72_SOURCE_DIR "/configs");
    return shipped;
}

TEST(FabricProfile, ReplacesWhatItStatesAndNoMore) {
    auto const plain = load_profile(library(), "h100");
    auto const efa = with_fabric(plain, load_fabric_profile(library(), "efa"));
    auto const& before = plain.collectives->network;
    auto const& after = efa.collectives->network;
    EXPECT_GT(after.hop_ll, before.hop_ll);
    EXPECT_EQ(after.ring_bandwidth_max, before.ring_bandwidth_max);
    EXPECT_EQ(after.fabric, "efa");
    EXPECT_TRUE(after.calibrated);
    EXPECT_EQ(efa.collectives->ring_ll.hop, plain.collectives->ring_ll.hop);
}

TEST(FabricProfile, EveryShippedOneLoadsAndStatesItsSpread) {
    auto const names = library().names("fabrics");
    EXPECT_GE(names.size(), 7U);
    for (auto const& name : names) {
        auto const fabric = load_fabric_profile(library(), name);
        EXPECT_EQ(fabric.spread.size(), 4U) << name;
        EXPECT_TRUE(fabric.line_rate.has_value()) << name;
        EXPECT_EQ(fabric.calibrated, name != "unknown");
    }
}

TEST(FabricProfile, MoreChannelsThanNcclsOwnCarryMore) {
    auto const plain = load_profile(library(), "h100");
    auto const ring = [](Profile const& profile) {
        return profile.collectives->network.ring_bandwidth_max.count;
    };
    EXPECT_EQ(ring(with_channels(plain, 0)), ring(plain));
    EXPECT_EQ(ring(with_channels(plain, 8)), ring(plain));
    auto const asked = with_channels(plain, 32);
    EXPECT_DOUBLE_EQ(ring(asked), 2 * ring(plain));  // of 16
    EXPECT_EQ(asked.collectives->tuner.network_channels, 32);
}

TEST(FabricProfile, AWordThatIsNoFabricIsUnknown) {
    EXPECT_EQ(fabric_name(library(), "RoCE"), "roce");
    EXPECT_EQ(fabric_name(library(), ""), "unknown");
    EXPECT_EQ(fabric_name(library(), "carrier-pigeon"), "unknown");
}

TEST(FabricProfile, OneDomainTakesNothingOfTheNetwork) {
    ClusterChoice choice;
    choice.name = "hgx-h100";
    choice.gpus = 8;
    auto const box = build_fabric(choice, library());
    auto const profile = with_network(load_profile(library(), "h100"), box, library());
    EXPECT_EQ(profile.collectives->network.fabric, "");
    choice.name = "hgx-h100-superpod";
    choice.gpus = 16;
    auto const boxes = build_fabric(choice, library());
    auto const over = with_network(load_profile(library(), "h100"), boxes, library());
    EXPECT_EQ(over.collectives->network.fabric, "infiniband");
}

TEST(FabricProfile, AProtocolOfNobodyIsRefused) {
    FabricProfile fabric;
    fabric.protocols = {"lll"};
    EXPECT_THROW(check(fabric), ConfigError);
    fabric.protocols = {"ll"};
    EXPECT_NO_THROW(check(fabric));
    fabric.ring_efficiency = 1.5;
    EXPECT_THROW(check(fabric), ConfigError);
}

}  // namespace
}  // namespace nvl72
