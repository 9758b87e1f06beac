#pragma once

#include "sim/model/architecture.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace nvl72 {

/// `experts` is a GEMM of every routed expert over the rows it gets; `permute` brings rows from
/// token order to expert order or back; `dispatch` sends a token to the ranks of its experts,
/// `combine` brings their results back.
enum class OperatorKind : std::uint8_t {
    gemm,
    attention,
    elementwise,
    experts,
    permute,
    dispatch,
    combine
};

/// How tensor parallelism cuts an operator. Saved bytes follow the operator's input:
///   none      every rank does all of it
///   column    outputs: n / tp, heads / tp, width / tp. A column gemm's input is whole on every
///             rank; with sequence parallelism it is kept cut by tokens and gathered again
///   row       inputs: k / tp
///   sequence  tokens / tp with sequence parallelism, whole without
///   routed    rows of routed experts, `top_k` for each token: spread evenly over all ranks
enum class Split : std::uint8_t { none, column, row, sequence, routed };

/// One step of the forward pass, per token and before any parallel split; activations are BF16.
struct Operator {
    std::string_view name;
    OperatorKind kind = OperatorKind::elementwise;
    Split split = Split::none;
    std::int64_t n = 0;       ///< gemm: outputs per row; weights are n x k. Exchange: width
    std::int64_t k = 0;       ///< gemm: inputs per row
    bool inner_k = false;     ///< experts: k is the inner width, which expert_tp cuts; else n is
    int rows_per_token = 1;   ///< experts: top_k
    std::int64_t window = 0;  ///< attention: tokens it sees; 0: all before
    double read_bytes_per_token = 0;  ///< activations read, weights excluded
    double written_bytes_per_token = 0;
    double saved_bytes_per_token = 0;    ///< kept for the backward pass
    int kernels = 1;                     ///< launches, forward
    double backward_traffic_factor = 2;  ///< bytes of the backward over those of the forward
    bool loss = false;                   ///< the cross-entropy: a recipe says what it moves
    bool weights_fp8_allowed = false;    ///< linear layers of blocks; head and embedding stay BF16
};

/// Forward pass in order. Saved bytes are those of Megatron with flash attention and no
/// recomputation: each tensor is counted once, at the operator whose backward needs it.
std::vector<Operator> layer_operators(Architecture const& architecture, LayerKind kind = {});
std::vector<Operator> embedding_operators(Architecture const& architecture);
std::vector<Operator> head_operators(Architecture const& architecture);
/// One multi-token prediction module (DeepSeek-V3, arXiv 2412.19437, 2.2): norms, a projection of
/// state and embedding to one, a layer, the shared head.
std::vector<Operator> mtp_operators(Architecture const& architecture);

}  // namespace nvl72
