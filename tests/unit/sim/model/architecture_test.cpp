#include "sim/model/architecture.hpp"

#include "sim/base/error.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace nvl72 {
namespace {

nlohmann::json llama() {
    return {{"model_type", "llama"},    {"num_hidden_layers", 32},
            {"hidden_size", 4096},      {"num_attention_heads", 32},
            {"num_key_value_heads", 8}, {"intermediate_size", 14336},
            {"vocab_size", 128256},     {"max_position_embeddings", 131072},
            {"rope_theta", 500000.0},   {"torch_dtype", "bfloat16"}};
}

Architecture parsed(nlohmann::json const& config) {
    return parse_architecture(config.dump(), "dir/x.json");
}

std::string error_of(std::string const& text, std::string const& file) {
    try {
        parse_architecture(text, file);
    } catch (ConfigError const& error) {
        return error.what();
    }
    return "no error";
}

std::string error_with(std::string const& key, nlohmann::json const& value) {
    auto config = llama();
    config[key] = value;
    return error_of(config.dump(), "x.json");
}

TEST(HuggingFaceConfig, FillsInWhatItLeavesUnsaid) {
    auto config = llama();
    auto const a = parsed(config);
    EXPECT_EQ(a.name, "x");
    EXPECT_EQ(a.layers, 32);
    EXPECT_EQ(a.head_dim, 128);  // 4096 / 32
    EXPECT_EQ(a.ffn_matrices, 3);
    EXPECT_EQ(a.norm_vectors, 1);
    EXPECT_TRUE(a.rotary);
    EXPECT_FALSE(a.tied_embeddings);
    config.erase("num_key_value_heads");
    EXPECT_EQ(parsed(config).kv_heads, 32);
    config["head_dim"] = 256;
    EXPECT_EQ(parsed(config).qkv_width(), 3 * 32 * 256);
}

TEST(HuggingFaceConfig, OfGpt2UsesItsOwnKeys) {
    auto const a = parsed({{"model_type", "gpt2"},
                           {"n_layer", 96},
                           {"n_embd", 12288},
                           {"n_head", 96},
                           {"n_inner", nullptr},
                           {"n_positions", 2048},
                           {"vocab_size", 51200}});
    EXPECT_EQ(a.ffn, 4 * 12288);
    EXPECT_EQ(a.ffn_matrices, 2);
    EXPECT_EQ(a.norm_vectors, 2);
    EXPECT_FALSE(a.rotary);
    EXPECT_TRUE(a.tied_embeddings);
}

TEST(HuggingFaceConfig, OfMixtralHasExpertsInEveryLayer) {
    auto config = llama();
    config["model_type"] = "mixtral";
    config["num_local_experts"] = 8;
    config["num_experts_per_tok"] = 2;
    config["sliding_window"] = nullptr;
    auto const a = parsed(config);
    EXPECT_EQ(a.experts, 8);
    EXPECT_EQ(a.top_k, 2);
    EXPECT_EQ(a.expert_ffn, 14336);
    EXPECT_EQ(a.ffn, 0);
    EXPECT_EQ(a.count_layers(0, 32), (LayerCounts{0, 0, 32, 0}));
}

nlohmann::json deepseek() {
    return {{"model_type", "deepseek_v3"},
            {"num_hidden_layers", 61},
            {"hidden_size", 7168},
            {"num_attention_heads", 128},
            {"num_key_value_heads", 128},
            {"qk_nope_head_dim", 128},
            {"qk_rope_head_dim", 64},
            {"v_head_dim", 128},
            {"q_lora_rank", 1536},
            {"kv_lora_rank", 512},
            {"intermediate_size", 18432},
            {"n_routed_experts", 256},
            {"num_experts_per_tok", 8},
            {"moe_intermediate_size", 2048},
            {"n_shared_experts", 1},
            {"first_k_dense_replace", 3},
            {"moe_layer_freq", 1},
            {"num_nextn_predict_layers", 1},
            {"vocab_size", 129280},
            {"max_position_embeddings", 163840},
            {"quantization_config", {{"quant_method", "fp8"}}}};
}

TEST(HuggingFaceConfig, OfDeepSeekHasALatentSharedExpertsAndDenseLayers) {
    auto config = deepseek();
    auto a = parsed(config);
    EXPECT_EQ(a.kv_heads, 128);
    EXPECT_EQ(a.head_dim, 128 + 64);
    EXPECT_EQ(a.value_width(), 128);
    EXPECT_EQ(a.rope_dim, 64);
    EXPECT_EQ(a.q_rank, 1536);
    EXPECT_EQ(a.kv_rank, 512);
    EXPECT_EQ(a.ffn, 18432);
    EXPECT_EQ(a.shared_ffn, 2048);
    EXPECT_EQ(a.mtp_layers, 1);
    EXPECT_EQ(a.count_layers(0, 61), (LayerCounts{3, 0, 58, 0}));
    config["model_type"] = "deepseek_v2";
    config["q_lora_rank"] = nullptr;  // as DeepSeek-V2-Lite
    config["n_shared_experts"] = 2;
    config["num_nextn_predict_layers"] = 0;
    a = parsed(config);
    EXPECT_EQ(a.q_rank, 0);
    EXPECT_EQ(a.shared_ffn, 2 * 2048);
    EXPECT_EQ(a.mtp_layers, 0);
}

TEST(HuggingFaceConfig, OfDeepSeekNamesTheKeyOfAWrongValue) {
    auto const error = [](std::string const& key, nlohmann::json const& value) {
        auto config = deepseek();
        config[key] = value;
        return error_of(config.dump(), "x.json");
    };
    EXPECT_EQ(error("kv_lora_rank", nullptr),
              "x.json: kv_lora_rank: missing (expected a whole number above 0)");
    EXPECT_EQ(error("moe_intermediate_size", nullptr),
              "x.json: moe_intermediate_size: missing (expected a whole number above 0)");
    EXPECT_EQ(error("num_nextn_predict_layers", -1),
              "x.json: num_nextn_predict_layers: -1 (expected a whole number from 0)");
    EXPECT_EQ(error("num_experts_per_tok", 257),
              "x.json: num_experts_per_tok: 257 (expected a whole number, 1 to 256)");
    EXPECT_EQ(error("n_shared_experts", 300),
              "x.json: n_shared_experts: 300 (expected at most the 256 routed experts)");
    EXPECT_EQ(error("n_routed_experts", 1'000'000),
              "x.json: n_routed_experts: 1000000 (expected at most 100000)");
    // From layer 0 DeepSeek counts 4, 6 ...; from the first behind the dense ones we count 4, 6 ...
    EXPECT_EQ(error("moe_layer_freq", 2), "no error");
    EXPECT_EQ(
        error("moe_layer_freq", 3),
        "x.json: first_k_dense_replace: layer 3 has experts (expected the first layers dense, "
        "then every 3-th with experts)");
}

TEST(HuggingFaceConfig, OfQwen3HasHeadNormsAndItsOwnHeadWidth) {
    auto config = llama();
    config["model_type"] = "qwen3";
    config["hidden_size"] = 2560;
    EXPECT_EQ(parsed(config).head_dim, 128);  // unsaid: not 2560 / 32
    EXPECT_TRUE(parsed(config).head_norms);
    config["model_type"] = "qwen3_moe";
    config["head_dim"] = 128;
    config["num_experts"] = 128;
    config["num_experts_per_tok"] = 8;
    config["moe_intermediate_size"] = 768;
    EXPECT_EQ(parsed(config).expert_ffn, 768);
    EXPECT_EQ(parsed(config).count_layers(0, 32), (LayerCounts{0, 0, 32, 0}));
    config["mlp_only_layers"] = {0, 1};
    EXPECT_EQ(parsed(config).dense_layers, 2);
    EXPECT_EQ(parsed(config).ffn, 14336);
    config["decoder_sparse_step"] = 2;
    EXPECT_EQ(parsed(config).count_layers(0, 32), (LayerCounts{17, 0, 15, 0}));
    config["mlp_only_layers"] = {5};
    EXPECT_EQ(error_of(config.dump(), "x.json"),
              "x.json: mlp_only_layers: layer 5 without experts (expected the first layers dense, "
              "then every 2-th with experts)");
    config["mlp_only_layers"] = {32};
    EXPECT_EQ(error_of(config.dump(), "x.json"),
              "x.json: mlp_only_layers: 32 (expected a list of layers, from 0)");
    config.erase("num_experts");
    config["num_local_experts"] = 64;  // as transformers 5 writes it
    config["mlp_only_layers"] = nlohmann::json::array();
    EXPECT_EQ(parsed(config).experts, 64);
}

TEST(HuggingFaceConfig, OfGrok1TiesEmbeddingsAndNormsItsBranches) {
    auto config = llama();
    config["model_type"] = "grok-1";
    config["num_experts"] = 8;  // num_local_experts in another port
    config["num_experts_per_tok"] = 2;
    auto const a = parsed(config);
    EXPECT_EQ(a.experts, 8);
    EXPECT_EQ(a.expert_ffn, 14336);
    EXPECT_TRUE(a.tied_embeddings);
    EXPECT_TRUE(a.branch_norms);
}

TEST(HuggingFaceConfig, WindowsEveryLayerOfMistral) {
    auto config = llama();
    config["model_type"] = "mistral";
    config["sliding_window"] = 4096;
    auto a = parsed(config);
    EXPECT_EQ(a.window, 4096);
    EXPECT_EQ(a.count_layers(0, 32), (LayerCounts{0, 32, 0, 0}));
    for (nlohmann::json const& none : {nlohmann::json(nullptr), nlohmann::json(131072)}) {
        config["sliding_window"] = none;  // no shorter than the longest sequence
        EXPECT_EQ(parsed(config).window, 0);
        EXPECT_EQ(parsed(config).count_layers(0, 32), (LayerCounts{32, 0, 0, 0}));
    }
}

TEST(HuggingFaceConfig, WindowsEverySecondLayerOfGptOssAndFiveOfSixOfGemma3) {
    auto config = llama();
    config["model_type"] = "gpt_oss";
    config["num_local_experts"] = 128;
    config["num_experts_per_tok"] = 4;
    config["sliding_window"] = 128;
    config["num_hidden_layers"] = 4;
    EXPECT_EQ(parsed(config).head_dim, 64);
    EXPECT_EQ(parsed(config).global_every, 2);
    config["layer_types"] = {"sliding_attention", "full_attention", "sliding_attention",
                             "full_attention"};
    auto const a = parsed(config);
    EXPECT_EQ(a.window, 128);
    EXPECT_FALSE(a.kind_of(1).windowed);
    EXPECT_EQ(a.count_layers(0, 4), (LayerCounts{0, 0, 2, 2}));

    config["layer_types"][1] = "sliding_attention";
    EXPECT_EQ(parsed(config).global_every, 4);
    config["layer_types"][0] = "full_attention";
    EXPECT_EQ(error_of(config.dump(), "x.json"),
              "x.json: layer_types: layer 1 breaks the pattern (expected every layer windowed, or "
              "every so many-th not)");
    config["layer_types"][2] = "linear_attention";
    EXPECT_EQ(error_of(config.dump(), "x.json"),
              "x.json: layer_types: layer 2 \"linear_attention\" (expected full_attention or "
              "sliding_attention; other layers are not supported)");
    config["layer_types"] = {"full_attention"};
    EXPECT_EQ(error_of(config.dump(), "x.json"),
              "x.json: layer_types: 1 layers (expected a list of the 4 layers)");

    auto gemma = llama();
    gemma["model_type"] = "gemma3_text";
    gemma["sliding_window"] = 1024;
    EXPECT_EQ(parsed(gemma).global_every, 6);
    gemma["sliding_window_pattern"] = 4;
    EXPECT_EQ(parsed(gemma).count_layers(0, 32), (LayerCounts{8, 24, 0, 0}));
}

TEST(HuggingFaceConfig, WindowsLayersOfQwenOnlyWhereItsFlagSaysSo) {
    auto config = llama();
    config["model_type"] = "qwen2";
    config["sliding_window"] = 4096;
    config["max_window_layers"] = 0;
    EXPECT_EQ(parsed(config).window, 0);
    config["use_sliding_window"] = true;
    EXPECT_EQ(parsed(config).count_layers(0, 32), (LayerCounts{0, 32, 0, 0}));
    config["max_window_layers"] = 32;
    EXPECT_EQ(parsed(config).window, 0);
    config["max_window_layers"] = 28;  // layers 0 to 27 see all
    EXPECT_EQ(
        error_of(config.dump(), "x.json"),
        "x.json: max_window_layers: layer 28 breaks the pattern (expected every layer windowed, "
        "or every so many-th not)");
}

TEST(HuggingFaceConfig, RefusesOtherArchitecturesByTheKeyThatSaysSo) {
    EXPECT_EQ(
        error_with("num_local_experts", 8),
        "x.json: num_local_experts: 8 (expected none in model_type llama; mixtral, qwen3_moe, "
        "deepseek_v2, deepseek_v3, kimi_k2, gpt_oss, grok-1 have it)");
    EXPECT_EQ(error_with("kv_lora_rank", 512),
              "x.json: kv_lora_rank: 512 (expected none in model_type llama; deepseek_v2, "
              "deepseek_v3, kimi_k2 have it)");
    EXPECT_EQ(error_with("ssm_cfg", nlohmann::json::object()),
              "x.json: ssm_cfg: given (state-space (Mamba) layers are not supported)");
    EXPECT_EQ(
        error_with("hybrid_override_pattern", "M-M*-"),
        "x.json: hybrid_override_pattern: given (state-space (Mamba) layers are not supported)");
    EXPECT_EQ(error_with("linear_num_key_heads", 16),
              "x.json: linear_num_key_heads: 16 (linear-attention layers are not supported)");
    EXPECT_EQ(error_with("model_type", "t5"),
              "x.json: model_type: unknown 't5' (expected llama, mistral, mixtral, qwen2, qwen3, "
              "qwen3_moe, deepseek_v2, deepseek_v3, kimi_k2, gpt_oss, grok-1, phi3, gemma, gemma2, "
              "gemma3_text, nemotron, gpt2)");
    EXPECT_EQ(error_with("num_local_experts", 1), "no error");
    EXPECT_EQ(error_with("num_experts", nullptr), "no error");
}

TEST(HuggingFaceConfig, NamesTheKeyOfEveryWrongValue) {
    EXPECT_EQ(error_with("num_hidden_layers", 0),
              "x.json: num_hidden_layers: 0 (expected a whole number above 0)");
    EXPECT_EQ(error_with("hidden_size", -4096),
              "x.json: hidden_size: -4096 (expected a whole number above 0)");
    EXPECT_EQ(error_with("vocab_size", "128256"),
              "x.json: vocab_size: \"128256\" (expected a whole number above 0)");
    EXPECT_EQ(error_with("vocab_size", 1.5),
              "x.json: vocab_size: 1.5 (expected a whole number above 0)");
    EXPECT_EQ(error_with("intermediate_size", nullptr),
              "x.json: intermediate_size: missing (expected a whole number above 0)");
    EXPECT_EQ(error_with("tie_word_embeddings", 1),
              "x.json: tie_word_embeddings: 1 (expected true or false)");
    EXPECT_EQ(
        error_with("num_key_value_heads", 5),
        "x.json: num_key_value_heads: 5 key-value heads (expected a divisor of the 32 heads)");
    EXPECT_EQ(error_with("num_attention_heads", 30),
              "x.json: num_attention_heads: 30 heads (expected a divisor of hidden_size 4096, or a "
              "head_dim)");
    EXPECT_EQ(error_with("vocab_size", std::uint64_t{1} << 63),
              "x.json: vocab_size: 9223372036854775808 (expected a whole number above 0)");
    EXPECT_EQ(error_with("vocab_size", std::int64_t{1} << 62),
              "x.json: vocab_size: 4611686018427387904 (expected a whole number, 1 to 100000000)");
    EXPECT_NE(error_of("{\"a\": ", "x.json").find("x.json: not JSON: "), std::string::npos);
    EXPECT_EQ(error_of("[1]", "x.json"), "x.json: no keys (expected a Hugging Face config.json)");
}

TEST(OwnModelFile, ReadsByItsFieldTableAndNamesTheLine) {
    std::string const text =
        "layers: 2\nhidden: 64\nheads: 4\nkv_heads: 2\nhead_dim: 16\nffn: 128\nvocab: 100\n"
        "max_sequence: 512\n";
    auto const a = parse_architecture(text, "tiny.yaml");
    EXPECT_EQ(a.name, "tiny");
    EXPECT_EQ(a.qkv_width(), 4 * 16 + 2 * 2 * 16);
    EXPECT_EQ(error_of(text + "ffn_matrices: 4\n", "tiny.yaml"),
              "tiny.yaml:9: ffn_matrices: 4 (expected 3 gated, or 2 plain)");
    EXPECT_NE(error_of(text + "hiden: 4\n", "tiny.yaml").find("did you mean hidden?"),
              std::string::npos);
    EXPECT_NE(error_of("layers: 2\n", "tiny.yaml").find("tiny.yaml: hidden: missing"),
              std::string::npos);
    EXPECT_EQ(error_of(text, "tiny.toml"),
              "tiny.toml: not a model file (expected a Hugging Face config.json or a .yaml)");
    EXPECT_THROW(load_architecture("no-such.json"), ConfigError);
}

TEST(OwnModelFile, HasExpertsWhereItSaysSoAndAFeedForwardWidthElsewhere) {
    std::string const text =
        "layers: 4\nhidden: 64\nheads: 4\nkv_heads: 2\nhead_dim: 16\nvocab: 100\n"
        "max_sequence: 512\n";
    EXPECT_EQ(error_of(text, "tiny.yaml"),
              "tiny.yaml: ffn: 0 (expected a whole number, 1 to 100000000)");
    auto const experts = text + "experts: 8\nexpert_ffn: 32\n";
    EXPECT_EQ(error_of(experts, "tiny.yaml"),
              "tiny.yaml: top_k: 0 (expected a whole number, 1 to 8)");
    EXPECT_EQ(error_of(experts + "top_k: 2\n", "tiny.yaml"), "no error");
    EXPECT_EQ(error_of(experts + "top_k: 2\ndense_layers: 1\n", "tiny.yaml"),
              "tiny.yaml: ffn: 0 (expected a whole number, 1 to 100000000)");
}

TEST(OwnModelFile, SaysNothingThatWouldDoNothing) {
    std::string const text =
        "layers: 4\nhidden: 64\nheads: 4\nkv_heads: 2\nhead_dim: 16\nvocab: 100\nffn: 128\n"
        "max_sequence: 512\n";
    EXPECT_EQ(error_of(text + "q_rank: 32\n", "t.yaml"),
              "t.yaml:9: q_rank: 32 (expected nothing without kv_rank)");
    EXPECT_EQ(error_of(text + "shared_ffn: 32\n", "t.yaml"),
              "t.yaml:9: shared_ffn: 32 (expected nothing without experts)");
    EXPECT_EQ(error_of(text + "global_every: 2\n", "t.yaml"),
              "t.yaml:9: global_every: 2 (expected nothing without window)");
    EXPECT_EQ(error_of(text + "kv_rank: 32\n", "t.yaml"),
              "t.yaml:4: kv_heads: 2 (expected the 4 heads, as kv_rank says latent attention)");
    EXPECT_EQ(error_of(text + "mtp_layers: 100000\n", "t.yaml"), "no error");
}

TEST(OwnModelFile, HoldsAtMostAThousandTrillionParameters) {
    // 2 x (1e8)^2 of one prediction module's projection is 2e16; 1e5 experts of 2 x 64 x 1e8 more.
    std::string const text =
        "layers: 4\nheads: 4\nkv_heads: 2\nhead_dim: 16\nvocab: 100\nmax_sequence: 512\n"
        "ffn_matrices: 2\nffn: 128\n";
    EXPECT_EQ(error_of(text + "hidden: 100000000\n", "t.yaml"), "no error");
    EXPECT_EQ(error_of(text + "hidden: 100000000\nmtp_layers: 1\n", "t.yaml"),
              "t.yaml:9: hidden: 2.0e+16 parameters in all (expected at most 1e15)");
    EXPECT_NE(
        error_of(text + "hidden: 64\nexperts: 100000\ntop_k: 1\nexpert_ffn: 100000000\n", "t.yaml")
            .find("parameters in all (expected at most 1e15)"),
        std::string::npos);
}

}  // namespace
}  // namespace nvl72
