#include "sim/model/operators.hpp"

namespace nvl72 {

namespace {

constexpr double bf16 = 2;  // bytes
constexpr double fp32 = 4;

double bytes(std::int64_t elements, double each = bf16) {
    return each * static_cast<double>(elements);
}

/// Reads x, writes y; backward reads x and dy, writes dx: 3 passes over 2. Keeps x.
Operator norm(std::string_view name, std::int64_t width) {
    return {.name = name,
            .split = Split::sequence,
            .read_bytes_per_token = bytes(width),
            .written_bytes_per_token = bytes(width),
            .saved_bytes_per_token = bytes(width),
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

/// Rotates Q and K in place, one kernel each; backward rotates the gradients back. Of a latent only
/// the rotary parts: one of each query head, one of all keys.
Operator rope(Architecture const& a) {
    double const rotated =
        bytes(a.latent() ? (a.heads + 1) * a.rope_dim : a.query_width() + a.key_width());
    return {.name = "rope",
            .split = Split::column,
            .read_bytes_per_token = rotated,
            .written_bytes_per_token = rotated,
            .kernels = 2,
            .backward_traffic_factor = 1};
}

/// Flash attention: keeps Q, K, V and one fp32 log-sum per head; its output is the projection's
/// kept input. Backward reads Q, K, V, O, dO and writes dQ, dK, dV.
Operator attention(Architecture const& a, LayerKind kind) {
    double const qkv = bytes(a.qkv_width());
    double const out = bytes(a.output_width());
    double const logsum = bytes(a.heads, fp32);
    return {.name = "attention",
            .kind = OperatorKind::attention,
            .split = Split::column,
            .window = kind.windowed ? a.window : 0,
            .read_bytes_per_token = qkv,
            .written_bytes_per_token = out + logsum,
            .saved_bytes_per_token = qkv + logsum,
            .backward_traffic_factor = (2 * qkv + 2 * out + logsum) / (qkv + out + logsum)};
}

/// Gated: reads gate and up, writes their product (3 widths); backward reads both and dy, writes
/// two gradients (5 widths). Plain: one in, one out; backward two in, one out. Keeps its input.
Operator activation(Architecture const& a, std::int64_t width, Split split = Split::column) {
    std::int64_t const inputs = a.ffn_matrices - 1;
    return {.name = a.gated() ? "swiglu" : "gelu",
            .split = split,
            .read_bytes_per_token = bytes(inputs * width),
            .written_bytes_per_token = bytes(width),
            .saved_bytes_per_token = bytes(inputs * width),
            .backward_traffic_factor = a.gated() ? 5.0 / 3.0 : 1.5};
}

using Operators = std::vector<Operator>;

/// Q, K and V out of the residual stream.
void add_projections(Operators& to, Architecture const& a) {
    if (!a.latent()) {
        to.push_back(gemm("qkv", Split::column, a.qkv_width(), a.hidden, true));
        return;
    }
    if (a.q_rank > 0) {
        to.push_back(gemm("q_down", Split::sequence, a.q_rank, a.hidden, true));
        to.push_back(norm("q_norm", a.q_rank));
    }
    to.push_back(
        gemm("q_up", Split::column, a.query_width(), a.q_rank > 0 ? a.q_rank : a.hidden, true));
    to.push_back(gemm("kv_down", Split::sequence, a.kv_rank + a.rope_dim, a.hidden, true));
    to.back().saved_bytes_per_token = 0;  // the queries' first gemm keeps the same input
    to.push_back(norm("kv_norm", a.kv_rank));
    to.push_back(gemm("kv_up", Split::column, a.heads * (a.head_dim - a.rope_dim + a.value_width()),
                      a.kv_rank, true));
}

/// One feed-forward network that every token passes.
void add_network(Operators& to, Architecture const& a, std::int64_t width) {
    to.push_back(gemm(a.gated() ? "gate_up" : "up", Split::column, (a.ffn_matrices - 1) * width,
                      a.hidden, true));
    to.push_back(activation(a, width));
    to.push_back(gemm("down", Split::row, a.hidden, width, true));
}

/// A GEMM of the experts; keeps its rows.
Operator expert_gemm(std::string_view name, Architecture const& a, std::int64_t n, std::int64_t k) {
    auto op = gemm(name, Split::routed, n, k, true);
    op.kind = OperatorKind::experts;
    op.rows_per_token = a.top_k;
    for (auto* figure :
         {&op.read_bytes_per_token, &op.written_bytes_per_token, &op.saved_bytes_per_token})
        *figure *= a.top_k;
    return op;
}

/// Moves rows between token order and expert order: `in` and `out` rows of the hidden width.
Operator permute(std::string_view name, Architecture const& a, int in, int out) {
    return {.name = name,
            .kind = OperatorKind::permute,
            .split = Split::routed,
            .read_bytes_per_token = bytes(in * a.hidden),
            .written_bytes_per_token = bytes(out * a.hidden),
            .backward_traffic_factor = 1};
}

/// Router, then every routed expert on the rows it gets. The down projection's results are summed
/// with the routes' weights where they are unpermuted.
void add_experts(Operators& to, Architecture const& a) {
    to.push_back(gemm("router", Split::sequence, a.experts, a.hidden, false));
    // Logits and scores; its input, which is a copy in expert order to the experts, unless the
    // shared network keeps that.
    to.back().saved_bytes_per_token =
        bytes(2 * std::int64_t{a.experts}, fp32) + (a.shared_ffn > 0 ? 0 : bytes(a.hidden));
    to.push_back(permute("permute", a, 1, a.top_k));
    to.push_back({.name = "dispatch",
                  .kind = OperatorKind::dispatch,
                  .split = Split::routed,
                  .n = a.hidden});
    to.push_back(expert_gemm(a.gated() ? "expert_gate_up" : "expert_up", a,
                             (a.ffn_matrices - 1) * a.expert_ffn, a.hidden));
    to.push_back(activation(a, a.top_k * a.expert_ffn, Split::routed));
    to.push_back(expert_gemm("expert_down", a, a.hidden, a.expert_ffn));
    to.back().inner_k = true;
    to.push_back(
        {.name = "combine", .kind = OperatorKind::combine, .split = Split::routed, .n = a.hidden});
    to.push_back(permute("unpermute", a, a.top_k, 1));
    if (a.shared_ffn > 0) add_network(to, a, a.shared_ffn);
}

}  // namespace

std::vector<Operator> layer_operators(Architecture const& a, LayerKind kind) {
    Operators operators{norm("input_norm", a.hidden)};
    add_projections(operators, a);
    if (a.head_norms) {
        operators.push_back(norm("head_norm", a.query_width() + a.key_width()));
        operators.back().split = Split::column;
        operators.back().kernels = 2;  // of queries, of keys
    }
    if (a.rotary) operators.push_back(rope(a));
    operators.push_back(attention(a, kind));
    operators.push_back(gemm("projection", Split::row, a.hidden, a.output_width(), true));
    if (a.branch_norms) operators.push_back(norm("attention_branch_norm", a.hidden));
    operators.push_back(residual("attention_residual", a));
    operators.push_back(norm("post_norm", a.hidden));
    if (kind.experts) {
        add_experts(operators, a);
    } else {
        add_network(operators, a, a.ffn);
    }
    if (a.branch_norms) operators.push_back(norm("ffn_branch_norm", a.hidden));
    operators.push_back(residual("ffn_residual", a));
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
                           .backward_traffic_factor = 14.0 / 18.0,
                           .loss = true};
    return {norm("final_norm", a.hidden), gemm("output", Split::column, a.vocab, a.hidden, false),
            cross_entropy};
}

std::vector<Operator> mtp_operators(Architecture const& a) {
    Operators operators{norm("state_norm", a.hidden), norm("embedding_norm", a.hidden),
                        gemm("mtp_projection", Split::column, a.hidden, 2 * a.hidden, true)};
    for (auto const& op : embedding_operators(a)) operators.push_back(op);
    for (auto const& op : layer_operators(a, a.mtp_kind())) operators.push_back(op);
    for (auto const& op : head_operators(a)) operators.push_back(op);
    return operators;
}

}  // namespace nvl72
