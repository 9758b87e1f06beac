#include "sim/training/turn_cost.hpp"

#include "sim/base/error.hpp"
#include "sim/cost/profile.hpp"
#include "sim/model/closed_form.hpp"
#include "sim/model/operators.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

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

/// Ranks of a group of `ranks` that hold at least one of a token's `top_k` experts, on average over
/// even routing: each expert lies on a rank of its own choosing.
double ranks_hit(int top_k, std::int64_t ranks) {
    auto const all = static_cast<double>(ranks);
    return all * (1 - std::pow(1 - 1 / all, top_k));
}

/// Which operators of a layer are of the network that every token passes beside its experts: those
/// between the last permutation and the next norm or residual.
std::vector<bool> shared_network(std::vector<Operator> const& operators) {
    std::vector<bool> shared(operators.size(), false);
    std::size_t i = 0;
    while (i < operators.size() && operators[i].kind != OperatorKind::combine) ++i;
    for (++i; i < operators.size() && operators[i].split != Split::sequence; ++i) {
        shared[i] = operators[i].kind != OperatorKind::permute;
    }
    return shared;
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
    Gradients gradients = Gradients::all;  ///< of a backward
    TurnCost cost{};
    std::int64_t kernels = 0;            ///< launched
    std::vector<Planned> exchanges{};    ///< of this layer's experts
    std::vector<Planned> shard_moves{};  ///< of this layer's weights and gradients (FSDP)
    PricedCost piece{};                  ///< of the operator at work
    Picoseconds shared_cover{0};         ///< compute of the shared expert, to hide exchanges under

    Cost const& price(Query const& query) const { return pricer.book_.price(query); }

    void add_compute(Cost const& more, std::int64_t count = 1) {
        cost.compute.add(more, count);
        if (shape.grain == Grain::by_operator) piece.add(more, count);
    }

    /// What was added since the last one is this operator's. It is named whether or not it takes
    /// time, so that other prices find the same operators.
    void name_piece(std::string_view name) {
        if (shape.grain != Grain::by_operator) return;
        cost.operators.emplace_back(name, std::move(piece));
        piece = {};
    }

    Picoseconds compute(Query const& query, std::int64_t count = 1) {
        Cost const& priced = price(query);
        add_compute(priced, count);
        auto const* traffic = std::get_if<MemoryTraffic>(&query);
        kernels += count * (traffic != nullptr ? traffic->kernels : 1);
        if (traffic != nullptr) cost.compute.hbm_part += priced.time * count;
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

    [[nodiscard]] MoePolicy const& moe() const { return pricer.recipe_.moe; }

    /// Rows of the busiest rank over the even share; those past its capacity are dropped.
    [[nodiscard]] double busiest_share() const {
        return moe().capacity > 0 ? std::min(moe().capacity, moe().imbalance) : moe().imbalance;
    }
    /// Rows of routed experts that one rank gets, over the tokens it brings in.
    [[nodiscard]] double rows_per_token() const { return pricer.model_.top_k * busiest_share(); }
    /// Tokens of which a rank sends the routes: its own part of the sequence.
    [[nodiscard]] double routing_tokens() const {
        return static_cast<double>(shape.tokens()) / shape.tp;
    }

    /// Brings `width` elements per token into the linear layers' precision. Each rank quantises its
    /// own part: a slice of the width, or of the tokens, before they are gathered.
    void quantise(Operator const& op, std::int64_t width) {
        if (!quantised(op)) return;
        bool const experts = op.kind == OperatorKind::experts;
        if (experts && moe().fused_quantise) return;
        double const elements = static_cast<double>(shape.tokens() * width) *
                                (experts ? rows_per_token() : 1) /
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
        if (lost.count > 0) add_compute({lost, lost, collective.basis}, count);
    }

    /// A collective that takes `full` alone, `count` times, of which `waited` is not hidden.
    void wait(ParallelDimension dimension,
              Planned const& full,
              Picoseconds waited,
              std::int64_t count) {
        if (dimension == ParallelDimension::tp) {
            double const least = 1 - pricer.recipe_.overlap.tp_hidden;
            waited = std::max(waited, from_seconds(to_seconds(full.cost.time) * least));
        }
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

    /// Keys and values of `width` a token between context-parallel ranks, with nothing to hide
    /// under: attention needs them all.
    void gather_keys(CollectiveOp op, std::int64_t width) {
        Planned const full = plan(op, Bytes{tensor(width).count * shape.cp}, shape.cp_group);
        wait(ParallelDimension::cp, full, full.cost.time, 1);
    }

    void attention(Operator const& op, bool backward) {
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
                        backward};
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
            plan(CollectiveOp::sendrecv, tensor(kv_width * (backward ? 2 : 1)), shape.cp_group);
        Picoseconds const alone = exchange.cost.time;
        wait(ParallelDimension::cp, exchange,
             pricer.recipe_.overlap.cp ? excess(alone, block) : alone, steps);
    }

    /// Rows of `op`'s GEMM on this rank.
    [[nodiscard]] std::int64_t rows(Operator const& op) const {
        bool const cut = op.split == Split::sequence && shape.sequence_parallel;
        return std::max<std::int64_t>(1, shape.tokens() / (cut ? shape.tp : 1));
    }

    /// All routed experts of this rank as one grouped GEMM; `weight_gradient` sums over the rows.
    void experts(Operator const& op, std::int64_t n, std::int64_t k, bool weight_gradient) {
        std::int64_t const own = pricer.model_.experts / shape.ep;
        double const all = routing_tokens() * rows_per_token() * shape.expert_tp;
        auto const each = std::max<std::int64_t>(1, std::llround(all / static_cast<double>(own)));
        Precision const precision = pricer.precision_.linear;
        Gemm gemm{precision, each, n, k, quantised(op), own};
        if (weight_gradient) gemm = {precision, n, k, each, quantised(op), own};
        compute(gemm);
    }

    /// Rows in token order to expert order, or back.
    void permute() {
        double const bytes = routing_tokens() * rows_per_token() *
                             static_cast<double>(pricer.model_.hidden) * moe().permute_bytes / 2;
        if (bytes >= 1) compute(MemoryTraffic{Bytes{std::llround(bytes)}, 1});
    }

    /// An NVLink or network exchange of one step of experts.
    void exchange(Operator const& op, MoeStep step) {
        if (moe().host_sync.count > 0 && step == MoeStep::dispatch) {
            Picoseconds const stop = moe().host_sync;
            add_compute({stop, Picoseconds{0}, {BasisKind::interpolated, {}}});
        }
        if (shape.ep == 1) return;
        Planned planned = plan_exchange(op, step);
        planned.cost.time = from_seconds(to_seconds(planned.cost.time) * moe().exchange_time);
        planned.cost.bandwidth_part = std::min(planned.cost.bandwidth_part, planned.cost.time);
        if (planned.cost.time.count <= 0) return;
        exchanges.push_back(planned);
    }

    [[nodiscard]] Planned plan_exchange(Operator const& op, MoeStep step) {
        Architecture const& model = pricer.model_;
        bool const out = step == MoeStep::dispatch;
        double const element = out ? moe().dispatch_bytes : moe().combine_bytes;
        bool const fused = moe().dispatcher == MoeDispatcher::fused;
        // A fused kernel sends one copy to each rank, and one to each domain across the network.
        std::int64_t const places =
            shape.ep_group.domains > 1 ? shape.ep_group.domains : shape.ep_group.ranks;
        double const copies = fused ? ranks_hit(model.top_k, places) : model.top_k;
        auto const tokens = static_cast<std::int64_t>(std::llround(routing_tokens()));
        double const bytes =
            routing_tokens() * copies * busiest_share() * static_cast<double>(op.n) * element;
        auto const& section = pricer.profile_.moe;
        if (fused && section && shape.ep_group.domains == 1) {
            Precision const travels = element < 1.5 && out ? Precision::fp8 : Precision::bf16;
            MoeExchange const query{
                step,        MoeTransport::two_sided, travels,       tokens, op.n,
                model.top_k, model.experts,           shape.ep_group};
            return {price(query), {.nvlink = bytes}};
        }
        Bytes const size{std::max<std::int64_t>(1, std::llround(bytes))};
        auto planned = plan(CollectiveOp::alltoall, size, shape.ep_group);
        if (fused && shape.ep_group.domains > 1) over_network(planned, bytes);
        return planned;
    }

    /// A fused kernel between domains: one copy to each domain through the NICs, as fast as they
    /// take it; what goes on inside a domain passes meanwhile.
    void over_network(Planned& planned, double bytes) const {
        GroupShape const& group = shape.ep_group;
        double const leave =
            bytes * static_cast<double>(group.domains - 1) / static_cast<double>(group.domains);
        double const rate = group.per_gpu_nic.count * moe().network_efficiency;
        Picoseconds const moves = from_seconds(leave / rate);
        Picoseconds const latency = planned.cost.time - planned.cost.bandwidth_part;
        planned.cost.time = latency + moves;
        planned.cost.bandwidth_part = moves;
        planned.load = {.nvlink = bytes, .nic = leave};
    }

    /// Waits for what of `moves` outlasts `cover`, which they use up.
    void hide(ParallelDimension dimension, std::vector<Planned>& moves, Picoseconds& cover) {
        for (auto const& one : moves) {
            Picoseconds const hidden = std::min(cover, one.cost.time);
            cover -= hidden;
            wait(dimension, one, one.cost.time - hidden, 1);
        }
        moves.clear();
    }

    /// What a layer leaves to hide under its own compute, which took `compute_time`; without
    /// another micro-batch's, exchanges have what the shared expert took.
    void end_layer(Picoseconds compute_time) {
        bool const shared_only = !pricer.recipe_.overlap.ep;
        hide(ParallelDimension::ep, exchanges, shared_only ? shared_cover : compute_time);
        hide(ParallelDimension::dp, shard_moves, compute_time);
        shared_cover = {};
    }

    /// Moves a layer's weights or gradients over the ranks that shard them.
    void move_shards(CollectiveOp op, std::int64_t parameters, double bytes_each) {
        if (shape.fsdp_group.ranks == 1) return;
        Bytes const size{std::llround(static_cast<double>(parameters) * bytes_each)};
        Planned const planned = plan(op, size, shape.fsdp_group);
        if (pricer.recipe_.overlap.fsdp) {
            shard_moves.push_back(planned);
        } else {
            wait(ParallelDimension::dp, planned, planned.cost.time, 1);
        }
    }

    /// One operator, which is a shared expert's where `shared`.
    void run(Operator const& op, bool back, bool shared) {
        Picoseconds const before = cost.compute.time;
        back ? backward(op) : forward(op);
        name_piece(op.name);
        if (shared && pricer.recipe_.overlap.shared_expert) {
            shared_cover += cost.compute.time - before;
        }
    }

    /// One transformer layer, forward or backward.
    void layer(std::vector<Operator> const& operators,
               LayerParameters const& held,
               bool back,
               bool full_recompute) {
        Picoseconds const before = cost.compute.time;
        std::int64_t const parameters = held.matrices / shape.tp + held.norms + held.router +
                                        held.experts / shape.ep / shape.expert_tp;
        move_shards(CollectiveOp::all_gather, parameters, pricer.precision_.parameter_gather_bytes);
        auto const shared = shared_network(operators);
        if (!back) {
            for (std::size_t i = 0; i < operators.size(); ++i) run(operators[i], false, shared[i]);
        } else {
            if (pricer.recipe_.trains_weights) {
                move_shards(CollectiveOp::reduce_scatter, parameters,
                            pricer.recipe_.state.gradient_bytes);
            }
            auto const& some = pricer.recipe_.recompute;
            for (std::size_t i = 0; i < operators.size(); ++i) {
                Operator const& op = operators[i];
                bool const again =
                    gradients != Gradients::weights &&
                    (full_recompute || std::ranges::find(some, op.name) != some.end());
                if (again) run(op, false, shared[i]);
            }
            for (std::size_t i = operators.size(); i-- > 0;) run(operators[i], true, shared[i]);
        }
        end_layer(cost.compute.time - before);
    }

    void forward(Operator const& op) {
        switch (op.kind) {
            case OperatorKind::elementwise: elementwise(op, 1); break;
            case OperatorKind::attention: attention(op, false); break;
            case OperatorKind::experts:
                quantise(op, op.k);
                experts(op, op.n / (op.inner_k ? 1 : shape.expert_tp),
                        op.k / (op.inner_k ? shape.expert_tp : 1), false);
                break;
            case OperatorKind::permute: permute(); break;
            case OperatorKind::dispatch: exchange(op, MoeStep::dispatch); break;
            case OperatorKind::combine: exchange(op, MoeStep::combine); break;
            case OperatorKind::gemm: {
                auto const [outputs, inputs] = local_gemm(op, shape.tp);
                quantise(op, op.k);
                std::int64_t pieces = 1;
                if (op.split == Split::column) pieces = gather_pieces();
                if (op.split == Split::row) pieces = scatter_pieces();
                Picoseconds const time = gemm(op, rows(op), outputs, inputs, pieces);
                if (op.split == Split::column && shape.sequence_parallel) {
                    tp_gather(gathered(op, op.k), time);
                }
                if (op.split == Split::row) tp_scatter(op.n, time);
                break;
            }
        }
    }

    /// What is left of an operator's backward when its input has its gradient. A column layer
    /// gathers its input again for it.
    void weight_gradient(Operator const& op) {
        if (!pricer.recipe_.trains_weights) return;
        if (op.kind == OperatorKind::experts) {
            experts(op, op.n / (op.inner_k ? 1 : shape.expert_tp),
                    op.k / (op.inner_k ? shape.expert_tp : 1), true);
        } else if (op.kind == OperatorKind::gemm) {
            auto const [outputs, inputs] = local_gemm(op, shape.tp);
            Picoseconds const time = gemm(op, outputs, inputs, rows(op));
            bool const cut = op.split == Split::column && shape.sequence_parallel;
            if (cut) tp_gather(gathered(op, op.k), time);
        }
    }

    /// The gradient of a GEMM's input alone: what a column layer scatters has no weight gradient to
    /// hide under, and goes out in pieces as a forward's does.
    void input_gradient(Operator const& op) {
        auto const [outputs, inputs] = local_gemm(op, shape.tp);
        quantise(op, op.n);
        std::int64_t pieces = 1;
        if (op.split == Split::row) pieces = gather_pieces();
        if (op.split == Split::column) pieces = scatter_pieces();
        Picoseconds const time = gemm(op, rows(op), inputs, outputs, pieces);
        if (op.split == Split::row && shape.sequence_parallel) tp_gather(gathered(op, op.n), time);
        if (op.split == Split::column) tp_scatter(op.k, time);
    }

    void backward(Operator const& op) {
        if (gradients == Gradients::weights) return weight_gradient(op);
        switch (op.kind) {
            case OperatorKind::elementwise: elementwise(op, op.backward_traffic_factor); break;
            case OperatorKind::attention: attention(op, true); break;
            case OperatorKind::experts: {
                std::int64_t const n = op.n / (op.inner_k ? 1 : shape.expert_tp);
                std::int64_t const k = op.k / (op.inner_k ? shape.expert_tp : 1);
                quantise(op, op.n);
                experts(op, k, n, false);
                bool const weights = pricer.recipe_.trains_weights && gradients == Gradients::all;
                if (weights) experts(op, n, k, true);
                break;
            }
            case OperatorKind::permute: permute(); break;
            // Gradients travel the other way: of a combine out, of a dispatch back.
            case OperatorKind::dispatch: exchange(op, MoeStep::combine); break;
            case OperatorKind::combine: exchange(op, MoeStep::dispatch); break;
            case OperatorKind::gemm: {
                if (gradients == Gradients::inputs) return input_gradient(op);
                auto const [outputs, inputs] = local_gemm(op, shape.tp);
                // With sequence parallelism the gradient of a row layer arrives cut by tokens and
                // is gathered under the data-gradient GEMM; a column layer gathers its input again
                // under that GEMM and scatters the result under the weight-gradient GEMM.
                quantise(op, op.n);
                Picoseconds const data = gemm(op, rows(op), inputs, outputs,
                                              op.split == Split::row ? gather_pieces() : 1);
                bool const trains = pricer.recipe_.trains_weights;
                Picoseconds const weight =
                    trains ? gemm(op, outputs, inputs, rows(op)) : Picoseconds{0};
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

    void layers(ChunkContent const& chunk, bool back) {
        Architecture const& model = pricer.model_;
        for (auto const kind : layer_kinds) {
            int const count = chunk.layers.at(kind.index());
            if (count == 0) continue;
            auto const held = layer_parameters(model, kind);
            auto const operators = layer_operators(model, kind);
            bool const again = pricer.recipe_.full_recompute;
            for (int i = 0; i < count; ++i) layer(operators, held, back, again);
        }
    }

    /// Multi-token prediction: a layer and its ends each, which full recomputation leaves alone.
    void modules(ChunkContent const& chunk, bool back) {
        if (chunk.mtp == 0) return;
        auto const held = mtp_parameters(pricer.model_);
        auto const operators = mtp_operators(pricer.model_);
        for (int i = 0; i < chunk.mtp; ++i) layer(operators, held, back, false);
    }

    void operators(std::vector<Operator> list, bool back) {
        if (back) std::ranges::reverse(list);
        for (Operator const& op : list) run(op, back, false);
    }

    /// The host launches kernels one by one where no graph does: no pass is faster than that.
    TurnCost done() {
        Picoseconds const launches = pricer.recipe_.kernel_launch * kernels;
        if (launches > cost.compute.time) {
            Picoseconds const idle = launches - cost.compute.time;
            add_compute({idle, Picoseconds{0}, {BasisKind::interpolated, {}}});
        }
        name_piece("launch");
        return std::move(cost);
    }
};

TurnCost TurnPricer::forward(ChunkContent const& chunk, TurnShape const& shape) const {
    Pass pass{*this, shape};
    if (chunk.embedding) pass.operators(embedding_operators(model_), false);
    pass.layers(chunk, false);
    pass.modules(chunk, false);
    if (chunk.head) pass.operators(head_operators(model_), false);
    return pass.done();
}

TurnCost TurnPricer::backward(ChunkContent const& chunk,
                              TurnShape const& shape,
                              Gradients gradients) const {
    Pass pass{*this, shape, gradients};
    if (chunk.head) pass.operators(head_operators(model_), true);
    pass.modules(chunk, true);
    pass.layers(chunk, true);
    if (chunk.embedding) pass.operators(embedding_operators(model_), true);
    return pass.done();
}

namespace {

/// `part` of a load and the rest of it change sides.
void show(TurnCommunication& moved, TurnCommunication const& own, Picoseconds waited) {
    Picoseconds const now = own.exposed.time;
    moved.hidden = own.hidden + (now - waited);
    moved.hidden_load = own.hidden_load;
    if (now.count == 0) return;
    double const share = waited / now;
    moved.hidden_load += own.exposed_load * (1 - share);
    moved.exposed_load = own.exposed_load * share;
    moved.exposed.time = waited;
    moved.exposed.bandwidth_part = std::min(waited, own.exposed.bandwidth_part);
    merge_shares(moved.exposed.shares, own.exposed.shares, share);
}

void add(TurnCommunication& sum, TurnCommunication const& more) {
    sum.hidden += more.hidden;
    sum.hidden_load += more.hidden_load;
    sum.exposed.time += more.exposed.time;
    sum.exposed.bandwidth_part += more.exposed.bandwidth_part;
    merge_shares(sum.exposed.shares, more.exposed.shares, 1);
    sum.exposed_load += more.exposed_load;
}

}  // namespace

TurnCost TurnPricer::overlapped(TurnCost const& forward, TurnCost const& backward) {
    TurnCost both = forward;
    both.compute.time += backward.compute.time;
    both.compute.bandwidth_part += backward.compute.bandwidth_part;
    merge_shares(both.compute.shares, backward.compute.shares, 1);
    both.operators.insert(both.operators.end(), backward.operators.begin(),
                          backward.operators.end());
    for (std::size_t d = 0; d < parallel_dimensions; ++d) {
        if (d == static_cast<std::size_t>(ParallelDimension::ep)) continue;
        add(both.communication[d], backward.communication[d]);
    }
    auto const d = static_cast<std::size_t>(ParallelDimension::ep);
    both.communication[d] = {};
    for (auto const& [own, partner] :
         {std::pair(&forward, &backward), std::pair(&backward, &forward)}) {
        TurnCommunication const& alone = own->communication[d];
        Picoseconds const all = alone.hidden + alone.exposed.time;
        TurnCommunication shown;
        show(shown, alone, std::min(alone.exposed.time, excess(all, partner->compute.time)));
        add(both.communication[d], shown);
    }
    return both;
}

}  // namespace nvl72
