#include "sim/training/turn_cost.hpp"

#include "sim/base/error.hpp"
#include "sim/cost/profile.hpp"
#include "sim/model/operators.hpp"

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
    if (op.split == Split::column) return 1.0 / shape.tp;
    if (op.split == Split::sequence && shape.sequence_parallel) return 1.0 / shape.tp;
    return 1;
}

Picoseconds part(Picoseconds time, int parts) { return time / std::max(1, parts); }

Picoseconds excess(Picoseconds time, Picoseconds cover) {
    return std::max(Picoseconds{0}, time - cover);
}

/// A collective alone, and what one GPU sends for it.
struct Planned {
    Cost cost;
    LinkLoad load;
};

}  // namespace

/// One direction of one turn, while it is being added up.
struct TurnPricer::Pass {
    TurnPricer const& pricer;
    TurnShape const& shape;
    TurnCost cost{};

    Cost const& price(Query const& query) const { return pricer.book_.price(query); }

    Picoseconds compute(Query const& query, std::int64_t count = 1) {
        Cost const& priced = price(query);
        cost.compute.add(priced, count);
        return priced.time * count;
    }

    /// A GEMM over m rows, run as `pieces` GEMMs of m / pieces rows where a collective is pipelined
    /// with it: a small piece may leave SMs without a tile.
    Picoseconds gemm(Operator const& op,
                     std::int64_t m,
                     std::int64_t n,
                     std::int64_t k,
                     std::int64_t pieces = 1) {
        Precision const precision =
            op.weights_fp8_allowed ? pricer.precision_.linear : pricer.precision_.head;
        std::int64_t const rows = std::max<std::int64_t>(1, m / pieces);
        return compute(Gemm{precision, rows, n, k, quantised(op)}, pieces);
    }

    /// Pieces of a GEMM whose operand is gathered (ring exchange: one per rank) or whose result is
    /// scattered (pipeline: as the recipe says).
    [[nodiscard]] std::int64_t gather_pieces() const {
        return pricer.recipe_.overlap.tp && shape.sequence_parallel ? shape.tp : 1;
    }
    [[nodiscard]] std::int64_t scatter_pieces() const {
        bool const pipelined = pricer.recipe_.overlap.tp && shape.sequence_parallel && shape.tp > 1;
        return pipelined ? pricer.recipe_.overlap.tp_scatter_pieces : 1;
    }

    [[nodiscard]] bool quantised(Operator const& op) const {
        return op.weights_fp8_allowed && pricer.precision_.quantise_bytes > 0;
    }

    /// Brings `width` elements per token into the linear layers' precision. Each rank quantises its
    /// own part: a slice of the width, or of the tokens, before they are gathered.
    void quantise(Operator const& op, std::int64_t width) {
        if (!quantised(op)) return;
        double const elements = static_cast<double>(shape.tokens() * width) /
                                (shape.sequence_parallel || op.split != Split::none ? shape.tp : 1);
        compute(MemoryTraffic{Bytes{std::llround(elements * pricer.precision_.quantise_bytes)}, 1});
    }

    void elementwise(Operator const& op, double factor) {
        double const bytes = (op.read_bytes_per_token + op.written_bytes_per_token) * factor *
                             static_cast<double>(shape.tokens()) * local_share(op, shape);
        if (bytes <= 0) return;
        compute(MemoryTraffic{Bytes{std::llround(bytes)}, op.kernels});
    }

    /// A collective that runs `hidden` under GEMMs takes SMs from them: they lose that share of
    /// work.
    void slow_gemm(Cost const& collective, Picoseconds hidden, std::int64_t count) {
        double const share =
            static_cast<double>(pricer.recipe_.overlap.tp_sms) / pricer.profile_.sms;
        Picoseconds const lost = from_seconds(to_seconds(hidden) * share);
        if (lost.count > 0) cost.compute.add({lost, lost, collective.basis}, count);
    }

    /// A collective that takes `full` alone, `count` times, of which `waited` is not hidden.
    void wait(ParallelDimension dimension,
              Planned const& full,
              Picoseconds waited,
              std::int64_t count) {
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

    Planned plan(CollectiveOp op, Bytes size, GroupShape const& group) {
        auto const chosen = plan_collective(pricer.profile_, op, size, group);
        return {price(chosen.query), chosen.load};
    }

    [[nodiscard]] Bytes tensor(std::int64_t width, double bytes = activation_bytes) const {
        return Bytes{std::llround(static_cast<double>(shape.tokens() * width) * bytes)};
    }

    /// What a layer's all-gather carries: quantised operands where its GEMM takes them.
    [[nodiscard]] Bytes gathered(Operator const& op, std::int64_t width) const {
        return tensor(width, quantised(op) ? pricer.precision_.gathered_bytes : activation_bytes);
    }

    /// The all-gather before `gemm_time` and its like: step i+1 arrives while step i is multiplied.
    void tp_gather(Bytes size, Picoseconds gemm_time) {
        if (shape.tp == 1) return;
        Planned const full = plan(CollectiveOp::all_gather, size, shape.tp_group);
        int const steps = shape.tp - 1;
        Picoseconds const waited =
            pricer.recipe_.overlap.tp
                ? excess(part(full.cost.time, steps), part(gemm_time, shape.tp)) * steps
                : full.cost.time;
        wait(ParallelDimension::tp, full, waited, 1);
    }

    /// The reduce-scatter after a GEMM, piece by piece: the last one has nothing left to hide
    /// under.
    void tp_scatter(std::int64_t width, Picoseconds gemm_time) {
        if (shape.tp == 1) return;
        CollectiveOp const op =
            shape.sequence_parallel ? CollectiveOp::reduce_scatter : CollectiveOp::all_reduce;
        Planned const full = plan(op, tensor(width), shape.tp_group);
        auto const pieces = static_cast<int>(scatter_pieces());
        Picoseconds const piece = part(full.cost.time, pieces);
        Picoseconds const waited = piece + excess(piece, part(gemm_time, pieces)) * (pieces - 1);
        wait(ParallelDimension::tp, full, pieces > 1 ? waited : full.cost.time, 1);
    }

    /// A whole collective beside a whole GEMM that does not need it.
    void tp_beside(CollectiveOp op, Bytes size, Picoseconds gemm_time) {
        if (shape.tp == 1) return;
        Planned const full = plan(op, size, shape.tp_group);
        wait(ParallelDimension::tp, full,
             pricer.recipe_.overlap.tp ? excess(full.cost.time, gemm_time) : full.cost.time, 1);
    }

    void attention(bool backward) {
        Architecture const& model = pricer.model_;
        std::int64_t const local = shape.sequence / shape.cp;
        Attention query{pricer.precision_.attention,
                        shape.micro_batch,
                        local,
                        local,
                        static_cast<int>(model.heads / shape.tp),
                        static_cast<int>(std::max<std::int64_t>(1, model.kv_heads / shape.tp)),
                        static_cast<int>(model.head_dim),
                        true,
                        backward};
        compute(query);
        if (shape.cp == 1) return;
        // Ring attention over zigzag halves: the own block is causal; every other block attends
        // half of its pairs (Llama 3 and Transformer Engine balance it so).
        query.causal = false;
        query.kv_tokens = std::max<std::int64_t>(1, local / 2);
        int const steps = shape.cp - 1;
        Picoseconds const block = compute(query, steps) / steps;
        std::int64_t const kv_width =
            std::int64_t{query.kv_heads} * model.head_dim * (backward ? 4 : 2);
        Planned const exchange = plan(CollectiveOp::sendrecv, tensor(kv_width), shape.cp_group);
        Picoseconds const alone = exchange.cost.time;
        wait(ParallelDimension::cp, exchange,
             pricer.recipe_.overlap.cp ? excess(alone, block) : alone, steps);
    }

    void forward(Operator const& op) {
        switch (op.kind) {
            case OperatorKind::elementwise: elementwise(op, 1); break;
            case OperatorKind::attention: attention(false); break;
            case OperatorKind::gemm: {
                auto const [outputs, inputs] = local_gemm(op, shape.tp);
                quantise(op, op.k);
                std::int64_t pieces = 1;
                if (op.split == Split::column) pieces = gather_pieces();
                if (op.split == Split::row) pieces = scatter_pieces();
                Picoseconds const time = gemm(op, shape.tokens(), outputs, inputs, pieces);
                if (op.split == Split::column && shape.sequence_parallel) {
                    tp_gather(gathered(op, op.k), time);
                }
                if (op.split == Split::row) tp_scatter(op.n, time);
                break;
            }
        }
    }

    void backward(Operator const& op) {
        switch (op.kind) {
            case OperatorKind::elementwise: elementwise(op, op.backward_traffic_factor); break;
            case OperatorKind::attention: attention(true); break;
            case OperatorKind::gemm: {
                auto const [outputs, inputs] = local_gemm(op, shape.tp);
                // With sequence parallelism the gradient of a row layer arrives cut by tokens and
                // is gathered under the data-gradient GEMM; a column layer gathers its input again
                // under that GEMM and scatters the result under the weight-gradient GEMM.
                quantise(op, op.n);
                Picoseconds const data = gemm(op, shape.tokens(), inputs, outputs,
                                              op.split == Split::row ? gather_pieces() : 1);
                Picoseconds const weight = gemm(op, outputs, inputs, shape.tokens());
                if (op.split == Split::row && shape.sequence_parallel) {
                    tp_gather(gathered(op, op.n), data);
                }
                if (op.split == Split::column) {
                    if (shape.sequence_parallel) {
                        tp_beside(CollectiveOp::all_gather, gathered(op, op.k), data);
                    }
                    tp_beside(shape.sequence_parallel ? CollectiveOp::reduce_scatter
                                                      : CollectiveOp::all_reduce,
                              tensor(op.k), weight);
                }
                break;
            }
        }
    }
};

TurnCost TurnPricer::forward(ChunkContent const& chunk, TurnShape const& shape) const {
    Pass pass{*this, shape};
    if (chunk.embedding) {
        for (Operator const& op : embedding_operators(model_)) pass.forward(op);
    }
    for (int layer = 0; layer < chunk.layers; ++layer) {
        for (Operator const& op : layer_operators(model_)) pass.forward(op);
    }
    if (chunk.head) {
        for (Operator const& op : head_operators(model_)) pass.forward(op);
    }
    return std::move(pass.cost);
}

TurnCost TurnPricer::backward(ChunkContent const& chunk, TurnShape const& shape) const {
    Pass pass{*this, shape};
    if (chunk.head) {
        for (Operator const& op : head_operators(model_)) pass.backward(op);
    }
    for (int layer = 0; layer < chunk.layers; ++layer) {
        auto operators = layer_operators(model_);
        if (recipe_.full_recompute) {
            for (Operator const& op : operators) pass.forward(op);
        }
        std::ranges::reverse(operators);
        for (Operator const& op : operators) pass.backward(op);
    }
    if (chunk.embedding) {
        for (Operator const& op : embedding_operators(model_)) pass.backward(op);
    }
    return std::move(pass.cost);
}

}  // namespace nvl72
