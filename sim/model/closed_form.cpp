#include "sim/model/closed_form.hpp"

#include "sim/base/error.hpp"

#include <algorithm>

namespace nvl72 {

namespace {

std::int64_t attention_parameters(Architecture const& a) {
    std::int64_t const out = a.output_width() * a.hidden;
    if (!a.latent()) return a.hidden * a.qkv_width() + out;
    std::int64_t const queries =
        a.q_rank > 0 ? a.q_rank * (a.hidden + a.query_width()) : a.hidden * a.query_width();
    std::int64_t const up = a.heads * (a.head_dim - a.rope_dim + a.value_width());
    return queries + a.hidden * (a.kv_rank + a.rope_dim) + a.kv_rank * up + out;
}
std::int64_t network_parameters(Architecture const& a, std::int64_t width) {
    return a.ffn_matrices * a.hidden * width;
}

/// Matrix parameters that a token passes in a layer.
std::int64_t passed_parameters(Architecture const& a, LayerKind kind) {
    auto const layer = layer_parameters(a, kind);
    return layer.matrices + layer.router +
           (kind.experts ? a.top_k * network_parameters(a, a.expert_ffn) : 0);
}
std::int64_t mtp_projection(Architecture const& a) { return 2 * a.hidden * a.hidden; }

}  // namespace

LayerParameters layer_parameters(Architecture const& a, LayerKind kind) {
    LayerParameters p;
    p.matrices =
        attention_parameters(a) + network_parameters(a, kind.experts ? a.shared_ffn : a.ffn);
    if (kind.experts) {
        p.router = a.hidden * a.experts;
        p.experts = a.experts * network_parameters(a, a.expert_ffn);
    }
    p.norms = ((a.branch_norms ? 4 : 2) * a.hidden + (a.head_norms ? 2 * a.head_dim : 0) +
               a.q_rank + a.kv_rank) *
              a.norm_vectors;
    return p;
}

LayerParameters mtp_parameters(Architecture const& a) {
    auto p = layer_parameters(a, a.mtp_kind());
    p.matrices += mtp_projection(a);
    p.norms += 3 * a.hidden * a.norm_vectors;  // of the state, the embedding, and the output
    return p;
}

Parameters parameters_of(Architecture const& a) {
    Parameters p;
    p.embedding = a.vocab * a.hidden;
    for (int layer = 0; layer < a.layers; ++layer) {
        auto const one = layer_parameters(a, a.kind_of(layer));
        p.attention += attention_parameters(a);
        p.ffn += one.matrices - attention_parameters(a) + one.router;
        p.experts += one.experts;
        p.norms += one.norms;
    }
    p.norms += a.norm_vectors * a.hidden;
    p.output = a.tied_embeddings ? 0 : a.vocab * a.hidden;
    auto const mtp = mtp_parameters(a);
    p.mtp = a.mtp_layers * (mtp.matrices + mtp.router + mtp.experts + mtp.norms);
    NVL72_EXPECT(p.attention > 0 && p.ffn + p.experts > 0, "a model has parameters");
    return p;
}

std::int64_t active_parameters(Architecture const& a) {
    std::int64_t sum = a.vocab * a.hidden * (a.tied_embeddings ? 1 : 2);
    for (int layer = 0; layer < a.layers; ++layer) sum += passed_parameters(a, a.kind_of(layer));
    return sum;
}

Flops forward_matmul_flops_per_token(Architecture const& a) {
    std::int64_t matrices = (1 + a.mtp_layers) * a.vocab * a.hidden;
    for (int layer = 0; layer < a.layers; ++layer) {
        matrices += passed_parameters(a, a.kind_of(layer));
    }
    matrices += a.mtp_layers * (passed_parameters(a, a.mtp_kind()) + mtp_projection(a));
    return Flops{2.0 * static_cast<double>(matrices)};
}

Flops attention_flops_per_token(Architecture const& a, std::int64_t sequence, bool causal) {
    NVL72_EXPECT(sequence > 0, "a sequence holds tokens");
    auto const layer_flops = [&](LayerKind kind) {
        auto const all = static_cast<double>(sequence);
        // Keys of a query, on average: the first `window` queries of a causal mask see fewer.
        double const most = kind.windowed ? std::min(all, static_cast<double>(a.window)) : all;
        double const seen = causal ? most * (1 - most / all / 2) : most;
        return 2 * seen * static_cast<double>(a.query_width() + a.output_width());
    };
    double sum = a.mtp_layers * layer_flops(a.mtp_kind());
    for (int layer = 0; layer < a.layers; ++layer) sum += layer_flops(a.kind_of(layer));
    return Flops{sum};
}

Flops training_flops_per_token(Architecture const& a, std::int64_t sequence, bool causal) {
    auto const routers = [&](LayerKind kind) { return layer_parameters(a, kind).router; };
    std::int64_t uncounted = a.mtp_layers * routers(a.mtp_kind());
    for (int layer = 0; layer < a.layers; ++layer) uncounted += routers(a.kind_of(layer));
    return 3.0 * (forward_matmul_flops_per_token(a) - Flops{2.0 * static_cast<double>(uncounted)} +
                  attention_flops_per_token(a, sequence, causal));
}

Bytes kv_bytes_per_token(Architecture const& a, std::int64_t bytes_per_element) {
    std::int64_t const width = a.latent() ? a.kv_rank + a.rope_dim : a.kv_width();
    return Bytes{width * a.layers * bytes_per_element};
}

}  // namespace nvl72
