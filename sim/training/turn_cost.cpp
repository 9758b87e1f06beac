#include "sim/training/turn_cost.hpp"

#include "sim/training/turn_pass.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace nvl72 {

namespace {

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

Picoseconds excess(Picoseconds time, Picoseconds cover) {
    return std::max(Picoseconds{0}, time - cover);
}

}  // namespace

void TurnPricer::Pass::forward(Operator const& op) {
    switch (op.kind) {
        case OperatorKind::elementwise: elementwise(op, 1); break;
        case OperatorKind::attention: attention(op, false); break;
        case OperatorKind::experts: experts_forward(op); break;
        case OperatorKind::permute: permute(); break;
        case OperatorKind::dispatch: exchange(op, MoeStep::dispatch); break;
        case OperatorKind::combine: exchange(op, MoeStep::combine); break;
        case OperatorKind::gemm: gemm_forward(op); break;
    }
}

void TurnPricer::Pass::weight_gradient(Operator const& op) {
    if (!pricer.recipe_.trains_weights) return;
    if (op.kind == OperatorKind::experts) experts_weight_gradient(op);
    if (op.kind == OperatorKind::gemm) gemm_weight_gradient(op);
}

void TurnPricer::Pass::backward(Operator const& op) {
    if (gradients == Gradients::weights) return weight_gradient(op);
    switch (op.kind) {
        case OperatorKind::elementwise: elementwise(op, op.backward_traffic_factor); break;
        case OperatorKind::attention: attention(op, true); break;
        case OperatorKind::experts: experts_backward(op); break;
        case OperatorKind::permute: permute(); break;
        // Gradients travel the other way: of a combine out, of a dispatch back.
        case OperatorKind::dispatch: exchange(op, MoeStep::combine); break;
        case OperatorKind::combine: exchange(op, MoeStep::dispatch); break;
        case OperatorKind::gemm: gemm_backward(op); break;
    }
}

void TurnPricer::Pass::run(Operator const& op, bool back, bool shared) {
    Picoseconds const before = cost.compute.time;
    back ? backward(op) : forward(op);
    name_piece(op.name);
    if (shared && pricer.recipe_.overlap.shared_expert) shared_cover += cost.compute.time - before;
}

void TurnPricer::Pass::hide(ParallelDimension dimension,
                            std::vector<Planned>& moves,
                            Picoseconds& cover) {
    for (auto const& one : moves) {
        Picoseconds const hidden = std::min(cover, one.cost.time);
        cover -= hidden;
        wait(dimension, one, one.cost.time - hidden, 1);
    }
    moves.clear();
}

void TurnPricer::Pass::end_layer(Picoseconds compute_time) {
    bool const shared_only = !pricer.recipe_.overlap.ep;
    hide(ParallelDimension::ep, exchanges, shared_only ? shared_cover : compute_time);
    hide(ParallelDimension::dp, shard_moves, compute_time);
    shared_cover = {};
}

void TurnPricer::Pass::move_shards(CollectiveOp op, std::int64_t parameters, double bytes_each) {
    if (shape.fsdp_group.ranks == 1) return;
    Bytes const size{std::llround(static_cast<double>(parameters) * bytes_each)};
    Planned const planned = plan(op, size, shape.fsdp_group);
    if (pricer.recipe_.overlap.fsdp) {
        shard_moves.push_back(planned);
    } else {
        wait(ParallelDimension::dp, planned, planned.cost.time, 1);
    }
}

void TurnPricer::Pass::layer(std::vector<Operator> const& operators,
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
            bool const again = gradients != Gradients::weights &&
                               (full_recompute || std::ranges::find(some, op.name) != some.end());
            if (again) run(op, false, shared[i]);
        }
        for (std::size_t i = operators.size(); i-- > 0;) run(operators[i], true, shared[i]);
    }
    end_layer(cost.compute.time - before);
}

void TurnPricer::Pass::layers(ChunkContent const& chunk, bool back) {
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

void TurnPricer::Pass::modules(ChunkContent const& chunk, bool back) {
    if (chunk.mtp == 0) return;
    auto const held = mtp_parameters(pricer.model_);
    auto const operators = mtp_operators(pricer.model_);
    for (int i = 0; i < chunk.mtp; ++i) layer(operators, held, back, false);
}

void TurnPricer::Pass::operators(std::vector<Operator> list, bool back) {
    if (back) std::ranges::reverse(list);
    for (Operator const& op : list) run(op, back, false);
}

TurnCost TurnPricer::Pass::done() {
    Picoseconds const launches = pricer.recipe_.kernel_launch * kernels;
    if (launches > cost.compute.time) {
        Picoseconds const idle = launches - cost.compute.time;
        add_compute({idle, Picoseconds{0}, {BasisKind::interpolated, {}}});
    }
    name_piece("launch");
    cost.kernels = kernels;
    return std::move(cost);
}

void TurnPricer::Pass::name_piece(std::string_view name) {
    if (shape.grain != Grain::by_operator) return;
    cost.operators.emplace_back(name, std::move(piece));
    piece = {};
}

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
    both.kernels += backward.kernels;
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
