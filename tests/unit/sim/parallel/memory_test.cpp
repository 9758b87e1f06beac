#include "sim/parallel/memory.hpp"

#include "sim/base/error.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

using namespace literals;

Architecture llama_70b() {
    Architecture a;
    a.name = "llama-3.1-70b";
    a.layers = 80;
    a.hidden = 8192;
    a.heads = 64;
    a.kv_heads = 8;
    a.head_dim = 128;
    a.ffn = 28672;
    a.vocab = 128256;
    return a;
}

Parallel job(int tp, int pp, int vp, std::int64_t gpus) {
    Layout layout;
    layout.tp = tp;
    layout.pp = pp;
    layout.vp = vp;
    return check_layout(layout, gpus, llama_70b(), 256, 8192);
}

// Llama-3.1-70B, TP 8, PP 4, DP 2 on 64 GPUs; stage 0 holds 20 layers and the embedding.
//   a layer's matrices / 8   attention 8192 x (2 x 8192 + 2 x 1024) / 8 =  18,874,368
//                            ffn       3 x 8192 x 28672 / 8             =  88,080,384
//   20 layers                                                       = 2,139,095,040
//   norms, whole on each rank   20 x 2 x 8192                       =       327,680
//   embedding                   128256 / 8 x 8192                   =   131,334,144
//   together                                                          2,270,756,864
TEST(StageParameters, OfLlama70BAreTheHandSum) {
    auto const p = job(8, 4, 1, 64);
    EXPECT_EQ(stage_parameters(p, llama_70b(), 0).matrices, 2'139'095'040);
    EXPECT_EQ(stage_parameters(p, llama_70b(), 0).total(), 2'270'756'864);
    // The last stage has the final norm (8192) and the output layer instead.
    EXPECT_EQ(stage_parameters(p, llama_70b(), 3).total(), 2'270'756'864 + 8192);
    auto tied = llama_70b();
    tied.tied_embeddings = true;  // the last stage holds a copy; a lone stage does not
    EXPECT_EQ(stage_parameters(p, tied, 3).total(), 2'270'756'864 + 8192);
    auto const lone = job(8, 1, 1, 8);
    EXPECT_EQ(
        stage_parameters(lone, llama_70b(), 0).total() - stage_parameters(lone, tied, 0).total(),
        131'334'144);
}

// The same job. A layer keeps, per token:
//   two norms' inputs, qkv's and gate_up's inputs   4 x 2 x 8192       =  65,536
//   Q, K, V                                         2 x (8192 + 2048)  =  20,480
//   log-sums                                        4 x 64             =     256
//   projection's input                              2 x 8192           =  16,384
//   gate and up, down's input                       3 x 2 x 28672      = 172,032     sum 274,688
//   all of it cut by tp 8 (sequence parallel): 34,336 B x 8192 tokens  = 281,280,512 B
// Stage 0 of 4 keeps 4 micro-batches of 20 layers and of 8-byte token ids; the last stage 1.
TEST(MemoryOf, Llama70BIsTheHandSum) {
    auto const p = job(8, 4, 1, 64);
    auto const first = memory_of(p, llama_70b(), MemoryPolicy{}, 0);
    EXPECT_EQ(first.weights, Bytes{2 * 2'270'756'864});
    EXPECT_EQ(first.gradients, Bytes{4 * 2'270'756'864});
    EXPECT_EQ(first.optimizer, Bytes{12 * 2'270'756'864 / 2});  // sharded over dp 2
    EXPECT_EQ(first.activations, Bytes{4 * (20 * 281'280'512LL + 8 * 8192LL)});
    EXPECT_EQ(first.logits, 0_B);
    auto const last = memory_of(p, llama_70b(), MemoryPolicy{}, 3);
    EXPECT_EQ(last.activations, Bytes{20 * 281'280'512LL});
    // Softmax 4 B and logits 2 B for 128256 / 8 tokens; the final norm's and the output's input
    // 2 x 8192 / 8 each: 96,192 + 4,096 = 100,288 B x 8192 tokens.
    EXPECT_EQ(last.logits, Bytes{100'288 * 8192LL});
    EXPECT_EQ(worst_memory(p, llama_70b(), MemoryPolicy{}).stage, 0);
}

// ZeRO-1 shards over every rank that sums the same gradients: dp x cp. With cp 2 the job above has
// dp 1, and on twice the GPUs dp 2.
TEST(MemoryOf, OptimizerIsShardedOverContextParallelRanksToo) {
    Layout layout;
    layout.tp = 8;
    layout.pp = 4;
    layout.cp = 2;
    for (std::int64_t const gpus : {64, 128}) {
        auto const p = check_layout(layout, gpus, llama_70b(), 256, 8192);
        ASSERT_EQ(p.dp, gpus / 64);
        MemoryPolicy policy;
        EXPECT_EQ(memory_of(p, llama_70b(), policy, 0).optimizer,
                  Bytes{12 * 2'270'756'864 / (2 * p.dp)});
        policy.shard_gradients = true;
        EXPECT_EQ(memory_of(p, llama_70b(), policy, 0).gradients,
                  Bytes{4 * 2'270'756'864 / (2 * p.dp)});
    }
}

TEST(MemoryOf, PoliciesChangeOnlyWhatTheyOwn) {
    auto const p = job(8, 4, 1, 64);
    auto const base = memory_of(p, llama_70b(), MemoryPolicy{}, 0);

    MemoryPolicy policy;
    policy.full_recompute = true;  // 4 x 20 layer inputs of 2 x 8192 / 8 B, and one layer redone
    EXPECT_EQ(memory_of(p, llama_70b(), policy, 0).activations,
              Bytes{4 * (20 * 2048 * 8192 + 8 * 8192) + 281'280'512});

    policy = MemoryPolicy{};
    // FP8 saves a byte of qkv's, gate_up's and down's inputs; the projection's is attention's
    // output, which stays in BF16 and gains a 1-byte copy.
    policy.kept_input_bytes = 1;
    std::int64_t const saved = (8192 + 8192 + 28672 - 8192) / 8;  // bytes per token
    EXPECT_EQ(base.activations - memory_of(p, llama_70b(), policy, 0).activations,
              Bytes{4L * 20 * saved * 8192});

    policy = MemoryPolicy{};
    policy.shard_optimizer = false;
    policy.shard_gradients = true;
    auto const zero = memory_of(p, llama_70b(), policy, 0);
    EXPECT_EQ(zero.optimizer, 2 * base.optimizer);
    EXPECT_EQ(2 * zero.gradients, base.gradients);

    policy = MemoryPolicy{};
    policy.weight_bytes = 3;  // matrices only: the embedding and norms stay BF16
    EXPECT_EQ(memory_of(p, llama_70b(), policy, 0).weights - base.weights, Bytes{2'139'095'040});

    policy = MemoryPolicy{};
    policy.framework = 2_GiB;
    policy.communication_buffers = 1_GiB;
    policy.fragmentation = 0.05;
    auto const fuller = memory_of(p, llama_70b(), policy, 0);
    auto const expected = 0.05 * static_cast<double>((base.total() + 1_GiB).count);
    EXPECT_NEAR(static_cast<double>(fuller.fragmentation.count), expected, 1);
    EXPECT_EQ(fuller.total(), base.total() + 3_GiB + fuller.fragmentation);
}

// Half of what the 20 layers keep leaves; of a micro-batch two layers stream, at half each.
TEST(MemoryOf, OffloadedActivationsLeaveTwoLayersBehind) {
    auto const p = job(8, 4, 1, 64);
    MemoryPolicy policy;
    policy.offload = 0.5;
    auto const first = memory_of(p, llama_70b(), policy, 0);
    constexpr std::int64_t layer = 281'280'512;
    EXPECT_EQ(first.activations, Bytes{4 * (10 * layer + 8 * 8192) + layer});
    EXPECT_EQ(first.offloaded, Bytes{4 * 10 * layer});
    EXPECT_EQ(offloaded_bytes(p, llama_70b(), policy, p.chunks_of(0).at(0)), 10.0 * layer);
    EXPECT_THROW(check_fits(first, Bytes{INT64_MAX}, first.offloaded - 1_B, p), DoesNotFit);
    EXPECT_NO_THROW(check_fits(first, Bytes{INT64_MAX}, first.offloaded, p));
}

// Stage 0 of 4 holds its own chunk and the last stage's: embedding and head, 40 layers; optimizer
// state is spread over dp 2 x 2 copies. 5 micro-batches are in flight.
TEST(MemoryOf, DualPipeHoldsTwoCopies) {
    Layout layout;
    layout.tp = 8;
    layout.pp = 4;
    layout.schedule = "dualpipe";
    auto const p = check_layout(layout, 64, llama_70b(), 256, 8192);
    auto const first = memory_of(p, llama_70b(), MemoryPolicy{}, 0);
    constexpr std::int64_t parameters = 2 * 2'270'756'864LL + 8192;
    EXPECT_EQ(first.weights, Bytes{2 * parameters});
    EXPECT_EQ(first.optimizer, Bytes{12 * parameters / 4});
    EXPECT_GT(first.logits, 0_B) << "the last stage's chunk has the head";
    EXPECT_EQ(first.total(), memory_of(p, llama_70b(), MemoryPolicy{}, 3).total());
    EXPECT_DOUBLE_EQ(peak_in_flight(p, 0, {1.0, 1.0}), 5);
}

TEST(SavedBytes, WithoutSequenceParallelKeepWholeInputsOfColumnMatrices) {
    Layout layout;
    layout.tp = 8;
    layout.sequence_parallel = false;
    auto const p = check_layout(layout, 8, llama_70b(), 256, 8192);
    double sum = 0;
    for (auto const& op : layer_operators(llama_70b())) sum += saved_bytes(op, p);
    // 65,536 B whole (norms' and column inputs), the other 209,152 B over 8.
    EXPECT_DOUBLE_EQ(sum, (65536.0 + 209152.0 / 8) * 8192);
}

TEST(PeakInFlight, IsMegatronsWarmUpAndOne) {
    auto const plain = job(1, 4, 1, 4);
    for (int s = 0; s < 4; ++s) EXPECT_DOUBLE_EQ(peak_in_flight(plain, s, {1.0}), 4 - s);
    // vp 5, pp 4: 2 (pp - s - 1) + (vp - 1) pp + 1 = 23, 21, 19, 17 chunks.
    auto const interleaved = job(1, 4, 5, 4);
    for (int s = 0; s < 4; ++s) {
        EXPECT_DOUBLE_EQ(peak_in_flight(interleaved, s, std::vector<double>(5, 1.0)), 23 - 2 * s);
    }
}

TEST(PeakInFlight, IsNeverMoreThanTheMicroBatchesThereAre) {
    Layout layout;
    layout.pp = 4;
    auto const p = check_layout(layout, 4, llama_70b(), 2, 8192);
    EXPECT_DOUBLE_EQ(peak_in_flight(p, 0, {1.0}), 2);
}

TEST(PeakInFlight, OfUnequalChunksFollowsTheOrderOfThePasses) {
    // pp 2, vp 2, stage 0: warm-up 2 x 1 + 2 = 4 forwards, then one more; forwards visit chunks
    // 0 0 1 1 0 0 1 1. Chunk 0 weighs 10, chunk 1 weighs 1: after five forwards 10+10+1+1+10 = 32;
    // the backwards free chunk 1 first (1, 1), so the sixth forward peaks at 32 - 1 + 10 = 41.
    Layout layout;
    layout.pp = 2;
    layout.vp = 2;
    auto const p = check_layout(layout, 2, llama_70b(), 256, 8192);
    EXPECT_DOUBLE_EQ(peak_in_flight(p, 0, {10.0, 1.0}), 41);
}

TEST(CheckFits, RefusesWithTheTableOfOwners) {
    auto const p = job(8, 4, 1, 64);
    auto const memory = worst_memory(p, llama_70b(), MemoryPolicy{});
    // 4,541,513,728 + 9,083,027,456 + 13,624,541,184 + 22,502,703,104, and gate_up's input
    // gathered, 2 x 8192 x 8192 = 134,217,728: 49,886,003,200 B = 46.5 GiB
    EXPECT_EQ(memory.total(), Bytes{49'886'003'200});
    EXPECT_NO_THROW(check_fits(memory, Bytes{49'886'003'200}, 0_B, p));
    try {
        check_fits(memory, 40_GiB, 0_B, p);
        FAIL() << "46.5 GiB do not fit in 40";
    } catch (DoesNotFit const& error) {
        std::string const text = error.what();
        EXPECT_EQ(error.code(), ExitCode::does_not_fit);
        EXPECT_EQ(text.find("pipeline stage 0 of 4 needs 46.5 GiB per GPU, which holds 40.0 GiB\n"),
                  0U);
        EXPECT_NE(text.find("activations"), std::string::npos);
        EXPECT_NE(text.find("20.96"), std::string::npos);
    }
}

/// One dense layer, then three with 16 experts, of which a token passes 2 and a shared one.
Architecture mixture() {
    Architecture a;
    a.name = "mixture";
    a.layers = 4;
    a.hidden = 1024;
    a.heads = a.kv_heads = 8;
    a.head_dim = 128;
    a.ffn = 4096;
    a.vocab = 32000;
    a.experts = 16;
    a.top_k = 2;
    a.expert_ffn = 512;
    a.shared_ffn = 512;
    a.dense_layers = 1;
    return a;
}

/// tp 2, ep 4, expert_tp 2 on 16 GPUs of a stage: dp 8, and 2 ranks with the same experts.
Layout mixture_layout() {
    Layout layout;
    layout.tp = 2;
    layout.ep = 4;
    layout.expert_tp = 2;
    return layout;
}

Memory mixture_memory(Layout const& layout, MemoryPolicy const& policy) {
    auto const p = check_layout(layout, 16, mixture(), 256, 8192);
    return memory_of(p, mixture(), policy, 0);
}

// On one of tp 2 x ep 4 x expert_tp 2:
//   attention 4 x 1024^2 = 4,194,304; a dense network 3 x 1024 x 4096 = 12,582,912; the shared one,
//   as each expert, 3 x 1024 x 512 = 1,572,864
//   matrices  (16,777,216 + 3 x 5,767,168) / 2               = 17,039,360
//   experts   3 x 16 x 1,572,864 / (4 x 2)                   =  9,437,184
//   others    4 x 2 norms of 1024, the final one, 3 routers of 1024 x 16, 2 x 32000 / 2 x 1024
//             8192 + 1024 + 49,152 + 32,768,000              = 32,826,368    dense 49,865,728
constexpr std::int64_t mixture_matrices = 17'039'360;
constexpr std::int64_t mixture_experts = 9'437'184;
constexpr std::int64_t mixture_others = 32'826'368;
constexpr std::int64_t mixture_dense = mixture_matrices + mixture_others;

TEST(StageParameters, OfExpertsAreCutByEpAndExpertTp) {
    auto const p = check_layout(mixture_layout(), 16, mixture(), 256, 8192);
    auto const held = stage_parameters(p, mixture(), 0);
    EXPECT_EQ(held.matrices, mixture_matrices);
    EXPECT_EQ(held.experts, mixture_experts);
    EXPECT_EQ(held.others, mixture_others);
}

// The optimizer of experts is sharded over the 2 ranks that hold the same, the rest over dp 8.
TEST(MemoryOf, ShardsTheOptimizerOfExpertsOverThoseWithTheSame) {
    MemoryPolicy policy;
    policy.weight_bytes = 3;
    auto const memory = mixture_memory(mixture_layout(), policy);
    EXPECT_EQ(memory.weights, Bytes{3 * (mixture_matrices + mixture_experts) + 2 * mixture_others});
    EXPECT_EQ(memory.gradients, Bytes{4 * (mixture_dense + mixture_experts)});
    EXPECT_EQ(memory.optimizer, Bytes{12 * (mixture_dense / 8 + mixture_experts / 2)});
    policy.shard_gradients = true;
    EXPECT_EQ(mixture_memory(mixture_layout(), policy).gradients,
              Bytes{4 * (mixture_dense / 8 + mixture_experts / 2)});
}

// fsdp 4 cuts all three by 4, but experts by the 2 ranks that hold the same; two of 4 layers' BF16
// weights are whole.
TEST(MemoryOf, FullyShardedKeepsAShareOfAllThreeAndTwoLayersWhole) {
    auto layout = mixture_layout();
    layout.fsdp = 4;
    MemoryPolicy policy;
    policy.shard_optimizer = false;
    std::int64_t const share = mixture_dense / 4 + mixture_experts / 2;
    auto const memory = mixture_memory(layout, policy);
    EXPECT_EQ(memory.weights, Bytes{2 * share});
    EXPECT_EQ(memory.gathered, Bytes{2 * 2 * (17'039'360 + 9'437'184) / 4});
    EXPECT_EQ(memory.gradients, Bytes{4 * share});
    EXPECT_EQ(memory.optimizer, Bytes{12 * share});
    policy.shard_optimizer = true;  // over all 8, as before
    EXPECT_EQ(mixture_memory(layout, policy).optimizer,
              Bytes{12 * (mixture_dense / 8 + mixture_experts / 2)});
    EXPECT_EQ(memory.activations, mixture_memory(mixture_layout(), policy).activations);
}

// Bytes per token that a layer keeps, before tp 2 cuts them:
//   norm 2048, qkv 2048, attention 3 x 2048 + 4 x 8, projection 2048, norm 2048   = 14,368
//   dense: gate_up 2048, swiglu 2 x 8192, down 8192                               = 26,624
//   experts: router 2 x 4 x 16; 2 rows of gate_up 2048, swiglu 2048, down 1024;
//            shared gate_up 2048, swiglu 2048, down 1024      128 + 10,240 + 5120 = 15,488
// and 8 B of token ids whole.
constexpr std::int64_t tokens = 8192;
constexpr std::int64_t dense_layer_keeps = (14'368 + 26'624) / 2;
constexpr std::int64_t expert_layer_keeps = (14'368 + 15'488) / 2;

TEST(MemoryOf, KeepsTheRowsThatExpertsGet) {
    EXPECT_EQ(mixture_memory(mixture_layout(), MemoryPolicy{}).activations,
              Bytes{(dense_layer_keeps + 3 * expert_layer_keeps + 8) * tokens});
}

TEST(MemoryOf, RecomputedOperatorsKeepNothing) {
    MemoryPolicy policy;
    auto const all = mixture_memory(mixture_layout(), policy).activations;
    auto const saves = [&](std::vector<std::string> const& names) {
        policy.recompute = names;
        return all - mixture_memory(mixture_layout(), policy).activations;
    };
    // Dense 2 x 8192 B; a layer of experts 2 x 2048 of routed rows, 2048 of the shared network.
    std::int64_t const swiglu = (16'384 + 3 * (4096 + 2048)) / 2 * tokens;
    EXPECT_EQ(saves({"swiglu"}), Bytes{swiglu});
    std::int64_t const rows = 3 * 4096 / 2 * tokens;
    EXPECT_EQ(saves({"expert_gate_up"}), Bytes{rows});
    EXPECT_EQ(saves({"expert_gate_up", "swiglu"}), Bytes{swiglu + rows});
    EXPECT_EQ(saves({"dispatch"}), 0_B) << "it keeps nothing";
    // FP8 keeps a byte of a matrix's input, so that less is saved.
    policy.kept_input_bytes = 1;
    policy.recompute = {};
    auto const quantised = mixture_memory(mixture_layout(), policy).activations;
    policy.recompute = {"expert_gate_up"};
    EXPECT_EQ(quantised - mixture_memory(mixture_layout(), policy).activations, Bytes{rows / 2});
}

// A module is a layer of experts, a projection of 2 x 1024 to 1024, and norms of 1024: the layer's
// 2, of state and embedding, and of the output. It keeps two norms' inputs (2048 each), the
// projection's (4096), token ids (8, whole), its layer, and the head's: norm 2048, output 2048,
// softmax 4 x 32000.
TEST(MemoryOf, FurtherTokensAreTheHeadsStages) {
    auto layout = mixture_layout();
    layout.pp = 2;  // 8 GPUs a stage, all with different experts; dp 4
    auto further = mixture();
    further.mtp_layers = 1;
    auto const p = check_layout(layout, 16, mixture(), 256, 8192);
    auto const q = check_layout(layout, 16, further, 256, 8192);
    ASSERT_EQ(p.chunks, q.chunks);
    EXPECT_EQ(stage_parameters(p, mixture(), 0).total(), stage_parameters(q, further, 0).total());
    auto const plain = stage_parameters(p, mixture(), 1);
    auto const more = stage_parameters(q, further, 1);
    EXPECT_EQ(more.matrices - plain.matrices, (5'767'168 + 2 * 1024 * 1024) / 2);
    EXPECT_EQ(more.experts - plain.experts, 25'165'824 / 8);
    EXPECT_EQ(more.others - plain.others, 1024 * 16 + 5 * 1024);

    MemoryPolicy const policy;
    EXPECT_EQ(memory_of(p, mixture(), policy, 0).total(), memory_of(q, further, policy, 0).total());
    std::int64_t const module = (2 * 2048 + 4096 + 2 * 2048 + 4 * 32'000) / 2 + 8;
    EXPECT_EQ(memory_of(q, further, policy, 1).activations -
                  memory_of(p, mixture(), policy, 1).activations,
              Bytes{(module + expert_layer_keeps) * tokens});
}

// TorchTitan, Llama-3.1-70B on 256 GPUs, TP 8 x FSDP 32, 16 sequences of 8192 tokens: 131,072
// tokens, 16,384 on each rank where cut by tokens. In bytes of one GPU:
//   a logit of 128256 / 8, 18 each at the loss                    16,032 x 18 x 131,072
//   the head's input gathered, 2 x 8192, and the norm's, cut      (16,384 + 2,048) x 131,072
//   less a layer made again, which is then no more than 281,280,512 x 16 (see above)
//   gathered: a layer's matrices (106,954,752) and the root's parameters, both twice, 2 each
//   temporary: gate_up's input gathered (16,384) and its output (2 x 2 x 3,584)
TEST(MemoryOf, EagerLossAndGatheredStateOfFsdpAreTheHandSum) {
    Layout layout;
    layout.tp = 8;
    layout.fsdp = 32;
    layout.micro_batch = 16;
    auto const p = check_layout(layout, 256, llama_70b(), 512, 8192);
    MemoryPolicy policy;
    policy.weight_bytes = policy.other_weight_bytes = 4;
    policy.optimizer_bytes = 8;
    policy.full_recompute = true;
    policy.split_logit_bytes = 18;
    policy.keeps_gathered = policy.root_gathered = true;
    auto const memory = memory_of(p, llama_70b(), policy, 0);
    constexpr std::int64_t tokens = 131'072, layer_again = 281'280'512LL * 16;
    EXPECT_EQ(memory.activations, Bytes{80 * 2048 * tokens + 8 * tokens + layer_again});
    EXPECT_EQ(memory.logits, Bytes{(16'032 * 18 + 16'384 + 2048) * tokens - layer_again});
    EXPECT_EQ(memory.temporary, Bytes{(16'384 + 14'336) * tokens});
    constexpr std::int64_t root = 2 * 131'334'144LL + 161 * 8192;
    EXPECT_EQ(memory.gathered, Bytes{2 * 2 * (106'954'752LL + root)});
    EXPECT_EQ(memory.weights, Bytes{(80 * 106'954'752LL + root) * 4 / 32});
    EXPECT_EQ(memory.allocated(), memory.total() - memory.framework - memory.communication);

    policy.tp_in_pieces = true;  // neither is whole at once
    EXPECT_EQ(memory_of(p, llama_70b(), policy, 0).temporary, Bytes{(2048 + 14'336) * tokens});
    policy.kept_shares = {{"swiglu", 0.5}};
    policy.full_recompute = false;
    EXPECT_EQ(memory_of(p, llama_70b(), policy, 0).activations,
              Bytes{(80 * (34'336 - 7168) + 8) * tokens});
    EXPECT_EQ(memory_of(p, llama_70b(), policy, 0).temporary, Bytes{(2048 + 7168) * tokens});
}

}  // namespace
}  // namespace nvl72
