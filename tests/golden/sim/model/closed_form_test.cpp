#include "sim/model/closed_form.hpp"
#include "sim/model/operators.hpp"

#include <filesystem>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

std::filesystem::path models_folder() {
    return std::filesystem::path(NVL72_SOURCE_DIR) / "configs" / "models";
}

Architecture shipped(std::string const& name) {
    return load_architecture((models_folder() / (name + ".json")).string());
}

Architecture dense(int layers,
                   std::int64_t hidden,
                   std::int64_t heads,
                   std::int64_t kv_heads,
                   std::int64_t head_dim,
                   std::int64_t ffn,
                   std::int64_t vocab,
                   bool tied) {
    Architecture a;
    a.layers = layers;
    a.hidden = hidden;
    a.heads = heads;
    a.kv_heads = kv_heads;
    a.head_dim = head_dim;
    a.ffn = ffn;
    a.vocab = vocab;
    a.tied_embeddings = tied;
    return a;
}

/// Closed-form values of the workload table (workloads.yaml, `golden` of each dense model):
/// parameters without norms, forward matmul FLOP per token, BF16 cache bytes per token.
struct Golden {
    char const* source;
    Architecture architecture;
    std::int64_t parameters;
    std::int64_t forward_matmul_flops;
    std::int64_t kv_bytes;
};

std::vector<Golden> golden_rows() {
    return {
        {"llama31_405b", shipped("llama-3.1-405b"), 405849243648, 807495794688, 516096},
        {"llama33_70b", shipped("llama-3.1-70b"), 70552387584, 139003428864, 327680},
        {"llama31_8b", shipped("llama-3.1-8b"), 8029995008, 15009316864, 131072},
        {"phi4_14b", shipped("phi-4"), 14659092480, 28290580480, 204800},
        {"qwen25_math_7b", shipped("qwen2.5-math-7b"), 7615283200, 14140571648, 57344},
        {"phi3_mini_3p8b", dense(32, 3072, 32, 32, 96, 8192, 32064, false), 3820879872, 7444758528,
         393216},
        {"gemma_2b_paligemma", shipped("gemma-2b"), 2508455936, 5016911872, 18432},
        {"gemma_300m_action_expert", dense(18, 1024, 8, 1, 256, 4096, 0, true), 311427072,
         622854144, 18432},
    };
}

TEST(ClosedForm, GivesTheWorkloadTablesValuesExactly) {
    for (auto const& row : golden_rows()) {
        SCOPED_TRACE(row.source);
        EXPECT_EQ(parameters_of(row.architecture).without_norms(), row.parameters);
        EXPECT_EQ(kv_bytes_per_token(row.architecture), Bytes{row.kv_bytes});
        auto const expected = static_cast<double>(row.forward_matmul_flops);
        EXPECT_NEAR(forward_matmul_flops_per_token(row.architecture).count, expected,
                    1e-9 * expected);
    }
}

TEST(ClosedForm, GivesThePublishedParameterCounts) {
    // Exact, norms included: the sum of the tensors of the published checkpoints.
    EXPECT_EQ(parameters_of(shipped("llama-3.1-8b")).total(), 8'030'261'248);
    EXPECT_EQ(parameters_of(shipped("llama-3.1-70b")).total(), 70'553'706'496);
    EXPECT_EQ(parameters_of(shipped("llama-2-70b")).total(), 68'976'648'192);
    // Rounded as published: 405B; Megatron's 174.6B for the 175B model (arXiv:2104.04473 table 1).
    EXPECT_NEAR(static_cast<double>(parameters_of(shipped("llama-3.1-405b")).total()), 405.9e9,
                0.05e9);
    EXPECT_NEAR(static_cast<double>(parameters_of(shipped("gpt3-175b")).total()), 174.6e9, 0.05e9);
}

TEST(TrainingFlops, AreThoseThatPublishedThroughputCounts) {
    struct Row {
        char const* model;
        std::int64_t sequence;
        double
            gflops;  ///< per token, Megatron-Bridge performance summaries (TFLOP/s over tokens/s)
    };
    for (auto const& row : {Row{"llama-3.1-8b", 8192, 51.47}, Row{"llama-3.1-70b", 8192, 449.2},
                            Row{"llama-3.1-70b", 4096, 432}, Row{"llama-3.1-405b", 8192, 2524}}) {
        SCOPED_TRACE(row.model);
        double const ours = training_flops_per_token(shipped(row.model), row.sequence).count / 1e9;
        EXPECT_NEAR(ours, row.gflops, 0.003 * row.gflops);
    }
    // MLPerf counts attention whole: 21,508 TFLOP per 8,192-token sample of Llama-3.1-405B.
    double const sample =
        8192 * training_flops_per_token(shipped("llama-3.1-405b"), 8192, false).count;
    EXPECT_NEAR(sample / 1e12, 21508, 1);
}

TEST(Operators, HoldTheWeightsOfTheClosedForm) {
    for (auto const& row : golden_rows()) {
        SCOPED_TRACE(row.source);
        auto const weights = [](std::vector<Operator> const& operators) {
            std::int64_t sum = 0;
            for (auto const& op : operators) sum += op.n * op.k;
            return sum;
        };
        auto const& a = row.architecture;
        EXPECT_EQ(weights(layer_operators(a)), layer_matrix_parameters(a));
        std::int64_t const all =
            a.layers * weights(layer_operators(a)) + weights(head_operators(a));
        EXPECT_EQ(2.0 * static_cast<double>(all), forward_matmul_flops_per_token(a).count);
    }
}

TEST(ShippedModels, AllLoad) {
    int models = 0;
    for (auto const& entry : std::filesystem::directory_iterator(models_folder())) {
        SCOPED_TRACE(entry.path().string());
        EXPECT_GT(load_architecture(entry.path().string()).layers, 0);
        ++models;
    }
    EXPECT_GE(models, 8);
}

}  // namespace
}  // namespace nvl72
