#include "sim/cost/attention_cost.hpp"

#include "sim/base/error.hpp"
#include "sim/cost/profile.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

/// One block of 128 x 128 scores with heads of 128 takes 1 us on one of one SM; no IO.
AttentionRow plain_attention() {
    AttentionRow row;
    row.launch = Seconds{10e-6};
    row.peak = FlopsPerSecond{4.0 * 128 * 128 * 128 / 1e-6};
    row.cta = Seconds{0.5e-6};
    row.tail = 0;
    row.query_io = BytesPerSecond{1e24};
    row.kv_io = BytesPerSecond{1e24};
    row.kv_bytes = 2;
    return row;
}

Attention heads_of_128(std::int64_t batch, std::int64_t queries, std::int64_t keys, int heads) {
    Attention attention;
    attention.batch = batch;
    attention.query_tokens = queries;
    attention.kv_tokens = keys;
    attention.heads = heads;
    return attention;
}

double rest_us(AttentionRow const& row, Attention const& attention, int sms = 1) {
    return attention_time(row, sms, attention).rest * 1e6;
}

AttentionSection plain_section() {
    AttentionSection section;
    section.backward = 3;
    section.batch = section.heads = section.kv_heads = {1, 4};
    section.query_tokens = {256, 1024};
    section.tokens = {256, 4096};
    section.head_dim = {128};
    section.precisions.emplace_back("bf16", plain_attention());
    return section;
}

TEST(AttentionCost, CausalSkipsBlocksAboveTheDiagonal) {
    // 2 rows of queries: 1 + 2 blocks of 1 us, 2 x 0.5 us of start.
    EXPECT_NEAR(rest_us(plain_attention(), heads_of_128(1, 256, 256, 1)), 4.0, 1e-9);
}

TEST(AttentionCost, WithoutTheMaskAllBlocksAreDone) {
    auto attention = heads_of_128(1, 256, 384, 1);
    attention.causal = false;  // 2 x 3 blocks, 2 starts
    EXPECT_NEAR(rest_us(plain_attention(), attention), 7.0, 1e-9);
}

TEST(AttentionCost, KeysBeforeTheQueriesAreSeenByAll) {
    // 2 rows, each 1 block of prefix; 1 + 2 of its own; 2 starts.
    EXPECT_NEAR(rest_us(plain_attention(), heads_of_128(1, 256, 384, 1)), 6.0, 1e-9);
}

TEST(AttentionCost, TheLongestRowOfBlocksIsNotSpread) {
    // On 100 SMs one block takes 1 us still: the row of 2 blocks and its start bind.
    auto row = plain_attention();
    row.peak = row.peak * 100;
    EXPECT_NEAR(rest_us(row, heads_of_128(1, 256, 256, 1), 100), 2.5, 1e-9);
    // With a tail of 1 it comes on top of the mean, (3 + 2 x 0.5) / 100.
    row.tail = 1;
    EXPECT_NEAR(rest_us(row, heads_of_128(1, 256, 256, 1), 100), 2.54, 1e-9);
}

TEST(AttentionCost, IoCountsQueriesOutputsKeysAndValues) {
    auto row = plain_attention();
    auto const attention = heads_of_128(2, 128, 256, 4);
    double const compute = rest_us(row, attention);
    row.query_io =
        BytesPerSecond{2.0 * 128 * 4 * 128 * 2 * 2 / 1e-6};  // queries and outputs, BF16: 1 us
    EXPECT_NEAR(rest_us(row, attention), compute + 1, 1e-9);
    // One key head: new ones read (2 bytes) and appended (2), old ones read (2), keys and values.
    row.kv_io = BytesPerSecond{2.0 * 2 * 128 * (128 * 4 + 128 * 2) / 1e-6};
    EXPECT_NEAR(rest_us(row, attention), compute + 2, 1e-9);
    auto by_itself = attention;
    by_itself.alone = true;
    EXPECT_NEAR(rest_us(row, by_itself), compute, 1e-9);
}

// cuDNN's kernel as NVIDIA's cudnn-frontend benchmarks publish it (attention_training/results and
// sdpa_benchmark_training/results, 2026), BF16, causal: milliseconds of forward and backward.
// Hopper's is an H200, as fast as an H100 where HBM does not bind.
TEST(AttentionCost, AKernelAloneLiesWithinAQuarterOfPublishedOnes) {
    Library const library(NVL72_SOURCE_DIR "/configs");
    struct Published {
        char const* gpu;
        std::int64_t batch, tokens;
        int heads, kv_heads, head_dim;
        double forward, backward;
    };
    for (Published const& p : {Published{"h100", 2, 4096, 64, 8, 128, 0.897, 2.747},
                               {"h100", 2, 8192, 64, 8, 128, 3.377, 10.245},
                               {"h100", 2, 4096, 128, 128, 160, 2.261, 7.306},
                               {"gb200", 1, 4096, 64, 8, 128, 0.212, 0.622},
                               {"gb200", 1, 8192, 64, 8, 128, 0.704, 2.150},
                               {"gb200", 2, 4096, 128, 128, 160, 1.000, 3.325}}) {
        auto const profile = load_profile(library, p.gpu);
        Attention attention{Precision::bf16, p.batch,    p.tokens, p.tokens, p.heads,
                            p.kv_heads,      p.head_dim, true,     false,    true};
        for (double const published : {p.forward, p.backward}) {
            double const ms = to_microseconds(cost(profile, attention, Load::burst).time) / 1000;
            EXPECT_NEAR(ms / published, 1.05, 0.2) << p.gpu << " " << p.tokens << " " << p.heads;
            attention.backward = true;
        }
    }
}

TEST(AttentionCost, BackwardIsTheForwardsWorkTimesItsFactor) {
    auto const section = plain_section();
    auto attention = heads_of_128(1, 256, 256, 1);
    EXPECT_EQ(attention_cost(section, attention, 1, 1).time.count, 14'000'000);
    attention.backward = true;  // 10 us + 3 x 4 us
    EXPECT_EQ(attention_cost(section, attention, 1, 1).time.count, 22'000'000);
}

TEST(AttentionCost, LoadSlowsTheTensorCoresOnly) {
    auto const section = plain_section();
    auto attention = heads_of_128(1, 256, 256, 1);
    // 10 us + 3 blocks x 1.2 us + 2 starts of 0.5 us
    EXPECT_EQ(attention_cost(section, attention, 1, 1.2).time.count, 14'600'000);
    attention.backward = true;  // 10 us + 3 x 4.6 us
    EXPECT_EQ(attention_cost(section, attention, 1, 1.2).time.count, 23'800'000);
}

TEST(AttentionCost, TheBasisNamesWhatWasNotMeasured) {
    auto const section = plain_section();
    auto attention = heads_of_128(1, 256, 256, 4);
    EXPECT_EQ(attention_cost(section, attention, 1, 1).basis.kind, BasisKind::on_grid);
    attention.query_tokens = attention.kv_tokens = 300;
    EXPECT_EQ(attention_cost(section, attention, 1, 1).basis.kind, BasisKind::interpolated);
    attention.backward = true;
    EXPECT_EQ(attention_cost(section, attention, 1, 1).basis.why, "attention backward");
    attention.head_dim = 64;
    attention.kv_tokens = 400;
    auto const basis = attention_cost(section, attention, 1, 1).basis;
    EXPECT_EQ(basis.kind, BasisKind::extrapolated);
    EXPECT_EQ(basis.why, "attention head dim below 128, backward, keys before the queries");
}

TEST(AttentionCost, ALargeBatchOfLongSequencesIsExtrapolated) {
    auto section = plain_section();
    section.tokens = {256, 1024};
    EXPECT_EQ(attention_cost(section, heads_of_128(4, 1024, 1024, 1), 1, 1).basis.why,
              "attention batch x tokens above 1024");
}

TEST(AttentionCost, RefusesFewerKeysThanQueriesUnderTheMask) {
    EXPECT_THROW((void)attention_cost(plain_section(), heads_of_128(1, 256, 128, 1), 1, 1), Error);
}

TEST(AttentionCost, ACacheOfAnotherPrecisionRunsItsKernel) {
    auto section = plain_section();
    MixedAttention mixed;
    mixed.like = "bf16";
    mixed.launch = Seconds{12e-6};
    mixed.query_io = BytesPerSecond{1e24};
    section.mixed.emplace_back("bf16_over_fp8", mixed);
    auto attention = heads_of_128(1, 256, 256, 1);  // 4 us as in plain BF16
    attention.kv_precision = Precision::fp8;
    EXPECT_EQ(attention_cost(section, attention, 1, 1).time.count, 16'000'000);
    attention.kv_precision = Precision::bf16;
    EXPECT_EQ(attention_cost(section, attention, 1, 1).time.count, 14'000'000);
    attention.kv_precision = Precision::nvfp4;
    try {
        (void)attention_cost(section, attention, 1, 1);
        FAIL() << "no error";
    } catch (ConfigError const& error) {
        EXPECT_NE(std::string(error.what())
                      .find("no bf16_over_nvfp4 attention (expected bf16 | bf16_over_fp8)"),
                  std::string::npos);
    }
    section.mixed[0].second.like = "fp8";
    EXPECT_THROW(check(section), ConfigError);
}

TEST(AttentionCost, OneKeyAndValueHeadMayRunAnotherKernelThanSeveral) {
    auto section = plain_section();
    AttentionRow slow = section.precisions.front().second;
    slow.peak = slow.peak * 0.5;
    section.precisions.emplace_back("fp8", slow);
    MixedAttention mixed;
    mixed.like = "fp8";
    mixed.multi_query = "bf16";
    mixed.launch = slow.launch;
    mixed.query_io = slow.query_io;
    section.mixed.emplace_back("bf16_over_fp8", mixed);
    auto const time_of = [&](int kv_heads) {
        auto attention = heads_of_128(1, 256, 256, 2);
        attention.kv_heads = kv_heads;
        auto const plain = attention_cost(section, attention, 1, 1).time;
        attention.kv_precision = Precision::fp8;
        return std::pair{attention_cost(section, attention, 1, 1).time, plain};
    };
    EXPECT_EQ(time_of(1).first, time_of(1).second);
    EXPECT_GT(time_of(2).first, time_of(2).second);
    section.mixed.front().second.multi_query = "fp4";
    EXPECT_THROW(check(section), ConfigError);
}

TEST(AttentionCost, FlopsAreOfTheScoresBelowTheDiagonal) {
    auto attention = heads_of_128(2, 4, 4, 3);  // 10 of 16 scores, 4 x 128 FLOPs each
    EXPECT_EQ(attention_flops(attention), 2 * 3 * 10 * 4 * 128);
    attention.causal = false;
    EXPECT_EQ(attention_flops(attention), 2 * 3 * 16 * 4 * 128);
}

}  // namespace
}  // namespace nvl72
