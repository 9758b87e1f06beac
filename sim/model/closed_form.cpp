#include "sim/model/closed_form.hpp"

#include "sim/base/error.hpp"

namespace nvl72 {

namespace {

std::int64_t attention_parameters(Architecture const& a) {
    return a.hidden * (a.qkv_width() + a.query_width());  // QKV in, projection out
}
std::int64_t ffn_parameters(Architecture const& a) { return a.ffn_matrices * a.hidden * a.ffn; }

}  // namespace

std::int64_t layer_matrix_parameters(Architecture const& a) {
    return attention_parameters(a) + ffn_parameters(a);
}

std::int64_t layer_norm_parameters(Architecture const& a) { return a.hidden * 2 * a.norm_vectors; }

Parameters parameters_of(Architecture const& a) {
    Parameters p;
    p.embedding = a.vocab * a.hidden;
    p.attention = a.layers * attention_parameters(a);
    p.ffn = a.layers * ffn_parameters(a);
    p.norms = a.layers * layer_norm_parameters(a) + a.norm_vectors * a.hidden;
    p.output = a.tied_embeddings ? 0 : a.vocab * a.hidden;
    NVL72_EXPECT(p.attention > 0 && p.ffn > 0, "a model has parameters");
    return p;
}

Flops forward_matmul_flops_per_token(Architecture const& a) {
    std::int64_t const matrices = a.layers * layer_matrix_parameters(a) + a.vocab * a.hidden;
    return Flops{2.0 * static_cast<double>(matrices)};
}

Flops attention_flops_per_token(Architecture const& a, std::int64_t sequence, bool causal) {
    NVL72_EXPECT(sequence > 0, "a sequence holds tokens");
    double const full =
        4.0 * static_cast<double>(sequence) * static_cast<double>(a.query_width()) * a.layers;
    return Flops{causal ? full / 2 : full};
}

Flops training_flops_per_token(Architecture const& a, std::int64_t sequence, bool causal) {
    return 3.0 *
           (forward_matmul_flops_per_token(a) + attention_flops_per_token(a, sequence, causal));
}

Bytes kv_bytes_per_token(Architecture const& a, std::int64_t bytes_per_element) {
    return Bytes{a.kv_width() * 2 * a.layers * bytes_per_element};
}

}  // namespace nvl72
