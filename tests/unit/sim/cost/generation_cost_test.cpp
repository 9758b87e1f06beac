#include "sim/cost/generation_cost.hpp"

#include "sim/base/error.hpp"
#include "sim/cost/profile.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

/// Blocks of 1 us; 1 TB/s; sums instead of overlap; no arithmetic, no time a token, no cut.
GenerationKernel plain_kernel() {
    GenerationKernel kernel;
    kernel.launch = Seconds{10e-6};
    kernel.block = Seconds{1e-6};
    kernel.rate = FlopsPerSecond{1e30};
    kernel.hbm = BytesPerSecond{1e12};
    kernel.overlap_norm = 1;
    kernel.split_tokens = 1e9;
    kernel.waves = 1;
    return kernel;
}

Attention decode(std::int64_t batch, std::int64_t kv_tokens, int heads, int kv_heads) {
    Attention attention;
    attention.batch = batch;
    attention.query_tokens = 1;
    attention.kv_tokens = kv_tokens;
    attention.heads = heads;
    attention.kv_heads = kv_heads;
    return attention;
}

double rest_us(GenerationKernel const& kernel,
               Attention const& attention,
               GenerationGpu gpu = {1, 0},
               bool grouped = true) {
    return generation_time(kernel, grouped, 2, gpu, attention).rest * 1e6;
}

TEST(GenerationCost, ReadsTheCacheOnce) {
    // 1 block over 1 SM, 1 us; the longest block, 1 us; 2 x 1000 x 128 elements of 2 bytes, 0.512.
    EXPECT_NEAR(rest_us(plain_kernel(), decode(1, 1000, 1, 1)), 2.512, 1e-9);
    EXPECT_EQ(generation_time(plain_kernel(), true, 2, {1, 0}, decode(1, 1000, 1, 1)).latency,
              10e-6);
    // An FP8 cache has half of them.
    EXPECT_NEAR(generation_time(plain_kernel(), true, 1, {1, 0}, decode(1, 1000, 1, 1)).rest,
                2.256e-6, 1e-15);
}

TEST(GenerationCost, SparesWhatL2Holds) {
    auto const attention = decode(1, 1000, 1, 1);                              // 512,000 bytes
    EXPECT_NEAR(rest_us(plain_kernel(), attention, {1, 512e3}), 2.512, 1e-9);  // thrashes
    EXPECT_NEAR(rest_us(plain_kernel(), attention, {1, 768e3}), 2.256, 1e-9);  // half stays
    EXPECT_NEAR(rest_us(plain_kernel(), attention, {1, 1'024e3}), 2.0, 1e-9);  // all stays
    EXPECT_NEAR(rest_us(plain_kernel(), attention, {1, 1'000'000e3}), 2.0, 1e-9);
}

TEST(GenerationCost, CutsFewCachesToFillTheSms) {
    auto kernel = plain_kernel();
    kernel.split_tokens = 250;
    kernel.token = Seconds{1e-9};
    kernel.merge = Seconds{0.1e-6};
    // 4 SMs, 1 cache of 1000: 4 parts, together 4 us over 4 SMs. The longest block: 1 us, 250
    // tokens, 3 merges. Memory 0.512.
    EXPECT_NEAR(rest_us(kernel, decode(1, 1000, 1, 1), {4, 0}), 1 + 1 + 0.25 + 0.3 + 0.512, 1e-9);
    // 8 caches fill them uncut: 8 us over 4 SMs; 1000 tokens; 8 times the memory.
    EXPECT_NEAR(rest_us(kernel, decode(8, 1000, 1, 1), {4, 0}), 2 + 1 + 1 + 4.096, 1e-9);
}

TEST(GenerationCost, AGroupSharesABlock) {
    auto kernel = plain_kernel();
    kernel.head = Seconds{0.5e-6};
    kernel.hbm = BytesPerSecond{1e30};
    // 8 heads over 2: 2 blocks of 1 + 4 x 0.5 us, and the longest of them.
    EXPECT_NEAR(rest_us(kernel, decode(1, 1000, 8, 2)), 6 + 3, 1e-9);
    // Each for itself: 8 blocks of 1.5 us.
    EXPECT_NEAR(rest_us(kernel, decode(1, 1000, 8, 2), {1, 0}, false), 12 + 1.5, 1e-9);
}

TEST(GenerationCost, ComputesFourFlopsAnElement) {
    auto kernel = plain_kernel();
    kernel.hbm = BytesPerSecond{1e30};
    kernel.rate = FlopsPerSecond{4.096e12};
    // 4 x 8 heads x 1000 x 128 = 4.096 MFLOP, 1 us; 8 blocks in 2, 2 us; the longest, 1 us.
    EXPECT_NEAR(rest_us(kernel, decode(1, 1000, 8, 2)), 2 + 1 + 1, 1e-9);
    // Twice the queries of speculative decoding compute twice as much.
    auto attention = decode(1, 1000, 8, 2);
    attention.query_tokens = 2;
    EXPECT_NEAR(rest_us(kernel, attention), 2 + 2 + 1, 1e-9);
}

TEST(GenerationCost, OverlapsByTheNorm) {
    auto kernel = plain_kernel();
    kernel.overlap_norm = 2;
    kernel.hbm = BytesPerSecond{0.512e12};  // memory 1 us, as blocks and longest: root of 3
    EXPECT_NEAR(rest_us(kernel, decode(1, 1000, 1, 1)), std::sqrt(3.0), 1e-9);
}

TEST(GenerationCost, TakesTheGroupedKernelByTensorRtLlmsRule) {
    GenerationSection section;
    section.heads_min = 2;
    section.heads_max = 32;
    GenerationRow row;
    row.grouped_from = 0.25;  // of 132 SMs: 33 blocks
    auto const grouped = [&](Attention const& a) { return takes_grouped(section, row, 132, a); };
    EXPECT_FALSE(grouped(decode(16, 257, 32, 1)));  // 16 x 2 parts of 128 cached tokens
    EXPECT_TRUE(grouped(decode(16, 385, 32, 1)));   // 16 x 3
    EXPECT_TRUE(grouped(decode(33, 2, 32, 1)));     // a short cache is one part
    EXPECT_FALSE(grouped(decode(256, 4096, 64, 1)));
    EXPECT_FALSE(grouped(decode(256, 4096, 64, 64)));
}

TEST(GenerationCost, OneTokenOverACacheIsGeneration) {
    EXPECT_TRUE(is_generation(decode(1, 2, 1, 1)));
    EXPECT_FALSE(is_generation(decode(1, 1, 1, 1)));  // a prompt of one token
    auto speculative = decode(1, 100, 1, 1);
    speculative.query_tokens = 8;
    EXPECT_TRUE(is_generation(speculative));
    speculative.query_tokens = 9;
    EXPECT_FALSE(is_generation(speculative));
}

TEST(GenerationCost, ShippedProfilesSayWhatTheyStandOn) {
    Library const library(NVL72_SOURCE_DIR "/configs");
    auto const h100 = load_profile(library, "h100");
    auto const basis = [&](Attention const& a) { return cost(h100, a, Load::burst).basis; };
    EXPECT_EQ(basis(decode(8, 4096, 32, 8)).kind, BasisKind::on_grid);
    EXPECT_EQ(basis(decode(8, 5000, 32, 8)).kind, BasisKind::interpolated);
    EXPECT_EQ(basis(decode(512, 4096, 32, 8)).why, "generation batch above 256");
    auto speculative = decode(8, 4096, 32, 8);
    speculative.query_tokens = 2;
    EXPECT_EQ(basis(speculative).why, "generation new tokens above 1");
    EXPECT_EQ(cost(load_profile(library, "h200"), decode(8, 4096, 32, 8), Load::burst).basis.why,
              "generation scaled from h100");
}

TEST(GenerationCost, UnderSustainedLoadNoCacheStaysInL2) {
    auto const gb200 = load_profile(Library(NVL72_SOURCE_DIR "/configs"), "gb200");
    // 64 x 8 heads x 128 tokens x 512 bytes = 34 MB, in L2 when called again at once.
    auto const few = decode(64, 128, 32, 8);
    EXPECT_GT(cost(gb200, few, Load::sustained).time.count,
              cost(gb200, few, Load::burst).time.count + 1'000'000);
    // 4 GB never were.
    auto const many = decode(256, 4096, 32, 8);
    double const ratio =
        cost(gb200, many, Load::sustained).time / cost(gb200, many, Load::burst).time;
    EXPECT_NEAR(ratio, 1, 0.01);
}

TEST(GenerationCost, NamesWhatTheProfileLacks) {
    auto const error_of = [](Profile const& profile, Attention const& attention) -> std::string {
        try {
            (void)cost(profile, attention, Load::burst);
            return "no error";
        } catch (ConfigError const& error) {
            std::string const message = error.what();
            return message.substr(message.find("calibration/") + 12);
        }
    };
    auto profile = load_profile(Library(NVL72_SOURCE_DIR "/configs"), "gb200");
    auto fp8 = decode(1, 64, 8, 8);
    fp8.precision = Precision::fp8;
    EXPECT_NE(error_of(profile, fp8)
                  .find("no fp8 generation attention (expected bf16 | "
                        "bf16_over_fp8)"),
              std::string::npos);
    profile.generation->precisions[0].second.per_head.reset();
    EXPECT_NE(error_of(profile, decode(1, 64, 64, 1))
                  .find("no per_head kernel, which 64 heads over 1 take"),
              std::string::npos);
    profile.generation.reset();
    EXPECT_EQ(error_of(profile, decode(1, 64, 8, 8)),
              "gb200.yaml: generation: the gb200 has no such section (expected a fit: calibrate "
              "--from TABLES)");
}

}  // namespace
}  // namespace nvl72
