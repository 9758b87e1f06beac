#include "sim/serving/cache.hpp"

#include "sim/base/error.hpp"
#include "sim/serving/experts.hpp"

#include <cmath>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

Architecture model(std::string const& name) {
    return load_architecture(NVL72_SOURCE_DIR "/configs/models/" + name + ".json");
}

ServingPrecision fp8() {
    ServingPrecision precision;
    precision.linear = precision.experts = precision.kv = Precision::fp8;
    return precision;
}

BatchPolicy batch() {
    BatchPolicy policy;
    policy.memory_share = 0.9;
    policy.reserve = Bytes{5'000'000'000};
    return policy;
}

TEST(CacheRoom, HoldsTheKeyValueHeadsOfOneRank) {
    auto const llama = model("llama-3.1-70b");
    // 80 layers x 8 heads x 2 x 128 x 1 B = 163,840 B a token, a quarter of the heads on a rank.
    EXPECT_DOUBLE_EQ(cache_bytes(llama, fp8(), 1), 163840);
    ServingLayout layout;
    layout.tp = 4;
    auto const room =
        cache_room(llama, fp8(), checked(layout, llama), batch(), Bytes{80'000'000'000});
    EXPECT_DOUBLE_EQ(room.token_bytes, 163840.0 / 4);
    EXPECT_DOUBLE_EQ(room.bytes(10), 10 * room.token_bytes);
}

TEST(CacheRoom, HoldsALatentOnEveryRank) {
    auto const deepseek = model("deepseek-v3");
    // 61 layers x (512 + 64) x 1 B = 35,136 B a token, whatever the ranks.
    EXPECT_DOUBLE_EQ(cache_bytes(deepseek, fp8(), 1), 35136);
    ServingLayout layout;
    layout.tp = 8;
    auto const room =
        cache_room(deepseek, fp8(), checked(layout, deepseek), batch(), Bytes{190'000'000'000});
    EXPECT_DOUBLE_EQ(room.token_bytes, 35136);
}

TEST(CacheRoom, KeepsNoMoreThanAWindowOfWindowedLayers) {
    auto const oss = model("gpt-oss-120b");
    // 18 of 36 layers see 128 tokens; 8 heads x 2 x 64 x 1 B = 1,024 B a token and layer.
    double const whole = cache_bytes(oss, fp8(), 100'000);
    EXPECT_DOUBLE_EQ(whole, 18 * 1024.0 * (100'000 + 128));
}

TEST(CacheRoom, SaysWhenWeightsLeaveNoRoom) {
    auto const llama = model("llama-3.1-70b");
    EXPECT_THROW(cache_room(llama, fp8(), checked({}, llama), batch(), Bytes{70'000'000'000}),
                 DoesNotFit);
}

TEST(ServingLayout, FillsInWhatItLeavesOpen) {
    auto const deepseek = model("deepseek-v3");
    ServingLayout layout;
    layout.attention_dp = 32;
    layout.expert_ep = 32;
    auto const filled = checked(layout, deepseek);
    EXPECT_EQ(filled.expert_tp, 1);
    EXPECT_EQ(filled.gpus(), 32);
}

TEST(ServingLayout, RefusesExpertsThatDoNotCoverTheRanks) {
    auto const deepseek = model("deepseek-v3");
    ServingLayout layout;
    layout.tp = 8;
    layout.expert_tp = 2;
    layout.expert_ep = 2;
    EXPECT_THROW(checked(layout, deepseek), ConfigError);
    layout.expert_tp = layout.expert_ep = 0;
    layout.tp = 3;
    EXPECT_THROW(checked(layout, deepseek), ConfigError);
}

TEST(Experts, AreHitAsTokensChoose) {
    // Evenly: each of 128 experts is missed by a token with 1 - 4/128.
    EXPECT_NEAR(experts_hit(128, 4, 1, 0), 4, 1e-9);
    EXPECT_NEAR(experts_hit(128, 4, 64, 0), 128 * (1 - std::pow(1 - 4.0 / 128, 64)), 1e-9);
    // The more uneven, the fewer; never more than there are.
    EXPECT_LT(experts_hit(128, 4, 64, 0.6), experts_hit(128, 4, 64, 0.3));
    EXPECT_LE(experts_hit(128, 4, 1e6, 0.6), 128);
}

}  // namespace
}  // namespace nvl72
