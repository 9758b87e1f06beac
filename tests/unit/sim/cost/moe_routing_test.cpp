#include "sim/cost/moe_routing.hpp"

#include "sim/base/error.hpp"
#include "sim/base/random.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

namespace nvl72 {
namespace {

using namespace literals;

GroupShape group_of(std::int64_t domains, std::int64_t per_domain) {
    GroupShape shape;
    shape.ranks = domains * per_domain;
    shape.domains = domains;
    shape.ranks_per_domain = per_domain;
    return shape;
}

// 8 experts on 4 ranks, 2 of a token: a rank is missed with (6 over 2) / (8 over 2) = 15 / 28, so
// 4 x 13 / 28 = 1.857 ranks get a copy; of 2 domains (4 over 2) / 28 = 6 / 28 are missed: 1.571.
TEST(MoeRouting, BalancedCountsDistinctDestinationsInClosedForm) {
    MoeRouting const routing{8, 2, 0};
    EXPECT_NEAR(hit_probability(routing, 0, 2), 13.0 / 28, 1e-12);
    EXPECT_NEAR(hit_probability(routing, 6, 2), 13.0 / 28, 1e-12);
    EXPECT_NEAR(distinct_parts(routing, 4), 4 * 13.0 / 28, 1e-12);
    EXPECT_NEAR(distinct_parts(routing, 2), 2 * 22.0 / 28, 1e-12);
}

// DeepSeek's 256 experts, 8 of a token: on 32 ranks (248 over 8) / (256 over 8), and the 8 copies
// without dedup are always 8.
TEST(MoeRouting, OfLargeModelsToo) {
    MoeRouting const routing{256, 8, 0};
    double missed = 1;
    for (int i = 0; i < 8; ++i) missed *= (248.0 - i) / (256.0 - i);
    EXPECT_NEAR(distinct_parts(routing, 32), 32 * (1 - missed), 1e-9);
    auto const copies = copies_by_part(routing, 32, false);
    EXPECT_NEAR(std::accumulate(copies.begin(), copies.end(), 0.0), 8, 1e-9);
}

// One expert a token: shares 1, 1/2, 1/3, 1/4 of 25/12.
TEST(MoeRouting, ZipfSharesOfOneExpertAreTheInverseOfTheRank) {
    MoeRouting const routing{4, 1, 1};
    for (int i = 0; i < 4; ++i) {
        EXPECT_NEAR(hit_probability(routing, i, 1), 12.0 / 25 / (i + 1), 1e-12);
    }
    EXPECT_NEAR(distinct_parts(routing, 2), 1, 1e-12);
}

// Two of three experts by 1, 1/2, 1/3: the sets {0,1}, {0,2}, {1,2} weigh 1/2, 1/3, 1/6 of 1.
TEST(MoeRouting, ZipfSetsWeighTheProductOfTheirPopularities) {
    MoeRouting const routing{3, 2, 1};
    EXPECT_NEAR(hit_probability(routing, 0, 1), 5.0 / 6, 1e-12);
    EXPECT_NEAR(hit_probability(routing, 1, 1), 4.0 / 6, 1e-12);
    EXPECT_NEAR(hit_probability(routing, 2, 1), 3.0 / 6, 1e-12);
    EXPECT_NEAR(hit_probability(routing, 1, 2), 1, 1e-12);
}

// The same probabilities by drawing sets: experts one after the other, kept with their odds, and
// thrown away where they are not two.
TEST(MoeRouting, AgreesWithDrawnTokens) {
    MoeRouting const routing{6, 2, 0.8};
    RandomStream random(31, "moe tokens");
    int tokens = 0;
    std::array<int, 3> hits{};
    while (tokens < 40000) {
        std::vector<int> taken;
        for (int i = 0; i < 6; ++i) {
            double const odds = 0.5 * std::pow(i + 1, -0.8);
            if (random.uniform() < odds / (1 + odds)) taken.push_back(i);
        }
        if (taken.size() != 2) continue;
        ++tokens;
        ++hits.at(static_cast<std::size_t>(taken[0] / 2));
        if (taken[1] / 2 != taken[0] / 2) ++hits.at(static_cast<std::size_t>(taken[1] / 2));
    }
    auto const copies = copies_by_part(routing, 3, true);
    for (std::size_t part = 0; part < 3; ++part) {
        EXPECT_NEAR(copies[part], hits.at(part) / 40000.0, 0.01) << part;
    }
}

// Two domains of two GPUs, 8 experts, 2 of a token, 1000 bytes of tokens: a copy to each GPU with
// 13/28, to each domain with 22/28.
TEST(MoeTraffic, BalancedBytesByHand) {
    MoeRouting const routing{8, 2, 0};
    auto const shape = group_of(2, 2);
    auto const gpu = moe_load(routing, MoeDedup::gpu, 1000_B, shape);
    EXPECT_NEAR(gpu.nvlink, 1000 * 13.0 / 28, 1e-9);  // the one neighbour
    EXPECT_NEAR(gpu.nic, 2000 * 13.0 / 28, 1e-9);     // two far GPUs
    auto const none = moe_load(routing, MoeDedup::none, 1000_B, shape);
    EXPECT_NEAR(none.nic, 2000 * 0.5, 1e-9);  // 2 experts on 4 GPUs: half a copy each
    auto const domain = moe_load(routing, MoeDedup::domain, 1000_B, shape);
    EXPECT_NEAR(domain.nic, 1000 * 22.0 / 28, 1e-9);     // once to the other domain
    EXPECT_NEAR(domain.nvlink, 2000 * 13.0 / 28, 1e-9);  // its own, and what came for the neighbour
    EXPECT_LT(domain.nic, gpu.nic);
}

// Three domains of four, an expert a GPU, 2 of a token: a copy to each GPU with 1/6, to a domain
// with 1 - C(8,2)/C(12,2) = 38/66. A GPU passes on what three senders have for its three
// neighbours.
TEST(MoeTraffic, AGpuPassesOnTheTokensOfItsRail) {
    auto const load = moe_load({12, 2, 0}, MoeDedup::domain, 1000_B, group_of(3, 4));
    EXPECT_NEAR(load.nvlink, 1000 * 3 * 3 / 6.0, 1e-9);
    EXPECT_NEAR(load.nic, 1000 * 2 * 38.0 / 66, 1e-9);
}

TEST(MoeTraffic, InsideOneDomainUsesNoNic) {
    auto const load = moe_load({256, 8, 0}, MoeDedup::gpu, 1_MiB, group_of(1, 64));
    EXPECT_EQ(load.nic, 0);
    double missed = 1;
    for (int i = 0; i < 8; ++i) missed *= (252.0 - i) / (256.0 - i);
    EXPECT_NEAR(load.nvlink, 63 * (1 - missed) * 1048576, 1e-3);
    EXPECT_NEAR(moe_load({256, 8, 0}, MoeDedup::domain, 1_MiB, group_of(1, 64)).nvlink, load.nvlink,
                1e-3);
}

// One expert a token and a GPU, s = 1: everybody's 12/25 go to the first GPU.
TEST(MoeTraffic, TheBusiestGpuOfASkewedRoutingBinds) {
    auto const load = moe_load({4, 1, 1}, MoeDedup::gpu, 1000_B, group_of(1, 4));
    EXPECT_NEAR(load.nvlink, 3 * 480, 1e-9);
}

TEST(MoeTraffic, MoreSkewNeverEasesTheBusiestAndDedupNeverAdds) {
    RandomStream random(32, "moe traffic");
    for (int i = 0; i < 200; ++i) {
        auto const shape = group_of(1 + static_cast<std::int64_t>(random.below(4)),
                                    2 + static_cast<std::int64_t>(random.below(7)));
        MoeRouting routing;
        routing.experts = static_cast<int>(shape.ranks) * (1 + static_cast<int>(random.below(4)));
        routing.top_k = 1 + static_cast<int>(random.below(std::min<std::uint64_t>(
                                8, static_cast<std::uint64_t>(shape.ranks))));
        LinkLoad before;
        for (double const zipf : {0.0, 0.4, 0.8, 1.2}) {
            routing.zipf = zipf;
            auto const none = moe_load(routing, MoeDedup::none, 1_MiB, shape);
            auto const gpu = moe_load(routing, MoeDedup::gpu, 1_MiB, shape);
            auto const domain = moe_load(routing, MoeDedup::domain, 1_MiB, shape);
            EXPECT_LE(gpu.nvlink, none.nvlink * (1 + 1e-9));
            EXPECT_LE(gpu.nic, none.nic * (1 + 1e-9));
            EXPECT_LE(domain.nic, gpu.nic * (1 + 1e-9));
            EXPECT_GE(none.nvlink, before.nvlink * (1 - 1e-9));
            EXPECT_GE(none.nic, before.nic * (1 - 1e-9));
            before = none;
        }
    }
}

TEST(MoeTraffic, RefusesWhatDoesNotDivide) {
    EXPECT_THROW((void)moe_load({10, 2, 0}, MoeDedup::gpu, 1_MiB, group_of(1, 4)), ConfigError);
    EXPECT_THROW((void)moe_load({8, 9, 0}, MoeDedup::gpu, 1_MiB, group_of(1, 4)), ConfigError);
    EXPECT_THROW((void)moe_load({8, 2, -1}, MoeDedup::gpu, 1_MiB, group_of(1, 4)), ConfigError);
    auto uneven = group_of(2, 4);
    uneven.ranks = 6;
    EXPECT_THROW((void)moe_load({12, 2, 0}, MoeDedup::gpu, 1_MiB, uneven), ConfigError);
}

}  // namespace
}  // namespace nvl72
