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

TEST(HuggingFaceConfig, RefusesOtherArchitecturesByTheKeyThatSaysSo) {
    EXPECT_EQ(
        error_with("num_local_experts", 8),
        "x.json: num_local_experts: 8 experts (mixture-of-experts models are not supported yet)");
    EXPECT_EQ(error_with("kv_lora_rank", 512),
              "x.json: kv_lora_rank: 512 latent dimensions (latent-attention (MLA) models are not "
              "supported yet)");
    EXPECT_EQ(error_with("ssm_cfg", nlohmann::json::object()),
              "x.json: ssm_cfg: given (state-space (Mamba) models are not supported yet)");
    EXPECT_EQ(
        error_with("sliding_window", 2047),
        "x.json: sliding_window: 2047 tokens (sliding-window attention is not supported yet)");
    EXPECT_EQ(
        error_with("model_type", "mamba2"),
        "x.json: model_type: unknown 'mamba2' (expected llama, mistral, qwen2, phi3, gemma, gpt2)");
    EXPECT_EQ(error_with("num_local_experts", 1), "no error");
    EXPECT_EQ(error_with("num_experts", nullptr), "no error");
    EXPECT_EQ(error_with("sliding_window", 131072), "no error");
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

}  // namespace
}  // namespace nvl72
