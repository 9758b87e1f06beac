#include "sim/model/operators.hpp"

#include <gtest/gtest.h>
#include <numeric>

namespace nvl72 {
namespace {

/// GPT as the activation-memory paper takes it: multi-head, ffn = 4 hidden, two matrices.
Architecture gpt() {
    Architecture a;
    a.layers = 1;
    a.heads = a.kv_heads = 8;
    a.head_dim = 64;
    a.hidden = 512;
    a.ffn = 2048;
    a.vocab = 1024;
    a.ffn_matrices = 2;
    a.rotary = false;
    return a;
}

Architecture llama_8b() {
    Architecture a;
    a.layers = 32;
    a.hidden = 4096;
    a.heads = 32;
    a.kv_heads = 8;
    a.head_dim = 128;
    a.ffn = 14336;
    a.vocab = 128256;
    return a;
}

/// Mixtral-8x7B.
Architecture mixtral() {
    auto a = llama_8b();
    a.ffn = 0;
    a.vocab = 32000;
    a.experts = 8;
    a.top_k = 2;
    a.expert_ffn = 14336;
    return a;
}

Architecture deepseek_v3() {
    Architecture a;
    a.layers = 61;
    a.hidden = 7168;
    a.heads = a.kv_heads = 128;
    a.rope_dim = 64;
    a.head_dim = 128 + 64;
    a.value_dim = 128;
    a.q_rank = 1536;
    a.kv_rank = 512;
    a.ffn = 18432;
    a.vocab = 129280;
    a.experts = 256;
    a.top_k = 8;
    a.expert_ffn = a.shared_ffn = 2048;
    a.dense_layers = 3;
    a.mtp_layers = 1;
    return a;
}

constexpr LayerKind with_experts{.experts = true};
using Shape = std::pair<std::int64_t, std::int64_t>;

Shape shape(Operator const& op) { return {op.n, op.k}; }

double saved(std::vector<Operator> const& operators) {
    return std::accumulate(
        operators.begin(), operators.end(), 0.0,
        [](double sum, Operator const& op) { return sum + op.saved_bytes_per_token; });
}

Operator named(std::vector<Operator> const& operators, std::string_view name) {
    for (auto const& op : operators) {
        if (op.name == name) return op;
    }
    ADD_FAILURE() << "no operator " << name;
    return {};
}

// Korthikanti et al. 2022 (arXiv:2205.05198), equation 1, bytes per token of one layer in 16 bits:
//   attention  input 2h, Q and K 4h, V 2h, softmax 5as, projection's input 2h, dropout mask h
//   ffn        input 2h, GELU's input 8h, second matrix's input 8h, dropout mask h
//   norms      2 x 2h                                    sum: 34h + 5as
// Flash attention drops 5as and keeps 4 B (fp32 log-sum) per head; today's models have no dropout,
// which drops the two masks, 2h. Left: 32h + 4a.
TEST(LayerOperators, KeepThirtyFourBytesPerHiddenLessDropoutMasks) {
    auto const a = gpt();
    double const masks = 2.0 * 512;
    EXPECT_DOUBLE_EQ(saved(layer_operators(a)) + masks, 34.0 * 512 + 4 * 8);
}

// With tensor parallelism alone the paper keeps (10 + 24/t) h: what is not cut is norms 4h, the
// inputs of both column matrices 4h, and the masks 2h.
TEST(LayerOperators, TensorParallelismCutsTwentyFourOfThem) {
    double cut = 0;
    for (auto const& op : layer_operators(gpt())) {
        bool const gathered = op.kind == OperatorKind::gemm && op.split == Split::column;
        if (op.split == Split::row || (op.split == Split::column && !gathered))
            cut += op.saved_bytes_per_token;
    }
    EXPECT_DOUBLE_EQ(cut, 24.0 * 512 + 4 * 8);
}

// Llama-3.1-8B, h = 4096, 32 heads, 8 kv heads of 128, ffn 14336; bytes per token:
//   two norms and the qkv and gate_up inputs   4 x 2 x 4096              = 32,768
//   Q, K, V                                    2 x (4096 + 2 x 1024)     = 12,288
//   log-sums                                   4 x 32                    =    128
//   projection's input                         2 x 4096                  =  8,192
//   gate and up                                2 x 2 x 14336             = 57,344
//   down's input                               2 x 14336                 = 28,672
TEST(LayerOperators, OfLlama8BKeepWhatTheHandSumSays) {
    EXPECT_DOUBLE_EQ(saved(layer_operators(llama_8b())),
                     32768 + 12288 + 128 + 8192 + 57344 + 28672);
}

TEST(LayerOperators, OfLlama8BHaveTheShapesOfItsMatrices) {
    auto const operators = layer_operators(llama_8b());
    ASSERT_EQ(operators.size(), 11U);
    auto const shape = [&](std::string_view name) {
        auto const op = named(operators, name);
        EXPECT_TRUE(op.weights_fp8_allowed);
        return std::pair{op.n, op.k};
    };
    EXPECT_EQ(shape("qkv"), (std::pair<std::int64_t, std::int64_t>{6144, 4096}));
    EXPECT_EQ(shape("projection"), (std::pair<std::int64_t, std::int64_t>{4096, 4096}));
    EXPECT_EQ(shape("gate_up"), (std::pair<std::int64_t, std::int64_t>{28672, 4096}));
    EXPECT_EQ(shape("down"), (std::pair<std::int64_t, std::int64_t>{4096, 14336}));
    EXPECT_EQ(named(operators, "qkv").split, Split::column);
    EXPECT_EQ(named(operators, "down").split, Split::row);
    // SwiGLU: gate and up in, one product out.
    EXPECT_DOUBLE_EQ(named(operators, "swiglu").read_bytes_per_token, 2 * 28672);
    EXPECT_DOUBLE_EQ(named(operators, "swiglu").written_bytes_per_token, 2 * 14336);
    EXPECT_DOUBLE_EQ(named(operators, "rope").read_bytes_per_token, 2 * (4096 + 1024));
}

// Multi-head: forward Q K V O; backward Q K V O dO dQ dK dV: 8 over 4 (and the log-sums).
TEST(LayerOperators, AttentionsBackwardMovesTwiceItsForward) {
    EXPECT_NEAR(named(layer_operators(gpt()), "attention").backward_traffic_factor, 2, 0.01);
}

TEST(LayerOperators, PlainNetworksWithLearnedPositionsHaveNoGateAndNoRope) {
    auto const operators = layer_operators(gpt());
    ASSERT_EQ(operators.size(), 10U);
    EXPECT_EQ(named(operators, "up").n, 2048);
    EXPECT_DOUBLE_EQ(named(operators, "gelu").read_bytes_per_token, 2 * 2048);
    for (auto const& op : operators) EXPECT_NE(op.name, "rope");
}

// Mixtral-8x7B: 8 experts of 14336, two to a token; bytes per token:
//   two norms, the qkv input, the router's   4 x 2 x 4096          =  32,768
//   Q, K, V and log-sums, as Llama-3.1-8B    12,288 + 128          =  12,416
//   projection's input                       2 x 4096              =   8,192
//   router's logits and scores, fp32         2 x 4 x 8             =      64
//   rows in expert order                     2 x 2 x 4096          =  16,384
//   gate and up of both experts              2 x 2 x 2 x 14336     = 114,688
//   down's input of both                     2 x 2 x 14336         =  57,344
TEST(ExpertLayerOperators, OfMixtralKeepWhatTheHandSumSays) {
    EXPECT_DOUBLE_EQ(saved(layer_operators(mixtral(), with_experts)),
                     32768 + 12416 + 8192 + 64 + 16384 + 114688 + 57344);
}

TEST(ExpertLayerOperators, GiveEveryTokenTopKRowsOfOneExpertsShape) {
    auto const operators = layer_operators(mixtral(), with_experts);
    auto const up = named(operators, "expert_gate_up");
    EXPECT_EQ(up.kind, OperatorKind::experts);
    EXPECT_EQ(up.split, Split::routed);
    EXPECT_EQ(up.rows_per_token, 2);
    EXPECT_EQ(shape(up), (Shape{2 * 14336, 4096}));
    EXPECT_DOUBLE_EQ(up.read_bytes_per_token, 2 * 2 * 4096);
    EXPECT_DOUBLE_EQ(up.written_bytes_per_token, 2 * 2 * 2 * 14336);
    EXPECT_EQ(shape(named(operators, "expert_down")), (Shape{4096, 14336}));
    auto const router = named(operators, "router");
    EXPECT_EQ(router.kind, OperatorKind::gemm);
    EXPECT_EQ(shape(router), (Shape{8, 4096}));
    EXPECT_FALSE(router.weights_fp8_allowed);
    // One row in, two out, and the other way; the exchange itself is the network's.
    EXPECT_DOUBLE_EQ(named(operators, "permute").read_bytes_per_token, 2 * 4096);
    EXPECT_DOUBLE_EQ(named(operators, "permute").written_bytes_per_token, 2 * 2 * 4096);
    EXPECT_DOUBLE_EQ(named(operators, "unpermute").written_bytes_per_token, 2 * 4096);
    for (auto const* name : {"dispatch", "combine"}) {
        EXPECT_EQ(named(operators, name).n, 4096);
        EXPECT_DOUBLE_EQ(named(operators, name).read_bytes_per_token, 0);
    }
    for (auto const& op : operators) EXPECT_NE(op.name, "gate_up");
}

// DeepSeek-V3, h = 7168, 128 heads of 128 + 64 and 128; bytes per token:
//   two norms, the latents' input             3 x 2 x 7168               =  43,008
//   latents before and after their norms      2 x 2 x (1536 + 512)       =   8,192
//   Q, K, V and log-sums                      2 x 128 x 512 + 4 x 128    = 131,584
//   projection's input                        2 x 128 x 128              =  32,768
//   router's logits and scores, fp32          2 x 4 x 256                =   2,048
//   rows in expert order                      8 x 2 x 7168               = 114,688
//   gate, up and down's input of 8 experts    8 x 3 x 2 x 2048           =  98,304
//   the shared expert's input, gate, up and down's    14,336 + 12,288    =  26,624
TEST(ExpertLayerOperators, OfDeepSeekKeepWhatTheHandSumSays) {
    EXPECT_DOUBLE_EQ(saved(layer_operators(deepseek_v3(), with_experts)),
                     43008 + 8192 + 131584 + 32768 + 2048 + 114688 + 98304 + 26624);
}

TEST(LatentAttentionOperators, ProjectDownAndUpAgain) {
    auto const operators = layer_operators(deepseek_v3());
    EXPECT_EQ(shape(named(operators, "q_down")), (Shape{1536, 7168}));
    EXPECT_EQ(shape(named(operators, "q_up")), (Shape{128 * 192, 1536}));
    EXPECT_EQ(shape(named(operators, "kv_down")), (Shape{512 + 64, 7168}));
    EXPECT_EQ(shape(named(operators, "kv_up")), (Shape{128 * (128 + 128), 512}));
    EXPECT_EQ(shape(named(operators, "projection")), (Shape{7168, 128 * 128}));
    EXPECT_EQ(shape(named(operators, "gate_up")), (Shape{2 * 18432, 7168}));  // a leading layer
    // Only the rotary parts turn: 64 of each query head, and one key for all.
    EXPECT_DOUBLE_EQ(named(operators, "rope").read_bytes_per_token, 2 * 129 * 64);
    auto no_latent_queries = deepseek_v3();
    no_latent_queries.q_rank = 0;  // DeepSeek-V2-Lite
    EXPECT_EQ(shape(named(layer_operators(no_latent_queries), "q_up")), (Shape{128 * 192, 7168}));
}

TEST(WindowedLayerOperators, DifferInTheWindowOnly) {
    auto a = llama_8b();
    a.window = 128;
    auto const whole = layer_operators(a);
    auto const windowed = layer_operators(a, {.windowed = true});
    EXPECT_EQ(named(whole, "attention").window, 0);
    EXPECT_EQ(named(windowed, "attention").window, 128);
    EXPECT_DOUBLE_EQ(saved(windowed), saved(whole));
}

// Qwen3's norm of heads takes Q and K, 4096 + 1024 wide, in two kernels; Gemma-2's branches have
// two norms more, of the hidden width. Each keeps its input.
TEST(LayerOperators, KeepTheInputOfEveryFurtherNorm) {
    auto a = llama_8b();
    double const plain = saved(layer_operators(a));
    a.head_norms = true;
    EXPECT_DOUBLE_EQ(saved(layer_operators(a)), plain + 2 * (4096 + 1024));
    EXPECT_EQ(named(layer_operators(a), "head_norm").kernels, 2);
    EXPECT_EQ(named(layer_operators(a), "head_norm").split, Split::column);
    a.head_norms = false;
    a.branch_norms = true;
    EXPECT_DOUBLE_EQ(saved(layer_operators(a)), plain + 2 * 2 * 4096);
}

TEST(PredictionModuleOperators, AreALayerAndAHeadOverTwoStatesMadeOne) {
    auto const a = deepseek_v3();
    auto const module = mtp_operators(a);
    EXPECT_EQ(shape(named(module, "mtp_projection")), (Shape{7168, 2 * 7168}));
    EXPECT_EQ(named(module, "expert_down").rows_per_token, 8);  // the last layer has experts
    EXPECT_EQ(shape(named(module, "output")), (Shape{129280, 7168}));
    // Both norms' inputs and their outputs, 4 x 2 x 7168; the ids of the next tokens.
    EXPECT_DOUBLE_EQ(saved(module), 4 * 2 * 7168 + 8 + saved(layer_operators(a, with_experts)) +
                                        saved(head_operators(a)));
}

TEST(HeadOperators, KeepFp32SoftmaxAndStayOutOfFp8) {
    auto const head = head_operators(llama_8b());
    EXPECT_EQ(named(head, "output").n, 128256);
    EXPECT_FALSE(named(head, "output").weights_fp8_allowed);
    // final norm's input 2 x 4096, the gemm's input 2 x 4096, softmax 4 x 128256
    EXPECT_DOUBLE_EQ(saved(head), 8192 + 8192 + 513024);
}

}  // namespace
}  // namespace nvl72
