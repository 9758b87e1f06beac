#include "sim/model/hugging_face.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <array>
#include <fmt/format.h>

namespace nvl72 {

/// What a `model_type` implies and its config.json leaves unsaid.
struct ModelFamily {
    std::string_view model_type;
    int ffn_matrices;
    int norm_vectors;
    bool rotary;
    bool tied_by_default;  ///< Hugging Face's default of tie_word_embeddings
    bool gpt2_keys;        ///< n_layer, n_embd ... instead of num_hidden_layers, hidden_size ...
};

namespace {

// More of the dense family: one row. Mixtures of experts and latent attention come as fields of
// Architecture and rows of layer_operators; until then `unsupported` refuses them.
constexpr std::array families{
    ModelFamily{"llama", 3, 1, true, false, false},
    ModelFamily{"mistral", 3, 1, true, false, false},
    ModelFamily{"qwen2", 3, 1, true, false, false},
    ModelFamily{"phi3", 3, 1, true, false, false},
    ModelFamily{"gemma", 3, 1, true, true, false},
    ModelFamily{"gpt2", 2, 2, false, true, true},
};

/// Keys that say "not a dense transformer", what their value counts, and what they mean.
struct UnsupportedKey {
    std::string_view key;
    std::string_view counts;
    std::string_view means;
};
constexpr std::array unsupported{
    UnsupportedKey{"num_local_experts", "experts", "mixture-of-experts models"},
    UnsupportedKey{"num_experts", "experts", "mixture-of-experts models"},
    UnsupportedKey{"n_routed_experts", "experts", "mixture-of-experts models"},
    UnsupportedKey{"moe_num_experts", "experts", "mixture-of-experts models"},
    UnsupportedKey{"moe_intermediate_size", "per expert", "mixture-of-experts models"},
    UnsupportedKey{"kv_lora_rank", "latent dimensions", "latent-attention (MLA) models"},
    UnsupportedKey{"q_lora_rank", "latent dimensions", "latent-attention (MLA) models"},
    UnsupportedKey{"state_size", "state dimensions", "state-space (Mamba) models"},
    UnsupportedKey{"ssm_cfg", "", "state-space (Mamba) models"},
    UnsupportedKey{"ssm_state_size", "state dimensions", "state-space (Mamba) models"},
    UnsupportedKey{"mamba_d_state", "state dimensions", "state-space (Mamba) models"},
};

struct KeyNames {
    std::string_view field, usual, gpt2;
};
constexpr std::array key_names{
    KeyNames{"layers", "num_hidden_layers", "n_layer"},
    KeyNames{"hidden", "hidden_size", "n_embd"},
    KeyNames{"heads", "num_attention_heads", "n_head"},
    KeyNames{"kv_heads", "num_key_value_heads", "num_key_value_heads"},
    KeyNames{"head_dim", "head_dim", "head_dim"},
    KeyNames{"ffn", "intermediate_size", "n_inner"},
    KeyNames{"vocab", "vocab_size", "vocab_size"},
    KeyNames{"max_sequence", "max_position_embeddings", "n_positions"},
};

}  // namespace

HuggingFaceConfig::HuggingFaceConfig(std::string const& text, std::string file)
    : file_(std::move(file)) {
    try {
        root_ = nlohmann::json::parse(text);
    } catch (nlohmann::json::parse_error const& error) {
        std::string why = error.what();
        why = why.substr(why.find("] ") == std::string::npos ? 0 : why.find("] ") + 2);
        throw ConfigError(fmt::format("{}: not JSON: {}", file_, why));
    }
    if (!root_.is_object()) {
        throw ConfigError(fmt::format("{}: no keys (expected a Hugging Face config.json)", file_));
    }
    refuse_unsupported();
}

bool HuggingFaceConfig::has(std::string const& key) const {
    return root_.contains(key) && !root_[key].is_null();
}

std::int64_t HuggingFaceConfig::count(std::string const& key) const {
    constexpr char const* expected = "a whole number above 0";
    Place const place{file_, 0, key};
    if (!has(key)) fail(place, "missing", expected);
    auto const& value = root_[key];
    if (!value.is_number_integer() ||
        (!value.is_number_unsigned() && value.get<std::int64_t>() < 1) ||
        (value.is_number_unsigned() &&
         (value.get<std::uint64_t>() == 0 || value.get<std::uint64_t>() > INT64_MAX))) {
        fail(place, value.dump(), expected);
    }
    return value.get<std::int64_t>();
}

std::int64_t HuggingFaceConfig::count_or(std::string const& key, std::int64_t fallback) const {
    return has(key) ? count(key) : fallback;
}

bool HuggingFaceConfig::flag_or(std::string const& key, bool fallback) const {
    if (!has(key)) return fallback;
    if (!root_[key].is_boolean()) fail({file_, 0, key}, root_[key].dump(), "true or false");
    return root_[key].get<bool>();
}

void HuggingFaceConfig::refuse_unsupported() const {
    for (auto const& row : unsupported) {
        std::string const key(row.key);
        if (!has(key)) continue;
        auto const& value = root_[key];
        // Some dense models state "no experts" or "one expert".
        if (value.is_number() && value.get<double>() <= (row.counts == "experts" ? 1 : 0)) continue;
        throw ConfigError(fmt::format(
            "{}: {}: {} ({} are not supported yet)", file_, key,
            value.is_number() ? fmt::format("{} {}", value.dump(), row.counts) : "given",
            row.means));
    }
}

void HuggingFaceConfig::refuse_sliding_window() const {
    if (!has("sliding_window") || !flag_or("use_sliding_window", true)) return;
    std::int64_t const window = count("sliding_window");
    if (window >= count(key_of("max_sequence"))) return;
    throw ConfigError(
        fmt::format("{}: sliding_window: {} tokens (sliding-window attention is not supported yet)",
                    file_, window));
}

ModelFamily const& HuggingFaceConfig::family() const {
    Place const place{file_, 0, "model_type"};
    std::vector<std::string> known;
    for (auto const& row : families) known.emplace_back(row.model_type);
    if (!has("model_type")) fail(place, "missing", join(known));
    if (!root_["model_type"].is_string()) fail(place, root_["model_type"].dump(), join(known));
    auto const name = root_["model_type"].get<std::string>();
    for (auto const& row : families) {
        if (row.model_type == name) return row;
    }
    fail(place, fmt::format("unknown '{}'", name), join(known));
}

std::string HuggingFaceConfig::key_of(std::string const& field) const {
    for (auto const& row : key_names) {
        if (row.field == field) return std::string(family().gpt2_keys ? row.gpt2 : row.usual);
    }
    return "model_type";  // the rest follows from the family
}

Architecture HuggingFaceConfig::architecture() const {
    ModelFamily const& type = family();
    auto const field = [this](char const* name) { return count(key_of(name)); };

    Architecture a;
    std::int64_t const layers = field("layers");
    if (layers > INT32_MAX)
        fail({file_, 0, key_of("layers")}, std::to_string(layers), "at most 100000");
    a.layers = static_cast<int>(layers);
    a.hidden = field("hidden");
    a.heads = field("heads");
    a.kv_heads = count_or(key_of("kv_heads"), a.heads);
    if (!has("head_dim") && a.hidden % a.heads != 0) {
        fail({file_, 0, key_of("heads")}, fmt::format("{} heads", a.heads),
             fmt::format("a divisor of {} {}, or a head_dim", key_of("hidden"), a.hidden));
    }
    a.head_dim = count_or("head_dim", a.hidden / a.heads);
    a.ffn = type.gpt2_keys && !has("n_inner") ? 4 * a.hidden : field("ffn");
    a.vocab = field("vocab");
    a.max_sequence = field("max_sequence");
    a.ffn_matrices = type.ffn_matrices;
    a.norm_vectors = type.norm_vectors;
    a.rotary = type.rotary;
    a.tied_embeddings = flag_or("tie_word_embeddings", type.tied_by_default);
    refuse_sliding_window();
    return a;
}

}  // namespace nvl72
