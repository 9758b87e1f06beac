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

TEST(HeadOperators, KeepFp32SoftmaxAndStayOutOfFp8) {
    auto const head = head_operators(llama_8b());
    EXPECT_EQ(named(head, "output").n, 128256);
    EXPECT_FALSE(named(head, "output").weights_fp8_allowed);
    // final norm's input 2 x 4096, the gemm's input 2 x 4096, softmax 4 x 128256
    EXPECT_DOUBLE_EQ(saved(head), 8192 + 8192 + 513024);
}

}  // namespace
}  // namespace nvl72
