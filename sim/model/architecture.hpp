#pragma once

#include "sim/config/fields.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace nvl72 {

/// A decoder-only transformer of the Llama family: attention (grouped or not), then a feed-forward
/// network (gated or plain), each behind a norm and a residual. Biases and learned positions are
/// not counted (GPT-3: 0.02 % of its parameters).
struct Architecture {
    std::string name;  ///< the file's name: "llama-3.1-8b"
    Place place;       ///< the file
    int layers = 0;
    std::int64_t hidden = 0;
    std::int64_t heads = 0;
    std::int64_t kv_heads = 0;  ///< = heads: multi-head; fewer: grouped-query attention
    std::int64_t head_dim = 0;  ///< heads * head_dim need not equal hidden (Gemma)
    std::int64_t ffn = 0;
    std::int64_t vocab = 0;
    std::int64_t max_sequence = 0;  ///< tokens
    int ffn_matrices = 3;           ///< 3 gated (SwiGLU, GeGLU), 2 plain
    int norm_vectors = 1;           ///< vectors of `hidden` per norm: 1 RMSNorm, 2 LayerNorm
    bool rotary = true;             ///< rotary positions; false: learned ones, as GPT-3
    bool tied_embeddings = false;   ///< the output layer reuses the input embedding

    /// Widths in elements per token.
    [[nodiscard]] std::int64_t query_width() const { return heads * head_dim; }
    [[nodiscard]] std::int64_t kv_width() const { return kv_heads * head_dim; }  ///< of K, and of V
    [[nodiscard]] std::int64_t qkv_width() const { return query_width() + 2 * kv_width(); }
    [[nodiscard]] bool gated() const { return ffn_matrices == 3; }
};

std::vector<Field<Architecture>> const& fields_of(Architecture const*);

/// Reads a Hugging Face config.json (unchanged) or our own .yaml by its field table. Architectures
/// we cannot predict (mixture of experts, latent attention, state space, sliding windows) are
/// refused by naming the key that says so.
Architecture load_architecture(std::string const& path);

/// The same from text; `file` ends in .json or .yaml and is named in errors.
Architecture parse_architecture(std::string const& text, std::string const& file);

}  // namespace nvl72
