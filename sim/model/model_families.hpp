#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace nvl72 {

/// How a family names what it has beyond a dense transformer; see key_names.
enum class Keys : std::uint8_t { usual, gpt2, deepseek, qwen };

/// What a `model_type` implies and its config.json leaves unsaid. Source of all rows: the
/// configuration and modelling files of Hugging Face transformers 4.57; grok-1 the ported
/// configurations of xai-org/grok-1.
struct ModelFamily {
    std::string_view model_type;
    Keys keys = Keys::usual;
    bool experts = false;
    bool latent = false;
    int ffn_matrices = 3;
    int norm_vectors = 1;
    bool rotary = true;
    bool tied = false;          ///< Hugging Face's default of tie_word_embeddings
    std::int64_t head_dim = 0;  ///< its default of head_dim; 0: hidden / heads
    bool head_norms = false;
    bool branch_norms = false;
    bool window_by_flag =
        false;             ///< windows need use_sliding_window and start at max_window_layers
    int global_every = 0;  ///< of windowed layers, where layer_types does not say it
};

// One more family: one row.
inline constexpr std::array model_families{
    ModelFamily{.model_type = "llama"},
    ModelFamily{.model_type = "mistral"},
    ModelFamily{.model_type = "mixtral", .experts = true},
    ModelFamily{.model_type = "qwen2", .window_by_flag = true},
    ModelFamily{.model_type = "qwen3", .head_dim = 128, .head_norms = true, .window_by_flag = true},
    ModelFamily{.model_type = "qwen3_moe",
                .keys = Keys::qwen,
                .experts = true,
                .head_norms = true,
                .window_by_flag = true},
    ModelFamily{
        .model_type = "deepseek_v2", .keys = Keys::deepseek, .experts = true, .latent = true},
    ModelFamily{
        .model_type = "deepseek_v3", .keys = Keys::deepseek, .experts = true, .latent = true},
    ModelFamily{.model_type = "kimi_k2", .keys = Keys::deepseek, .experts = true, .latent = true},
    ModelFamily{.model_type = "gpt_oss", .experts = true, .head_dim = 64, .global_every = 2},
    ModelFamily{.model_type = "grok-1", .experts = true, .tied = true, .branch_norms = true},
    ModelFamily{.model_type = "phi3"},
    ModelFamily{.model_type = "gemma", .tied = true, .head_dim = 256},
    ModelFamily{.model_type = "gemma2",
                .tied = true,
                .head_dim = 256,
                .branch_norms = true,
                .global_every = 2},
    ModelFamily{.model_type = "gemma3_text",
                .tied = true,
                .head_dim = 256,
                .head_norms = true,
                .branch_norms = true,
                .global_every = 6},
    ModelFamily{.model_type = "nemotron", .ffn_matrices = 2, .norm_vectors = 2},
    ModelFamily{.model_type = "gpt2",
                .keys = Keys::gpt2,
                .ffn_matrices = 2,
                .norm_vectors = 2,
                .rotary = false,
                .tied = true},
};

/// Our field and the key that holds it. A family's own rows hide the usual ones of that field; of
/// several, the first that the file has.
struct KeyName {
    Keys keys;
    std::string_view field, key;
};
inline constexpr std::array key_names{
    KeyName{Keys::usual, "layers", "num_hidden_layers"},
    KeyName{Keys::usual, "hidden", "hidden_size"},
    KeyName{Keys::usual, "heads", "num_attention_heads"},
    KeyName{Keys::usual, "kv_heads", "num_key_value_heads"},
    KeyName{Keys::usual, "head_dim", "head_dim"},
    KeyName{Keys::usual, "ffn", "intermediate_size"},
    KeyName{Keys::usual, "vocab", "vocab_size"},
    KeyName{Keys::usual, "max_sequence", "max_position_embeddings"},
    KeyName{Keys::usual, "tied_embeddings", "tie_word_embeddings"},
    KeyName{Keys::usual, "experts", "num_local_experts"},
    KeyName{Keys::usual, "experts", "num_experts"},
    KeyName{Keys::usual, "top_k", "num_experts_per_tok"},
    KeyName{Keys::usual, "top_k", "experts_per_token"},
    KeyName{Keys::usual, "expert_ffn", "intermediate_size"},
    KeyName{Keys::usual, "window", "sliding_window"},
    KeyName{Keys::usual, "global_every", "sliding_window_pattern"},
    KeyName{Keys::gpt2, "layers", "n_layer"},
    KeyName{Keys::gpt2, "hidden", "n_embd"},
    KeyName{Keys::gpt2, "heads", "n_head"},
    KeyName{Keys::gpt2, "ffn", "n_inner"},
    KeyName{Keys::gpt2, "max_sequence", "n_positions"},
    KeyName{Keys::qwen, "experts", "num_experts"},
    KeyName{Keys::qwen, "experts", "num_local_experts"},  // as transformers 5 writes it
    KeyName{Keys::qwen, "expert_ffn", "moe_intermediate_size"},
    KeyName{Keys::qwen, "dense_layers", "mlp_only_layers"},
    KeyName{Keys::qwen, "expert_layer_step", "decoder_sparse_step"},
    KeyName{Keys::deepseek, "head_dim", "qk_nope_head_dim"},
    KeyName{Keys::deepseek, "rope_dim", "qk_rope_head_dim"},
    KeyName{Keys::deepseek, "value_dim", "v_head_dim"},
    KeyName{Keys::deepseek, "q_rank", "q_lora_rank"},
    KeyName{Keys::deepseek, "kv_rank", "kv_lora_rank"},
    KeyName{Keys::deepseek, "experts", "n_routed_experts"},
    KeyName{Keys::deepseek, "expert_ffn", "moe_intermediate_size"},
    KeyName{Keys::deepseek, "shared_ffn", "n_shared_experts"},
    KeyName{Keys::deepseek, "dense_layers", "first_k_dense_replace"},
    KeyName{Keys::deepseek, "expert_layer_step", "moe_layer_freq"},
    KeyName{Keys::deepseek, "mtp_layers", "num_nextn_predict_layers"},
};

/// Keys of layers that keep a state in place of keys and values.
struct UnsupportedKey {
    std::string_view key;
    std::string_view means;
};
inline constexpr std::array unsupported{
    UnsupportedKey{"state_size", "state-space (Mamba)"},
    UnsupportedKey{"ssm_cfg", "state-space (Mamba)"},
    UnsupportedKey{"ssm_state_size", "state-space (Mamba)"},
    UnsupportedKey{"mamba_d_state", "state-space (Mamba)"},
    UnsupportedKey{"mamba_num_heads", "state-space (Mamba)"},
    UnsupportedKey{"hybrid_override_pattern", "state-space (Mamba)"},
    UnsupportedKey{"layers_block_type", "state-space (Mamba)"},
    UnsupportedKey{"linear_num_key_heads", "linear-attention"},
    UnsupportedKey{"linear_attn_config", "linear-attention"},
    UnsupportedKey{"attn_type_list", "linear-attention"},
};

/// Keys that only families with experts, or with a latent, may fill.
inline constexpr std::array expert_keys{"num_local_experts", "num_experts", "n_routed_experts",
                                        "moe_num_experts", "moe_intermediate_size"};
inline constexpr std::array latent_keys{"kv_lora_rank", "q_lora_rank"};

}  // namespace nvl72
