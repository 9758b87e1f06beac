#include "topology/fabric.hpp"

#include "sim/base/error.hpp"
#include "sim/base/random.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <optional>

namespace nvl72 {
namespace {

Library shipped() { return Library(NVL72_SOURCE_DIR "/configs"); }

PlacedText random_chip(RandomStream& random, Fabric const& fabric) {
    return {{},
            fmt::format("{} {} chip {}", fabric.cluster().unit,
                        random.below(static_cast<std::uint64_t>(fabric.units())),
                        random.below(static_cast<std::uint64_t>(fabric.wiring().chips)))};
}
PlacedText random_link(RandomStream& random, Fabric const& fabric) {
    return {{},
            fmt::format("gpu {} link {}", random.below(static_cast<std::uint64_t>(fabric.gpus())),
                        random.below(static_cast<std::uint64_t>(fabric.cluster().nvlink.links)))};
}
PlacedText random_nic(RandomStream& random, Fabric const& fabric) {
    return {{}, fmt::format("gpu {}", random.below(static_cast<std::uint64_t>(fabric.gpus())))};
}

/// One more thing broken; nothing when the fabric would not run.
std::optional<Fabric> worsened(RandomStream& random, ClusterChoice& choice, Fabric const& fabric) {
    ClusterChoice const before = choice;
    auto const which = random.below(3);
    if (which == 0 && fabric.wiring().chips > 0)
        choice.faults.switch_chips.push_back(random_chip(random, fabric));
    if (which == 1) choice.faults.links.push_back(random_link(random, fabric));
    if (which == 2) choice.faults.nics.push_back(random_nic(random, fabric));
    try {
        return build_fabric(choice, shipped());
    } catch (ConfigError const&) {
        choice = before;
        return std::nullopt;
    }
}

ClusterChoice random_choice(RandomStream& random) {
    std::vector<std::string> pods;
    for (auto const& name : shipped().names("clusters")) {
        if (name.ends_with("-superpod")) pods.push_back(name);
    }
    ClusterChoice choice;
    choice.name = pods[random.below(pods.size())];
    bool const nvl72 = choice.name.find("nvl72") != std::string::npos;
    if (nvl72 && random.below(2) == 0) {
        constexpr std::array<std::int64_t, 4> sizes{8, 16, 36, 72};
        choice.nvlink_domain = sizes[random.below(4)];
    }
    choice.gpus = 1 + static_cast<std::int64_t>(random.below(nvl72 ? 1500 : 400));
    return choice;
}

TEST(FabricProperty, ClosedFormAgreesWithLookingAtEveryRank) {
    RandomStream random(7, "closed form");
    int compared = 0;
    for (int round = 0; round < 60; ++round) {
        ClusterChoice choice = random_choice(random);
        Fabric fabric = build_fabric(choice, shipped());
        for (auto faults = random.below(4); faults > 0; --faults) {
            if (auto worse = worsened(random, choice, fabric)) fabric = *worse;
        }
        for (int group = 0; group < 40; ++group, ++compared) {
            auto const first =
                static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(fabric.gpus())));
            auto const stride =
                1 + static_cast<std::int64_t>(random.below(random.below(2) == 0 ? 12 : 200));
            auto const most = (fabric.gpus() - 1 - first) / stride + 1;
            auto const count =
                1 + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(most)));
            std::vector<RankId> ranks;
            for (std::int64_t i = 0; i < count; ++i)
                ranks.emplace_back(static_cast<std::uint32_t>(first + i * stride));
            EXPECT_TRUE(fabric.shape_of(first, stride, count) == fabric.shape_of(ranks))
                << choice.name << " of " << fabric.gpus() << ": " << first << " + " << stride
                << " x " << count;
        }
    }
    EXPECT_EQ(compared, 60 * 40);
}

TEST(FabricProperty, MoreFaultsNeverGiveMoreBandwidth) {
    RandomStream random(11, "faults");
    int worse_seen = 0;
    for (int round = 0; round < 25; ++round) {
        ClusterChoice choice = random_choice(random);
        Fabric fabric = build_fabric(choice, shipped());
        for (int step = 0; step < 8; ++step) {
            auto const worse = worsened(random, choice, fabric);
            if (!worse) continue;
            GroupShape const before = fabric.shape_of(0, 1, fabric.gpus());
            GroupShape const after = worse->shape_of(0, 1, fabric.gpus());
            EXPECT_LE(after.in_domain, before.in_domain);
            EXPECT_LE(after.per_gpu_nic, before.per_gpu_nic);
            EXPECT_LE(after.planes_up, before.planes_up);
            EXPECT_LE(after.rails, before.rails);
            EXPECT_GT(after.in_domain.count, 0);
            worse_seen += after < before ? 1 : 0;
            fabric = *worse;
        }
    }
    EXPECT_GT(worse_seen, 20);
}

TEST(FabricProperty, EveryShippedClusterBuildsAndHoldsItsChecks) {
    Library const library = shipped();
    ASSERT_GE(library.names("clusters").size(), 22U);
    for (auto const& name : library.names("clusters")) {
        ClusterChoice choice;
        choice.name = name;
        choice.gpus = load_cluster(library, name, {}).gpus_max();
        Fabric const fabric = build_fabric(choice, library);
        EXPECT_EQ(fabric.gpus(), choice.gpus);
        for (auto const& check : fabric.checks())
            EXPECT_TRUE(check.holds) << name << ": " << check.name;
        for (auto const& fact : fabric.facts())
            EXPECT_FALSE(fact.how.empty()) << name << ": " << fact.name;
        EXPECT_FALSE(fabric.cluster().source.empty()) << name;
        EXPECT_EQ(name.ends_with("-superpod"), fabric.units() > 1) << name;
        GroupShape const all = fabric.shape_of(0, 1, fabric.gpus());  // a million ranks: at once
        EXPECT_EQ(all.domains, fabric.domains());
        EXPECT_EQ(all.ranks_per_domain, fabric.gpus_per_domain());
    }
}

TEST(FabricProperty, EveryShippedGpuIsWholeAndItsSisterExists) {
    Library const library = shipped();
    for (auto const& name : library.names("gpus")) {
        GpuSpec const gpu = load_gpu(library, name, {});
        EXPECT_FALSE(gpu.source.empty()) << name;
        if (gpu.peak.fp8) {
            EXPECT_GE(gpu.peak.fp8->count, 1.9 * gpu.peak.bf16.count) << name;
        }
        if (gpu.sister) {
            EXPECT_FALSE(load_gpu(library, *gpu.sister, {}).sister.has_value()) << name;
        }
    }
}

}  // namespace
}  // namespace nvl72
