#pragma once

#include "sim/config/fields.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace nvl72 {

/// What tells one layer of a model from another.
struct LayerKind {
    bool experts = false;   ///< routed experts in place of one feed-forward network
    bool windowed = false;  ///< attention sees the last `window` tokens only
    [[nodiscard]] std::size_t index() const { return (experts ? 2 : 0) + (windowed ? 1 : 0); }
    friend bool operator==(LayerKind const&, LayerKind const&) = default;
};
inline constexpr std::array layer_kinds{LayerKind{false, false}, LayerKind{false, true},
                                        LayerKind{true, false}, LayerKind{true, true}};
/// Layers by `LayerKind::index`.
using LayerCounts = std::array<int, layer_kinds.size()>;

/// A decoder-only transformer: attention (grouped, or over a latent), then a feed-forward network
/// (gated or plain) or a mixture of experts, each behind a norm and a residual. Biases and learned
/// positions are not counted (GPT-3: 0.02 % of its parameters).
struct Architecture {
    std::string name;  ///< the file's name: "llama-3.1-8b"
    Place place;       ///< the file
    int layers = 0;
    std::int64_t hidden = 0;
    std::int64_t heads = 0;
    std::int64_t kv_heads = 0;  ///< = heads: multi-head; fewer: grouped-query attention
    std::int64_t head_dim = 0;  ///< of queries and keys; heads * head_dim need not equal hidden
    std::int64_t ffn = 0;       ///< of layers without experts
    std::int64_t vocab = 0;
    std::int64_t max_sequence = 0;  ///< tokens
    int ffn_matrices = 3;           ///< 3 gated (SwiGLU, GeGLU), 2 plain
    int norm_vectors = 1;           ///< vectors of `hidden` per norm: 1 RMSNorm, 2 LayerNorm
    bool head_norms = false;        ///< a norm over each query and key head (Qwen3)
    bool branch_norms = false;      ///< a norm behind attention and FFN too (Gemma-2, Grok-1)
    bool rotary = true;             ///< rotary positions; false: learned ones, as GPT-3
    bool tied_embeddings = false;   ///< the output layer reuses the input embedding

    std::int64_t value_dim = 0;  ///< width of a value head; 0: head_dim
    std::int64_t q_rank = 0;     ///< latent of the queries (MLA); 0: projected at once
    std::int64_t kv_rank = 0;   ///< latent of keys and values (MLA), which the cache keeps; 0: none
    std::int64_t rope_dim = 0;  ///< with a latent: rotary part of head_dim, one key for all heads

    int experts = 0;              ///< routed experts of a layer; 0: a dense model
    int top_k = 0;                ///< routed experts of a token
    std::int64_t expert_ffn = 0;  ///< inner width of one
    std::int64_t shared_ffn = 0;  ///< inner width of what every token passes beside them
    int dense_layers = 0;         ///< first layers, which have no experts
    int expert_layer_step = 1;    ///< of the others, every so many-th has experts

    int mtp_layers = 0;       ///< multi-token prediction modules behind the last layer
    std::int64_t window = 0;  ///< tokens that a windowed layer's attention sees; 0: no such layer
    int global_every = 0;     ///< every so many-th layer is not windowed; 0: all are

    [[nodiscard]] bool latent() const { return kv_rank > 0; }
    [[nodiscard]] std::int64_t value_width() const { return value_dim > 0 ? value_dim : head_dim; }
    /// Widths in elements per token.
    [[nodiscard]] std::int64_t query_width() const { return heads * head_dim; }
    [[nodiscard]] std::int64_t output_width() const { return heads * value_width(); }
    [[nodiscard]] std::int64_t key_width() const { return kv_heads * head_dim; }
    [[nodiscard]] std::int64_t kv_width() const { return kv_heads * (head_dim + value_width()); }
    [[nodiscard]] std::int64_t qkv_width() const { return query_width() + kv_width(); }
    [[nodiscard]] bool gated() const { return ffn_matrices == 3; }
    /// Of layer `layer`, from 0.
    [[nodiscard]] LayerKind kind_of(int layer) const;
    /// Layers first .. first + count - 1 by kind.
    [[nodiscard]] LayerCounts count_layers(int first, int count) const;
    /// The kind of a multi-token prediction module: as the last layer.
    [[nodiscard]] LayerKind mtp_kind() const { return kind_of(layers - 1); }
};

std::vector<Field<Architecture>> const& fields_of(Architecture const*);

/// Reads a Hugging Face config.json (unchanged) or our own .yaml by its field table. What we
/// cannot predict (state space, linear attention) is refused by naming the key that says so.
Architecture load_architecture(std::string const& path);

/// The same from text; `file` ends in .json or .yaml and is named in errors.
Architecture parse_architecture(std::string const& text, std::string const& file);

}  // namespace nvl72
