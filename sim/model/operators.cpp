#include "sim/model/operators.hpp"

namespace nvl72 {

namespace {

constexpr double bf16 = 2;  // bytes
constexpr double fp32 = 4;

double bytes(std::int64_t elements, double each = bf16) {
    return each * static_cast<double>(elements);
}

/// Reads x, writes y; backward reads x and dy, writes dx: 3 passes over 2. Keeps x.
Operator norm(std::string_view name, Architecture const& a) {
    return {.name = name,
            .split = Split::sequence,
            .read_bytes_per_token = bytes(a.hidden),
            .written_bytes_per_token = bytes(a.hidden),
            .saved_bytes_per_token = bytes(a.hidden),
            .backward_traffic_factor = 1.5};
}

/// Forward x + y; backward adds the branch's gradient to the stream's. Keeps nothing.
Operator residual(std::string_view name, Architecture const& a) {
    return {.name = name,
            .split = Split::sequence,
            .read_bytes_per_token = bytes(2 * a.hidden),
            .written_bytes_per_token = bytes(a.hidden),
            .backward_traffic_factor = 1};
}

/// n x k weights; keeps its input. Backward is two gemms of the same size.
Operator gemm(
    std::string_view name, Split split, std::int64_t n, std::int64_t k, bool fp8_allowed) {
    return {.name = name,
            .kind = OperatorKind::gemm,
            .split = split,
            .n = n,
            .k = k,
            .read_bytes_per_token = bytes(k),
            .written_bytes_per_token = bytes(n),
            .saved_bytes_per_token = bytes(k),
            .weights_fp8_allowed = fp8_allowed};
}

/// Rotates Q and K in place, one kernel each; backward rotates the gradients back.
Operator rope(Architecture const& a) {
    double const rotated = bytes(a.query_width() + a.kv_width());
    return {.name = "rope",
            .split = Split::column,
            .read_bytes_per_token = rotated,
            .written_bytes_per_token = rotated,
            .kernels = 2,
            .backward_traffic_factor = 1};
}

/// Flash attention: keeps Q, K, V and one fp32 log-sum per head; its output is the projection's
/// kept input. Backward reads Q, K, V, O, dO and writes dQ, dK, dV.
Operator attention(Architecture const& a) {
    double const qkv = bytes(a.qkv_width());
    double const out = bytes(a.query_width());
    double const logsum = bytes(a.heads, fp32);
    return {.name = "attention",
            .kind = OperatorKind::attention,
            .split = Split::column,
            .read_bytes_per_token = qkv,
            .written_bytes_per_token = out + logsum,
            .saved_bytes_per_token = qkv + logsum,
            .backward_traffic_factor = (2 * qkv + 2 * out + logsum) / (qkv + out + logsum)};
}

/// Gated: reads gate and up, writes their product (3 widths); backward reads both and dy, writes
/// two gradients (5 widths). Plain: one in, one out; backward two in, one out. Keeps its input.
Operator activation(Architecture const& a) {
    std::int64_t const inputs = a.ffn_matrices - 1;
    return {.name = a.gated() ? "swiglu" : "gelu",
            .split = Split::column,
            .read_bytes_per_token = bytes(inputs * a.ffn),
            .written_bytes_per_token = bytes(a.ffn),
            .saved_bytes_per_token = bytes(inputs * a.ffn),
            .backward_traffic_factor = a.gated() ? 5.0 / 3.0 : 1.5};
}

}  // namespace

std::vector<Operator> layer_operators(Architecture const& a) {
    std::vector<Operator> operators{
        norm("input_norm", a),
        gemm("qkv", Split::column, a.qkv_width(), a.hidden, true),
        rope(a),
        attention(a),
        gemm("projection", Split::row, a.hidden, a.query_width(), true),
        residual("attention_residual", a),
        norm("post_norm", a),
        gemm(a.gated() ? "gate_up" : "up", Split::column, (a.ffn_matrices - 1) * a.ffn, a.hidden,
             true),
        activation(a),
        gemm("down", Split::row, a.hidden, a.ffn, true),
        residual("ffn_residual", a),
    };
    if (!a.rotary) std::erase_if(operators, [](Operator const& op) { return op.name == "rope"; });
    return operators;
}

std::vector<Operator> embedding_operators(Architecture const& a) {
    // Vocabulary-parallel: every rank writes the whole width of every token (zero where another
    // rank holds the row). Backward reads the gradient and reads and writes the fp32 row: 10 B
    // over 4 B an element. Keeps the 8-byte token ids.
    return {{.name = "embedding",
             .split = Split::none,
             .read_bytes_per_token = bytes(a.hidden),
             .written_bytes_per_token = bytes(a.hidden),
             .saved_bytes_per_token = 8,
             .backward_traffic_factor = 2.5}};
}

std::vector<Operator> head_operators(Architecture const& a) {
    // Logits leave the gemm in BF16 and are cast to fp32 (2 in, 4 out), read for the maximum (4),
    // and exponentiated in place (4 in, 4 out): 10 B read, 8 B written an element, in 3 passes of
    // which the last also sums. Backward scales in place and casts back: 4 + 4 + 4 + 2 B. Keeps the
    // fp32 softmax.
    Operator cross_entropy{.name = "cross_entropy",
                           .split = Split::column,
                           .read_bytes_per_token = bytes(a.vocab, 10),
                           .written_bytes_per_token = bytes(a.vocab, 8),
                           .saved_bytes_per_token = bytes(a.vocab, fp32),
                           .kernels = 3,
                           .backward_traffic_factor = 14.0 / 18.0};
    return {norm("final_norm", a), gemm("output", Split::column, a.vocab, a.hidden, false),
            cross_entropy};
}

}  // namespace nvl72
