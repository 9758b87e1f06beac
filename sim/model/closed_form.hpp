#pragma once

#include "sim/base/units.hpp"
#include "sim/model/architecture.hpp"

#include <cstdint>

namespace nvl72 {

/// Parameters of a whole model, by owner.
struct Parameters {
    std::int64_t embedding = 0;  ///< vocab x hidden
    std::int64_t attention = 0;  ///< all layers: QKV and output projections
    std::int64_t ffn = 0;        ///< all layers
    std::int64_t norms = 0;      ///< two per layer and the final one
    std::int64_t output = 0;     ///< 0 when tied to the embedding

    [[nodiscard]] std::int64_t without_norms() const {
        return embedding + attention + ffn + output;
    }
    [[nodiscard]] std::int64_t total() const { return without_norms() + norms; }
};
Parameters parameters_of(Architecture const& architecture);

/// Parameters of one layer's weight matrices, and of its two norms.
std::int64_t layer_matrix_parameters(Architecture const& architecture);
std::int64_t layer_norm_parameters(Architecture const& architecture);

/// FLOPs of one token through every weight matrix, forward (the output layer included, the
/// embedding look-up not): 2 x parameters of the matrices.
Flops forward_matmul_flops_per_token(Architecture const& architecture);

/// FLOPs of one token's scores and weighted values, forward, averaged over a sequence of
/// `sequence` tokens: 4 x sequence x heads x head_dim per layer; causal counts half.
Flops attention_flops_per_token(Architecture const& architecture,
                                std::int64_t sequence,
                                bool causal);

/// FLOPs that published TFLOP/s per GPU count: forward and backward (3 x forward), recomputation
/// excluded, causal attention counted half (Megatron-Bridge's performance summaries; MLPerf's
/// 21,508 TFLOP per Llama-3.1-405B sample counts it whole).
Flops training_flops_per_token(Architecture const& architecture,
                               std::int64_t sequence,
                               bool causal = true);

/// Key-value cache of one token over all layers.
Bytes kv_bytes_per_token(Architecture const& architecture, std::int64_t bytes_per_element = 2);

}  // namespace nvl72
