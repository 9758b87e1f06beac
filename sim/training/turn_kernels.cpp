#include "sim/training/turn_pass.hpp"

#include <algorithm>
#include <cmath>

namespace nvl72 {

namespace {

constexpr int activation_bytes = 2;  // BF16 between kernels, whatever the GEMMs run in

/// An operator's GEMM after tensor parallelism.
struct LocalGemm {
    std::int64_t outputs;
    std::int64_t inputs;
};

LocalGemm local_gemm(Operator const& op, int tp) {
    return {op.split == Split::column ? op.n / tp : op.n,
            op.split == Split::row ? op.k / tp : op.k};
}

/// Tokens x width of an elementwise operator that fall to one rank.
double local_share(Operator const& op, TurnShape const& shape) {
    if (op.split == Split::column || op.split == Split::routed) return 1.0 / shape.tp;
    if (op.split == Split::sequence && shape.sequence_parallel) return 1.0 / shape.tp;
    return 1;
}

Picoseconds part(Picoseconds time, int parts) { return time / std::max(1, parts); }

Picoseconds excess(Picoseconds time, Picoseconds cover) {
    return std::max(Picoseconds{0}, time - cover);
}

}  // namespace

Picoseconds TurnPricer::Pass::compute(Query const& query, std::int64_t count) {
    Cost const& priced = price(query);
    add_compute(priced, count);
    auto const* traffic = std::get_if<MemoryTraffic>(&query);
    kernels += count * (traffic != nullptr ? traffic->kernels : 1);
    if (traffic != nullptr) cost.compute.hbm_part += priced.time * count;
    return priced.time * count;
}

void TurnPricer::Pass::add_compute(Cost const& more, std::int64_t count) {
    cost.compute.add(more, count);
    if (shape.grain == Grain::by_operator) piece.add(more, count);
}

/// A GEMM over m rows, run as `pieces` GEMMs of m / pieces rows where a collective is pipelined
/// with it: a small piece may leave SMs without a tile.
Picoseconds TurnPricer::Pass::gemm(
    Operator const& op, std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t pieces) {
    Precision const precision =
        op.weights_fp8_allowed ? pricer.precision_.linear : pricer.precision_.head;
    std::int64_t const rows = std::max<std::int64_t>(1, m / pieces);
    return compute(Gemm{precision, rows, n, k, quantised(op)}, pieces);
}

/// Pieces of a GEMM whose operand is gathered (ring exchange: one per rank) or whose result is
/// scattered (pipeline: as the recipe says).
std::int64_t TurnPricer::Pass::gather_pieces() const {
    return pricer.recipe_.overlap.tp && shape.sequence_parallel ? shape.tp : 1;
}
std::int64_t TurnPricer::Pass::scatter_pieces() const {
    bool const pipelined = pricer.recipe_.overlap.tp && shape.sequence_parallel && shape.tp > 1;
    return pipelined ? pricer.recipe_.overlap.tp_scatter_pieces : 1;
}

bool TurnPricer::Pass::quantised(Operator const& op) const {
    return op.weights_fp8_allowed && pricer.precision_.quantise_bytes > 0;
}

void TurnPricer::Pass::quantise(Operator const& op, std::int64_t width) {
    if (!quantised(op)) return;
    bool const experts = op.kind == OperatorKind::experts;
    if (experts && moe().fused_quantise) return;
    double const elements = static_cast<double>(shape.tokens() * width) *
                            (experts ? rows_per_token() : 1) /
                            (shape.sequence_parallel || op.split != Split::none ? shape.tp : 1);
    compute(MemoryTraffic{Bytes{std::llround(elements * pricer.precision_.quantise_bytes)}, 1});
}

void TurnPricer::Pass::elementwise(Operator const& op, double factor) {
    Recipe const& recipe = pricer.recipe_;
    double const traffic = recipe.elementwise_traffic * (op.loss ? recipe.loss_traffic : 1);
    double const bytes = (op.read_bytes_per_token + op.written_bytes_per_token) * factor * traffic *
                         static_cast<double>(shape.tokens()) * local_share(op, shape);
    if (bytes <= 0) return;
    compute(MemoryTraffic{Bytes{std::llround(bytes)}, op.kernels});
}

/// A collective that runs `hidden` under GEMMs takes SMs from them: they lose that share of work.
void TurnPricer::Pass::slow_gemm(Cost const& collective, Picoseconds hidden, std::int64_t count) {
    double const share = static_cast<double>(pricer.recipe_.overlap.tp_sms) / pricer.profile_.sms;
    Picoseconds const lost = from_seconds(to_seconds(hidden) * share);
    if (lost.count > 0) add_compute({lost, lost, collective.basis}, count);
}

void TurnPricer::Pass::wait(ParallelDimension dimension,
                            Planned const& full,
                            Picoseconds waited,
                            std::int64_t count) {
    auto const& overlap = pricer.recipe_.overlap;
    double hides = 1;
    if (dimension == ParallelDimension::tp) hides = overlap.tp_hidden;
    if (dimension == ParallelDimension::dp) hides = overlap.dp_hidden;
    waited = std::max(waited, from_seconds(to_seconds(full.cost.time) * (1 - hides)));
    double const shown = waited / full.cost.time;
    auto const times = static_cast<double>(count);
    auto& communication = cost.communication[static_cast<std::size_t>(dimension)];
    Picoseconds const hidden = full.cost.time - waited;
    communication.hidden += hidden * count;
    communication.hidden_load += full.load * (times * (1 - shown));
    if (dimension == ParallelDimension::tp) slow_gemm(full.cost, hidden, count);
    if (waited.count <= 0) return;
    Cost visible = full.cost;
    visible.time = waited;
    visible.bandwidth_part = std::min(waited, full.cost.bandwidth_part);
    communication.exposed.add(visible, count);
    communication.exposed_load += full.load * (times * shown);
}

TurnPricer::Pass::Planned TurnPricer::Pass::plan(CollectiveOp op,
                                                 Bytes size,
                                                 GroupShape const& group) {
    auto const chosen = plan_collective(pricer.profile_, op, size, group);
    return {price(chosen.query), chosen.load};
}

Bytes TurnPricer::Pass::tensor(std::int64_t width, double bytes) const {
    return Bytes{std::llround(static_cast<double>(shape.tokens() * width) * bytes)};
}

/// What a layer's all-gather carries: quantised operands where its GEMM takes them.
Bytes TurnPricer::Pass::gathered(Operator const& op, std::int64_t width) const {
    return tensor(width, quantised(op) ? pricer.precision_.gathered_bytes : activation_bytes);
}

/// The all-gather before `gemm_time` and its like: step i+1 arrives while step i is multiplied.
void TurnPricer::Pass::tp_gather(Bytes size, Picoseconds gemm_time) {
    if (shape.tp == 1) return;
    Planned const full = plan(CollectiveOp::all_gather, size, shape.tp_group);
    int const steps = shape.tp - 1;
    Picoseconds const waited =
        pricer.recipe_.overlap.tp
            ? excess(part(full.cost.time, steps), part(gemm_time, shape.tp)) * steps
            : full.cost.time;
    wait(ParallelDimension::tp, full, waited, 1);
}

/// The reduce-scatter after a GEMM, piece by piece: the last one has nothing left to hide under.
void TurnPricer::Pass::tp_scatter(std::int64_t width, Picoseconds gemm_time) {
    if (shape.tp == 1) return;
    CollectiveOp const op =
        shape.sequence_parallel ? CollectiveOp::reduce_scatter : CollectiveOp::all_reduce;
    Planned const full = plan(op, tensor(width, activation_bytes), shape.tp_group);
    auto const pieces = static_cast<int>(scatter_pieces());
    Picoseconds const piece = part(full.cost.time, pieces);
    Picoseconds const waited = piece + excess(piece, part(gemm_time, pieces)) * (pieces - 1);
    wait(ParallelDimension::tp, full, pieces > 1 ? waited : full.cost.time, 1);
}

/// A whole collective beside a whole GEMM that does not need it.
void TurnPricer::Pass::tp_beside(CollectiveOp op, Bytes size, Picoseconds gemm_time) {
    if (shape.tp == 1) return;
    Planned const full = plan(op, size, shape.tp_group);
    wait(ParallelDimension::tp, full,
         pricer.recipe_.overlap.tp ? excess(full.cost.time, gemm_time) : full.cost.time, 1);
}

/// Keys and values of `width` a token between context-parallel ranks, with nothing to hide under:
/// attention needs them all.
void TurnPricer::Pass::gather_keys(CollectiveOp op, std::int64_t width) {
    Bytes const own = tensor(width, activation_bytes);
    Planned const full = plan(op, Bytes{own.count * shape.cp}, shape.cp_group);
    wait(ParallelDimension::cp, full, full.cost.time, 1);
}

void TurnPricer::Pass::attention(Operator const& op, bool backward) {
    Architecture const& model = pricer.model_;
    std::int64_t const local = shape.sequence / shape.cp;
    // Scores and values may differ in width: their mean does the same work.
    std::int64_t const width = (model.head_dim + model.value_width()) / 2;
    Attention query{pricer.precision_.attention,
                    shape.micro_batch,
                    local,
                    local,
                    static_cast<int>(model.heads / shape.tp),
                    static_cast<int>(std::max<std::int64_t>(1, model.kv_heads / shape.tp)),
                    static_cast<int>(width),
                    true,
                    backward,
                    true};
    if (op.window > 0 && op.window < local) {
        // Windows of queries, each over as many keys as a query sees.
        query.batch *= (local + op.window - 1) / op.window;
        query.query_tokens = op.window;
        query.kv_tokens = op.window;
        query.causal = false;
        compute(query);
        return;
    }
    compute(query);
    if (shape.cp == 1) return;
    std::int64_t const kv_width = std::int64_t{query.kv_heads} * width * 2;
    if (shape.cp_comm_type == CpExchange::all_gather) {
        // Every key and value before attention; backward again, and their gradients summed.
        gather_keys(CollectiveOp::all_gather, kv_width);
        if (backward) gather_keys(CollectiveOp::reduce_scatter, kv_width);
    }
    // Ring attention over zigzag halves: the own block is causal; every other block attends
    // half of its pairs (Llama 3 and Transformer Engine balance it so).
    query.causal = false;
    query.kv_tokens = std::max<std::int64_t>(1, local / 2);
    int const steps = shape.cp - 1;
    Picoseconds const block = compute(query, steps) / steps;
    if (shape.cp_comm_type == CpExchange::all_gather) return;
    Planned const exchange =
        plan(CollectiveOp::sendrecv, tensor(kv_width * (backward ? 2 : 1), activation_bytes),
             shape.cp_group);
    Picoseconds const alone = exchange.cost.time;
    wait(ParallelDimension::cp, exchange, pricer.recipe_.overlap.cp ? excess(alone, block) : alone,
         steps);
}

/// Rows of `op`'s GEMM on this rank.
std::int64_t TurnPricer::Pass::rows(Operator const& op) const {
    bool const cut = op.split == Split::sequence && shape.sequence_parallel;
    return std::max<std::int64_t>(1, shape.tokens() / (cut ? shape.tp : 1));
}

void TurnPricer::Pass::gemm_forward(Operator const& op) {
    auto const [outputs, inputs] = local_gemm(op, shape.tp);
    quantise(op, op.k);
    std::int64_t pieces = 1;
    if (op.split == Split::column) pieces = gather_pieces();
    if (op.split == Split::row) pieces = scatter_pieces();
    Picoseconds const time = gemm(op, rows(op), outputs, inputs, pieces);
    if (op.split == Split::column && shape.sequence_parallel) tp_gather(gathered(op, op.k), time);
    if (op.split == Split::row) tp_scatter(op.n, time);
}

void TurnPricer::Pass::gemm_weight_gradient(Operator const& op) {
    auto const [outputs, inputs] = local_gemm(op, shape.tp);
    Picoseconds const time = gemm(op, outputs, inputs, rows(op));
    bool const cut = op.split == Split::column && shape.sequence_parallel;
    if (cut) tp_gather(gathered(op, op.k), time);
}

void TurnPricer::Pass::gemm_input_gradient(Operator const& op) {
    auto const [outputs, inputs] = local_gemm(op, shape.tp);
    quantise(op, op.n);
    std::int64_t pieces = 1;
    if (op.split == Split::row) pieces = gather_pieces();
    if (op.split == Split::column) pieces = scatter_pieces();
    Picoseconds const time = gemm(op, rows(op), inputs, outputs, pieces);
    if (op.split == Split::row && shape.sequence_parallel) tp_gather(gathered(op, op.n), time);
    if (op.split == Split::column) tp_scatter(op.k, time);
}

void TurnPricer::Pass::gemm_backward(Operator const& op) {
    if (gradients == Gradients::inputs) return gemm_input_gradient(op);
    auto const [outputs, inputs] = local_gemm(op, shape.tp);
    // With sequence parallelism the gradient of a row layer arrives cut by tokens and is gathered
    // under the data-gradient GEMM; a column layer gathers its input again under that GEMM and
    // scatters the result under the weight-gradient GEMM.
    quantise(op, op.n);
    Picoseconds const data =
        gemm(op, rows(op), inputs, outputs, op.split == Split::row ? gather_pieces() : 1);
    bool const trains = pricer.recipe_.trains_weights;
    Picoseconds const weight = trains ? gemm(op, outputs, inputs, rows(op)) : Picoseconds{0};
    if (op.split == Split::row && shape.sequence_parallel) tp_gather(gathered(op, op.n), data);
    if (op.split != Split::column) return;
    if (shape.sequence_parallel) {
        tp_beside(CollectiveOp::all_gather, gathered(op, op.k), data);
    }
    tp_beside(shape.sequence_parallel ? CollectiveOp::reduce_scatter : CollectiveOp::all_reduce,
              tensor(op.k, activation_bytes), weight);
}

}  // namespace nvl72
