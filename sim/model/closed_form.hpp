#pragma once

#include "sim/base/units.hpp"
#include "sim/model/architecture.hpp"

#include <cstdint>

namespace nvl72 {

/// Parameters of a whole model, by owner. Those of multi-token prediction stand apart, as model
/// cards count them.
struct Parameters {
    std::int64_t embedding = 0;  ///< vocab x hidden
    std::int64_t attention = 0;  ///< all layers: projections in, between and out
    std::int64_t ffn = 0;        ///< all layers: dense and shared networks, routers
    std::int64_t experts = 0;    ///< all layers: routed experts
    std::int64_t norms = 0;   ///< of layers, heads and latents where there are any, and the final
    std::int64_t output = 0;  ///< 0 when tied to the embedding
    std::int64_t mtp = 0;     ///< multi-token prediction modules; they share embedding and output

    [[nodiscard]] std::int64_t without_norms() const {
        return embedding + attention + ffn + experts + output;
    }
    [[nodiscard]] std::int64_t total() const { return without_norms() + norms; }
};
Parameters parameters_of(Architecture const& architecture);

/// Parameters that one token passes, norms aside, the input embedding included.
std::int64_t active_parameters(Architecture const& architecture);

/// Parameters of one layer.
struct LayerParameters {
    std::int64_t matrices = 0;  ///< of its linear layers, routed experts and router aside
    std::int64_t router = 0;
    std::int64_t experts = 0;  ///< all routed ones
    std::int64_t norms = 0;
};
LayerParameters layer_parameters(Architecture const& architecture, LayerKind kind);
/// Of one multi-token prediction module: a layer, and two hidden states brought to one.
LayerParameters mtp_parameters(Architecture const& architecture);

/// FLOPs of one token through every weight matrix that it passes, forward (the output layer
/// and routers included, the former once more for each multi-token prediction module; the embedding
/// look-up not): 2 x parameters of the matrices.
Flops forward_matmul_flops_per_token(Architecture const& architecture);

/// FLOPs of one token's scores and weighted values, forward, averaged over a sequence of
/// `sequence` tokens: 2 x keys seen x heads x (head_dim + value head) per layer; causal counts half
/// of the sequence, a window its width where that is less.
Flops attention_flops_per_token(Architecture const& architecture,
                                std::int64_t sequence,
                                bool causal);

/// FLOPs that published TFLOP/s per GPU count: forward and backward (3 x forward), recomputation
/// and routers excluded, causal attention counted half (Megatron-Bridge's performance summaries,
/// mixtures of experts within 0.1 %; MLPerf's 21,508 TFLOP per Llama-3.1-405B sample counts
/// attention whole).
Flops training_flops_per_token(Architecture const& architecture,
                               std::int64_t sequence,
                               bool causal = true);

/// Key-value cache of one token over all layers.
Bytes kv_bytes_per_token(Architecture const& architecture, std::int64_t bytes_per_element = 2);

}  // namespace nvl72
