#include "sim/parallel/layout.hpp"

#include "sim/base/error.hpp"

#include <fmt/format.h>
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

// 80 layers over 4 x 3 chunks of which the first holds the embedding and the last the loss: 8 each.
TEST(CheckLayout, GivesEmbeddingAndLossChunksOfTheirOwn) {
    auto const p =
        check_layout(layout_of("{pp: 4, vp: 3, embedding_stage: separate, loss_stage: separate}"),
                     4, llama_70b(), 256, 8192);
    ASSERT_EQ(p.chunks.size(), 12U);
    EXPECT_EQ(p.chunks_of(0).at(0), (Chunk{0, 0, true, false}));
    EXPECT_EQ(p.chunks_of(1).at(0), (Chunk{0, 8, false, false}));
    EXPECT_EQ(p.chunks_of(2).at(2), (Chunk{72, 8, false, false}));
    EXPECT_EQ(p.chunks_of(3).at(2), (Chunk{80, 0, false, true}));
    // The loss alone: 80 layers over 3 of 4 stages, uneven: 27, 27, 26.
    auto const loss = check_layout(layout_of("{pp: 4, loss_stage: separate, uneven_layers: true}"),
                                   4, llama_70b(), 256, 8192);
    EXPECT_EQ(loss.chunks_of(0).at(0), (Chunk{0, 27, true, false}));
    EXPECT_EQ(loss.chunks_of(2).at(0), (Chunk{54, 26, false, false}));
    EXPECT_EQ(loss.chunks_of(3).at(0), (Chunk{80, 0, false, true}));
}

TEST(CheckLayout, RefusesChunksOfTheirOwnThatLeaveNoneForLayers) {
    EXPECT_EQ(
        error_of("{pp: 2, embedding_stage: separate, loss_stage: separate}", 2),
        "job.yaml:1: embedding_stage: separate with 2 chunks (expected pp x vp of 3 or more)");
    EXPECT_EQ(error_of("{pp: 4, loss_stage: separate}", 4),
              "job.yaml:1: pp: 80 layers over pp 4 x vp 1 = 4 chunks, 1 of them apart (expected "
              "pp x vp - 1 among 1, 2, 4, 5, 8, 10, 16, 20, 40, 80; or uneven_layers: true)");
    EXPECT_EQ(error_of("{pp: 4, loss_stage: separate, embedding_and_loss_as_layers: true}", 4),
              "job.yaml:1: loss_stage: separate with embedding_and_loss_as_layers: true (expected "
              "one of the two)");
}

TEST(CheckLayout, RefusesASchedulesShapesInALine) {
    EXPECT_EQ(
        error_of("{pp: 4, schedule: zerobubble}", 4),
        "job.yaml:1: schedule: 'zerobubble', did you mean zero-bubble? (expected gpipe | 1f1b "
        "| interleaved | zero-bubble | dualpipe)");
    EXPECT_EQ(
        error_of("{pp: 5, schedule: dualpipe}", 5),
        "job.yaml:1: schedule: dualpipe with pp 5 (expected an even pp: micro-batches meet in "
        "the middle)");
    EXPECT_EQ(error_of("{pp: 4, schedule: dualpipe}", 4, 7),
              "job.yaml:1: schedule: dualpipe with 7 micro-batches (expected an even number of "
              "micro-batches, 8 or more (2 x pp))");
    EXPECT_EQ(
        error_of("{pp: 4, vp: 1, schedule: interleaved}", 4),
        "job.yaml:1: schedule: interleaved with vp 1 (expected vp above 1, or schedule: 1f1b)");
}

TEST(CheckLayout, GivesAScheduleTheChunksItNeedsAndSaysSo) {
    auto const of = [](std::string const& text) {
        return check_layout(layout_of(text), 4, llama_70b(), 256, 8192);
    };
    for (auto const* name : {"gpipe", "1f1b", "zero-bubble", "dualpipe"}) {
        auto const p = of(fmt::format("{{pp: 4, vp: 5, schedule: {}}}", name));
        EXPECT_EQ(p.vp, 1) << name;
        EXPECT_EQ(p.schedule->name, name);
        ASSERT_EQ(p.notes.size(), 1U) << name;
        EXPECT_EQ(p.notes[0],
                  fmt::format("vp 1 in place of 5: schedule {} has one chunk a stage", name));
    }
    auto const interleaved = of("{pp: 4, schedule: interleaved}");  // 80 layers over 4 x 2
    EXPECT_EQ(interleaved.vp, 2);
    EXPECT_EQ(interleaved.notes.at(0), "vp 2: schedule interleaved needs several chunks a stage");
    EXPECT_TRUE(of("{pp: 4, vp: 5}").notes.empty());
    EXPECT_TRUE(of("{pp: 4, schedule: zero-bubble}").notes.empty());
}

TEST(CheckLayout, ReadsTheOrderOfTheDimensions) {
    auto const order = [](std::string const& text) {
        return check_layout(layout_of(text), 16, llama_70b(), 256, 8192).order;
    };
    EXPECT_EQ(order("{tp: 2, pp: 4}"), megatron_order);
    EXPECT_EQ(order("{tp: 2, pp: 4, order: tp-cp-ep-dp-pp}"), megatron_order);
    AxisOrder const mapped{Axis::tp, Axis::cp, Axis::ep, Axis::pp, Axis::dp};
    EXPECT_EQ(order("{tp: 2, pp: 4, order: tp-cp-ep-pp-dp}"), mapped);
    AxisOrder const without{Axis::tp, Axis::pp, Axis::dp, Axis::cp, Axis::ep};
    EXPECT_EQ(order("{tp: 2, pp: 4, order: tp-pp-dp}"), without);  // cp and ep are of one GPU
    std::string const expected =
        " (expected tp, cp, ep, dp and pp, each once, such as tp-cp-ep-dp-pp)";
    EXPECT_EQ(error_of("{tp: 2, order: tp-xp-dp}", 4), "job.yaml:1: order: 'xp'" + expected);
    EXPECT_EQ(error_of("{tp: 2, order: tp-tp-dp}", 4), "job.yaml:1: order: tp twice" + expected);
    EXPECT_EQ(error_of("{tp: 2, pp: 2, order: tp-dp}", 4), "job.yaml:1: order: no pp" + expected);
    EXPECT_EQ(error_of("{tp: 2, cp: 2, order: cp-tp-dp-pp-ep}", 8),
              "job.yaml:1: order: 'cp-tp-dp-pp-ep': tp between cp and dp, over which gradients are "
              "summed together" +
                  expected);
}

// DualPipe: stage 1 of 4 holds its own chunk and stage 2's.
TEST(CheckLayout, GivesAStageItsMirrorsChunkToo) {
    auto const p =
        check_layout(layout_of("{pp: 4, schedule: dualpipe}"), 4, llama_70b(), 256, 8192);
    auto const held = p.chunks_of(1);
    ASSERT_EQ(held.size(), 2U);
    EXPECT_EQ(held[0], (Chunk{20, 20, false, false}));
    EXPECT_EQ(held[1], (Chunk{40, 20, false, false}));
    EXPECT_EQ(p.copies(), 2);
}

// Published Llama-3.1-405B layouts (Megatron-Bridge, MLPerf): 126 layers with the embedding and the
// loss make 128 = 64 chunks of 2; the first and last chunk hold one layer.
TEST(CheckLayout, DealsEmbeddingAndLossOutAsLayers) {
    auto const layout =
        layout_of("{tp: 8, pp: 8, cp: 2, vp: 8, embedding_and_loss_as_layers: true}");
    auto const p = check_layout(layout, 1024, llama_405b(), 1536, 8192);
    EXPECT_EQ(p.dp, 8);
    EXPECT_EQ(p.micro_batches, 192);
    EXPECT_EQ(p.chunks_of(0).at(0), (Chunk{0, 1, true, false}));
    EXPECT_EQ(p.chunks_of(1).at(0), (Chunk{1, 2, false, false}));
    EXPECT_EQ(p.chunks_of(7).at(7), (Chunk{125, 1, false, true}));
    EXPECT_EQ(p.chunks_of(0).size(), 8U);
    EXPECT_EQ(p.chunks_of(0)[1], p.chunks[8]);  // chunk v of stage s is global chunk v pp + s
    // pp 16, vp 8: a stage of its own for each, with no layer in it.
    auto const deep = layout_of("{tp: 4, pp: 16, vp: 8, embedding_and_loss_as_layers: true}");
    auto const q = check_layout(deep, 256, llama_405b(), 1536, 8192);
    EXPECT_EQ(q.chunks_of(0).at(0), (Chunk{0, 0, true, false}));
    EXPECT_EQ(q.chunks_of(15).at(7), (Chunk{126, 0, false, true}));
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
    EXPECT_NE(error_of("pp: 41", 41)
                  .find("; or embedding_and_loss_as_layers: true; or uneven_layers: true)"),
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

/// 61 layers, 3 of them dense, with 64 experts in the others and one module of further tokens.
Architecture experts_model() {
    auto a = llama(61, 8192, 64, 28672);
    a.name = "mixture";
    a.experts = 64;
    a.top_k = 8;
    a.expert_ffn = 2048;
    a.dense_layers = 3;
    a.mtp_layers = 1;
    return a;
}

/// The error of a layout for that model, sequence 8192, global batch 256.
std::string experts_error_of(std::string const& text, std::int64_t gpus) {
    try {
        check_layout(layout_of(text), gpus, experts_model(), 256, 8192);
    } catch (ConfigError const& error) {
        return error.what();
    }
    return "no error";
}

std::vector<int> layers_of(Parallel const& parallel) {
    std::vector<int> layers;
    for (auto const& chunk : parallel.chunks) layers.push_back(chunk.layers);
    return layers;
}

// DeepSeek-V3 on 16 stages. The loss and the module take a place each: 63 places over 16 chunks are
// 15 of 4 and one of 3, of which two are not layers. 15 x 4 + 1 = 61.
TEST(CheckLayout, UnevenLayersLeaveTheLastChunkRoomForLossAndModule) {
    std::vector<int> wanted(15, 4);
    wanted.push_back(1);
    for (auto const* text : {"{pp: 16, uneven_layers: true}", "{pp: 4, vp: 4, uneven_layers: true}",
                             "{pp: 8, vp: 2, uneven_layers: true}"}) {
        auto const layout = layout_of(text);
        auto const p = check_layout(layout, layout.pp, experts_model(), 256, 8192);
        EXPECT_EQ(layers_of(p), wanted) << text;
        EXPECT_EQ(p.chunks[1], (Chunk{4, 4, false, false})) << text;
        EXPECT_EQ(p.chunks[15], (Chunk{60, 1, false, true})) << text;
    }
    // 80 layers and the loss: 81 places over 3 chunks are 27 each; over 7, 12 12 12 12 11 11 11.
    auto const three =
        check_layout(layout_of("{pp: 3, uneven_layers: true}"), 3, llama_70b(), 255, 8192);
    EXPECT_EQ(layers_of(three), (std::vector{27, 27, 26}));
    auto const seven =
        check_layout(layout_of("{pp: 7, uneven_layers: true}"), 7, llama_70b(), 256, 8192);
    EXPECT_EQ(layers_of(seven), (std::vector{12, 12, 12, 12, 11, 11, 10}));
    // The embedding takes a place in the first chunk too: 82 over 7 are 12 x 5, 11 x 2.
    auto const ends =
        check_layout(layout_of("{pp: 7, uneven_layers: true, embedding_and_loss_as_layers: true}"),
                     7, llama_70b(), 256, 8192);
    EXPECT_EQ(layers_of(ends), (std::vector{11, 12, 12, 12, 12, 11, 10}));
}

TEST(CheckLayout, UnevenLayersCoverEveryLayerOnceInOrder) {
    for (int pp = 1; pp <= 90; ++pp) {
        Layout layout;
        layout.pp = pp;
        layout.uneven_layers = true;
        for (auto const& model : {llama_70b(), experts_model()}) {
            auto const p = check_layout(layout, pp, model, 256, 8192);
            int next = 0;
            for (auto const& chunk : p.chunks) {
                EXPECT_EQ(chunk.first_layer, next) << pp;
                next += chunk.layers;
            }
            EXPECT_EQ(next, model.layers) << pp;
        }
    }
}

TEST(CheckLayout, UnevenLayersChangeNothingThatDivides) {
    for (auto const* text : {"pp: 8, vp: 5", "pp: 4"}) {
        auto const plain = layout_of(std::string("{") + text + "}");
        auto const uneven = layout_of(std::string("{") + text + ", uneven_layers: true}");
        EXPECT_EQ(check_layout(plain, plain.pp, llama_70b(), 256, 8192).chunks,
                  check_layout(uneven, uneven.pp, llama_70b(), 256, 8192).chunks);
    }
    EXPECT_EQ(experts_error_of("pp: 16", 16),
              "job.yaml:1: pp: 61 layers over pp 16 x vp 1 = 16 chunks (expected pp x vp among 1, "
              "61; or uneven_layers: true)");
}

// tp 4, cp 2 on 32 GPUs: dp 4. All 32 hold experts: 32 / (ep 8 x expert_tp 2) = 2 have the same.
TEST(CheckLayout, ExpertsAreLaidOverAllGpusOfAStage) {
    auto const p = check_layout(layout_of("{tp: 4, cp: 2, ep: 8, expert_tp: 2}"), 32,
                                experts_model(), 256, 8192);
    EXPECT_EQ(p.dp, 4);
    EXPECT_EQ(p.ep, 8);
    EXPECT_EQ(p.expert_tp, 2);
    EXPECT_EQ(p.expert_dp, 2);
    // With stages, those of one stage only; expert_tp is 1 where it is not given, whatever tp is.
    auto const staged = check_layout(layout_of("{tp: 2, pp: 2, ep: 4, uneven_layers: true}"), 32,
                                     experts_model(), 256, 8192);
    EXPECT_EQ(staged.expert_tp, 1);
    EXPECT_EQ(staged.expert_dp, 4);
}

TEST(CheckLayout, NamesTheExpertDegreeThatDoesNotDivide) {
    EXPECT_EQ(experts_error_of("{ep: 64}", 64), "no error");
    EXPECT_EQ(experts_error_of("{tp: 2, ep: 16, expert_tp: 4}", 64), "no error");
    EXPECT_EQ(experts_error_of("tp: 2\nep: 6", 6),
              "job.yaml:2: ep: ep 6 (expected a divisor of mixture's 64 experts)");
    EXPECT_EQ(experts_error_of("tp: 2\nexpert_tp: 3", 6),
              "job.yaml:2: expert_tp: expert_tp 3 (expected a divisor of mixture's expert width of "
              "2048)");
    EXPECT_EQ(experts_error_of("ep: 8\nexpert_tp: 2", 8),
              "job.yaml:1: ep: ep 8 x expert_tp 2 (expected a divisor of the 8 GPUs of a stage (tp "
              "x cp x dp))");
    EXPECT_EQ(experts_error_of("{ep: 8, pp: 2, uneven_layers: true}", 8),
              "job.yaml:1: ep: ep 8 x expert_tp 1 (expected a divisor of the 4 GPUs of a stage (tp "
              "x cp x dp))");
    EXPECT_EQ(experts_error_of("tp: 2\nsequence_parallel: false", 8),
              "job.yaml:2: sequence_parallel: false with experts and tp above 1 (expected true, as "
              "Megatron demands it)");
    EXPECT_EQ(experts_error_of("{tp: 1, sequence_parallel: false}", 8), "no error");
    EXPECT_EQ(error_of("expert_tp: 2", 8),
              "job.yaml:1: expert_tp: expert_tp 2 (expected 1: llama has no experts)");
    EXPECT_EQ(experts_error_of("ep: 0", 8),
              "job.yaml:1: ep: 0 (expected a whole number, 1 to 100000)");
}

TEST(CheckLayout, ShardsWeightsOverDataAndContextRanksOfOneStage) {
    // tp 2, cp 2 on 16 GPUs: dp x cp = 8.
    for (std::int64_t const fsdp : {1, 2, 8}) {
        auto const layout = layout_of("{tp: 2, cp: 2, fsdp: " + std::to_string(fsdp) + "}");
        EXPECT_EQ(check_layout(layout, 16, llama_70b(), 256, 8192).fsdp, fsdp);
    }
    EXPECT_EQ(error_of("{tp: 2, cp: 2, fsdp: 16}", 16),
              "job.yaml:1: fsdp: fsdp 16 (expected a divisor of dp x cp = 8)");
    EXPECT_EQ(
        error_of("pp: 2\nfsdp: 4", 16),
        "job.yaml:2: fsdp: fsdp 4 with pp 2 (expected pp 1: each micro-batch would gather its "
        "stage's weights anew)");
    EXPECT_EQ(error_of("fsdp: 0", 16),
              "job.yaml:1: fsdp: 0 (expected a whole number, 1 to 100000)");
}

}  // namespace
}  // namespace nvl72
