#include "sim/cost/profile.hpp"

#include "sim/base/random.hpp"

#include <array>
#include <cmath>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

constexpr int cases = 300;

std::vector<Profile> all_profiles() {
    Library const library(NVL72_SOURCE_DIR "/configs");
    std::vector<Profile> profiles;
    for (auto const& name : library.names("calibration"))
        profiles.push_back(load_profile(library, name));
    return profiles;
}

/// 1 to 2^bits, even on a logarithmic scale.
std::int64_t size(RandomStream& random, double bits) {
    return static_cast<std::int64_t>(std::exp2(random.uniform() * bits));
}

std::vector<Precision> precisions_of(Profile const& profile) {
    std::vector<Precision> found;
    for (std::size_t i = 0; i < EnumNames<Precision>::words.size(); ++i) {
        auto const word = std::string(EnumNames<Precision>::words[i]);
        for (auto const& entry : profile.gemm->precisions) {
            if (entry.first == word) found.push_back(static_cast<Precision>(i));
        }
        for (auto const& entry : profile.gemm->likened) {
            if (entry.first == word) found.push_back(static_cast<Precision>(i));
        }
    }
    return found;
}

TEST(ProfileProperty, MoreGemmIsNeverFasterOnAnyGpu) {
    RandomStream random(11, "gemm shapes");
    for (auto const& profile : all_profiles()) {
        for (auto const precision : precisions_of(profile)) {
            for (int i = 0; i < cases; ++i) {
                // Up to 2^20 tokens by 2^17 outputs by 2^17 inputs: far outside the measured grid.
                Gemm const small{precision, size(random, 20), size(random, 17), size(random, 17)};
                auto const time = cost(profile, small, Load::burst).time;
                ASSERT_GT(time.count, 0);
                for (auto member : {&Gemm::m, &Gemm::n, &Gemm::k}) {
                    Gemm large = small;
                    large.*member += size(random, 12);
                    auto const longer = cost(profile, large, Load::burst).time;
                    ASSERT_GE(longer.count, time.count)
                        << profile.gpu << ' ' << name_of(precision) << ' ' << small.m << ' '
                        << small.n << ' ' << small.k << " -> " << large.m << ' ' << large.n << ' '
                        << large.k;
                }
                ASSERT_GE(cost(profile, small, Load::sustained).time.count, time.count);
            }
        }
    }
}

TEST(ProfileProperty, NoGemmBeatsTheDatasheet) {
    RandomStream random(12, "gemm peaks");
    Library const library(NVL72_SOURCE_DIR "/configs");
    for (auto const& profile : all_profiles()) {
        if (profile.gpu == "gb300" || profile.gpu == "b300")
            continue;  // training showed more than BF16's datasheet
        auto const gpu = load_gpu(library, profile.gpu, {});
        for (auto const precision : precisions_of(profile)) {
            for (int i = 0; i < cases; ++i) {
                Gemm const gemm{precision, size(random, 20), size(random, 17), size(random, 17)};
                double const flops = 2.0 * static_cast<double>(gemm.m) *
                                     static_cast<double>(gemm.n) * static_cast<double>(gemm.k);
                double const seconds = to_seconds(cost(profile, gemm, Load::burst).time);
                ASSERT_LE(flops / seconds, datasheet_peak(gpu, precision)->count);
            }
        }
    }
}

TEST(ProfileProperty, MoreAttentionIsNeverFaster) {
    RandomStream random(13, "attention shapes");
    for (auto const& profile : all_profiles()) {
        for (int i = 0; i < cases; ++i) {
            Attention small;
            small.batch = size(random, 9);
            small.query_tokens = 8 + size(random, 17);  // fewer over a cache are generation
            small.kv_tokens = small.query_tokens + size(random, 17);
            small.kv_heads = static_cast<int>(size(random, 6));
            small.heads = small.kv_heads * static_cast<int>(size(random, 4));
            small.head_dim = static_cast<int>(size(random, 8));
            small.causal = random.below(2) == 0;
            auto const time = cost(profile, small, Load::burst).time;
            ASSERT_GT(time.count, 0);
            auto const grown = [&](auto change) {
                Attention large = small;
                change(large);
                return cost(profile, large, Load::burst).time.count;
            };
            ASSERT_GE(grown([](Attention& a) { a.batch += 1; }), time.count);
            ASSERT_GE(grown([](Attention& a) { a.kv_tokens += 1; }), time.count);
            ASSERT_GE(grown([](Attention& a) { a.query_tokens += 100, a.kv_tokens += 100; }),
                      time.count);
            ASSERT_GE(grown([](Attention& a) { a.heads += a.kv_heads; }), time.count);
            ASSERT_GE(grown([](Attention& a) { a.head_dim += 1; }), time.count);
            ASSERT_GE(grown([](Attention& a) { a.backward = true; }), time.count);
        }
    }
}

TEST(ProfileProperty, AWeightGradientCostsAboutAsMuchAsItsForward) {
    // m and n large and k the tokens: as many FLOPs as the forward, none of the few-token losses.
    for (auto const& profile : all_profiles()) {
        for (auto const precision : precisions_of(profile)) {
            Gemm const forward{precision, 8192, 106496, 16384};
            Gemm const weight{precision, 106496, 16384, 8192};
            double const ratio = cost(profile, weight, Load::sustained).time /
                                 cost(profile, forward, Load::sustained).time;
            EXPECT_GT(ratio, 0.8) << profile.gpu << ' ' << name_of(precision);
            EXPECT_LT(ratio, 1.4) << profile.gpu << ' ' << name_of(precision);
        }
    }
}

/// A decode over caches far beyond the measured ones, too.
Attention random_decode(RandomStream& random, bool fp8_cache) {
    Attention attention;
    attention.batch = size(random, 12);
    attention.query_tokens = 1;
    attention.kv_tokens = 1 + size(random, 20);
    attention.kv_heads = static_cast<int>(size(random, 6));
    attention.heads = attention.kv_heads * static_cast<int>(size(random, 7));
    if (fp8_cache) attention.kv_precision = Precision::fp8;
    return attention;
}

TEST(ProfileProperty, MoreCacheIsNeverFaster) {
    RandomStream random(14, "decodes");
    for (auto const& profile : all_profiles()) {
        for (auto const& entry : profile.generation->precisions) {
            // Where the kernel changes with the cache, the longer may take the faster one.
            if (entry.second.grouped_from > 0) continue;
            for (int i = 0; i < cases; ++i) {
                auto attention = random_decode(random, entry.first == "bf16_over_fp8");
                auto const burst = cost(profile, attention, Load::burst).time;
                auto const sustained = cost(profile, attention, Load::sustained).time;
                ASSERT_GT(burst.count, 0);
                ASSERT_GE(sustained.count, burst.count);
                attention.kv_tokens += size(random, 18);
                ASSERT_GE(cost(profile, attention, Load::burst).time.count, burst.count)
                    << profile.gpu << ' ' << entry.first << ' ' << attention.kv_tokens;
            }
        }
    }
}

TEST(ProfileProperty, FasterMemoryNeverSlowsADecode) {
    RandomStream random(15, "decodes");
    for (auto const& profile : all_profiles()) {
        auto fast = profile;
        for (auto& entry : fast.generation->precisions) {
            for (auto* kernel : {&entry.second.grouped, &entry.second.per_head}) {
                if (*kernel) (*kernel)->hbm = (*kernel)->hbm * 1.5;
            }
        }
        for (int i = 0; i < cases; ++i) {
            auto const attention = random_decode(random, false);
            ASSERT_LE(cost(fast, attention, Load::burst).time.count,
                      cost(profile, attention, Load::burst).time.count);
        }
    }
}

TEST(ProfileProperty, MoreToExchangeIsNeverFasterAndMoreNvlinkNeverSlower) {
    RandomStream random(16, "exchanges");
    constexpr std::array steps{MoeStep::prepare, MoeStep::dispatch, MoeStep::combine};
    for (auto const& profile : all_profiles()) {
        if (!profile.moe) continue;
        for (int i = 0; i < cases; ++i) {
            MoeExchange small;
            small.step = steps.at(static_cast<std::size_t>(i) % steps.size());
            small.tokens = size(random, 18);
            small.hidden = size(random, 15);
            small.top_k = static_cast<int>(size(random, 4));
            small.experts = 256;
            small.shape.ranks = small.shape.ranks_per_domain = 1 + size(random, 6);
            small.shape.in_domain = BytesPerSecond{450e9};
            auto const time = cost(profile, small, Load::burst).time;
            ASSERT_GT(time.count, 0);
            auto more = small;
            more.tokens += size(random, 10);
            ASSERT_GE(cost(profile, more, Load::burst).time.count, time.count);
            more = small;
            more.hidden += size(random, 10);
            ASSERT_GE(cost(profile, more, Load::burst).time.count, time.count);
            more = small;
            more.shape.ranks += size(random, 5);
            ASSERT_GE(cost(profile, more, Load::burst).time.count, time.count);
            more = small;
            more.shape.in_domain = BytesPerSecond{900e9};
            ASSERT_LE(cost(profile, more, Load::burst).time.count, time.count);
        }
    }
}

}  // namespace
}  // namespace nvl72
