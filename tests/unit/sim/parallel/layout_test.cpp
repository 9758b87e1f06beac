#include "sim/parallel/layout.hpp"

#include "sim/base/error.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

Architecture llama(int layers, std::int64_t hidden, std::int64_t heads, std::int64_t ffn) {
    Architecture a;
    a.name = "llama";
    a.layers = layers;
    a.hidden = hidden;
    a.heads = heads;
    a.kv_heads = 8;
    a.head_dim = 128;
    a.ffn = ffn;
    a.vocab = 128256;
    return a;
}
Architecture llama_70b() { return llama(80, 8192, 64, 28672); }
Architecture llama_405b() { return llama(126, 16384, 128, 53248); }

Layout layout_of(std::string const& text) {
    return read_spec<Layout>(parse_yaml(text, "job.yaml"), nullptr);
}

/// The error of a layout for Llama-70B, sequence 8192, global batch 256.
std::string error_of(std::string const& text,
                     std::int64_t gpus,
                     std::int64_t global_batch = 256,
                     std::int64_t sequence = 8192) {
    try {
        check_layout(layout_of(text), gpus, llama_70b(), global_batch, sequence);
    } catch (ConfigError const& error) {
        return error.what();
    }
    return "no error";
}

TEST(CheckLayout, CompletesDataParallelAndMicroBatches) {
    // 64 GPUs / (tp 4 x pp 8) = dp 2; 256 sequences / dp 2 / micro-batch 1 = 128.
    auto const p = check_layout(layout_of("{tp: 4, pp: 8, vp: 5}"), 64, llama_70b(), 256, 8192);
    EXPECT_EQ(p.dp, 2);
    EXPECT_EQ(p.micro_batches, 128);
    EXPECT_EQ(p.chunks.size(), 40U);
    EXPECT_TRUE(p.sequence_parallel);
    // cp 2 halves the tokens of a rank.
    auto const c =
        check_layout(layout_of("{tp: 8, cp: 2, micro_batch: 2}"), 16, llama_70b(), 256, 8192);
    EXPECT_EQ(c.tokens_per_micro_batch(), 8192);
    EXPECT_FALSE(check_layout(layout_of("{pp: 8}"), 8, llama_70b(), 256, 8192).sequence_parallel);
}

TEST(CheckLayout, SequencesBeyondTheModelsPositionsAreRefusedWithTheRemedy) {
    auto model = llama_70b();
    model.place = {"models/llama-2-70b.json", 0, ""};
    model.max_sequence = 4096;
    EXPECT_EQ(check_layout(layout_of("{tp: 8}"), 8, model, 256, 4096).sequence, 4096);
    try {
        check_layout(layout_of("{tp: 8}"), 8, model, 256, 8192);
        FAIL() << "8192 tokens in 4096 positions";
    } catch (ConfigError const& error) {
        EXPECT_STREQ(error.what(),
                     "models/llama-2-70b.json: 4096 positions for sequences of 8192 tokens "
                     "(expected a sequence_length of at most 4096, or a copy of this model with "
                     "more max_position_embeddings)");
    }
}

// Published Llama-3.1-405B layouts (Megatron-Bridge, MLPerf): 126 layers with the embedding and the
// loss make 128 = 64 chunks of 2; the first and last chunk hold one layer.
TEST(CheckLayout, DealsEmbeddingAndLossOutAsLayers) {
    auto const layout =
        layout_of("{tp: 8, pp: 8, cp: 2, vp: 8, embedding_and_loss_as_layers: true}");
    auto const p = check_layout(layout, 1024, llama_405b(), 1536, 8192);
    EXPECT_EQ(p.dp, 8);
    EXPECT_EQ(p.micro_batches, 192);
    EXPECT_EQ(p.chunk(0, 0), (Chunk{0, 1, true, false}));
    EXPECT_EQ(p.chunk(1, 0), (Chunk{1, 2, false, false}));
    EXPECT_EQ(p.chunk(7, 7), (Chunk{125, 1, false, true}));
    EXPECT_EQ(p.chunks_of(0).size(), 8U);
    EXPECT_EQ(p.chunks_of(0)[1], p.chunks[8]);  // chunk v of stage s is global chunk v pp + s
    // pp 16, vp 8: a stage of its own for each, with no layer in it.
    auto const deep = layout_of("{tp: 4, pp: 16, vp: 8, embedding_and_loss_as_layers: true}");
    auto const q = check_layout(deep, 256, llama_405b(), 1536, 8192);
    EXPECT_EQ(q.chunk(0, 0), (Chunk{0, 0, true, false}));
    EXPECT_EQ(q.chunk(15, 7), (Chunk{126, 0, false, true}));
}

TEST(CheckLayout, NamesTheKeyThatDoesNotDivideAndWhatWould) {
    EXPECT_EQ(
        error_of("tp: 8\npp: 4", 48),
        "job.yaml:2: pp: tp 8 x pp 4 x cp 1 = 32 GPUs per replica (expected a divisor of the 48 "
        "GPUs)");
    EXPECT_EQ(error_of("tp: 8\ndp: 4", 64),
              "job.yaml:2: dp: tp 8 x pp 1 x cp 1 x dp 4 (expected 64 GPUs in all, which is dp 8)");
    EXPECT_EQ(error_of("tp: 6", 6),
              "job.yaml:1: tp: tp 6 (expected a divisor of llama's 64 heads)");
    EXPECT_EQ(error_of("ep: 2", 8), "job.yaml:1: ep: ep 2 (expected 1: llama has no experts)");
    EXPECT_EQ(
        error_of("pp: 3", 3, 255),
        "job.yaml:1: pp: 80 layers over pp 3 x vp 1 = 3 chunks (expected pp x vp among 1, 2, 4, "
        "5, 8, 10, 16, 20, 40, 80; or uneven_layers: true)");
    EXPECT_NE(error_of("pp: 41", 41).find("; or embedding_and_loss_as_layers: true; or uneven_layers: true)"),
              std::string::npos);
    EXPECT_EQ(error_of("cp: 3", 3, 255),
              "job.yaml:1: cp: cp 3 (expected 2 x cp to divide the sequence of 8192 tokens)");
    EXPECT_EQ(
        error_of("tp: 8", 8, 256, 4100),
        "job.yaml:1: tp: tp 8 (expected a divisor of the 4100 tokens of a context parallel rank, "
        "or sequence_parallel: false)");
    EXPECT_EQ(error_of("{tp: 8, sequence_parallel: false}", 8, 256, 4100), "no error");
    EXPECT_EQ(
        error_of("micro_batch: 3", 8),
        "job.yaml:1: micro_batch: dp 8 x micro_batch 3 (expected a divisor of the global batch "
        "of 256)");
    EXPECT_EQ(error_of("pp: 4\nvp: 5", 4, 258),
              "job.yaml:2: vp: 258 micro-batches (expected a multiple of pp 4 when vp is above 1 "
              "(interleaved 1F1B))");
    EXPECT_EQ(error_of("vp: 5", 4),
              "job.yaml:1: vp: vp 5 with one stage (expected vp 1, or pp above 1)");
    EXPECT_EQ(error_of("tp: 0", 4), "job.yaml:1: tp: 0 (expected a whole number, 1 to 100000)");
    EXPECT_EQ(error_of("dp: -1", 4), "job.yaml:1: dp: -1 (expected a whole number above 0)");
    EXPECT_THROW(layout_of("ttp: 8"), ConfigError);
}

TEST(CheckLayout, CopiesKeyValueHeadsWhenRanksAreMore) {
    auto const p = check_layout(layout_of("{tp: 16}"), 16, llama_70b(), 256, 8192);
    EXPECT_EQ(divisible_architecture(llama_70b(), p).kv_heads, 16);
    EXPECT_EQ(divisible_architecture(llama_70b(), p).qkv_width() % 16, 0);
    // 128257 tokens over 16: 8017 each.
    auto odd = llama_70b();
    odd.vocab = 128257;
    EXPECT_EQ(check_layout(layout_of("{tp: 16}"), 16, odd, 256, 8192).padded_vocab, 8017 * 16);
}

TEST(CheckLayout, PlacesAMistakenDefaultAtTheLayout) {
    auto const root = parse_yaml("job:\n  layout: {tp: 8}\n", "job.yaml");
    auto const layout = read_spec<Layout>(*root.find("job")->find("layout"), nullptr);
    EXPECT_EQ(layout.place_of("micro_batch").text(), "job.yaml:2: job.layout.micro_batch");
    EXPECT_EQ(Layout{}.place_of("tp").text(), "tp");
}

}  // namespace
}  // namespace nvl72
