#include "sim/training/turn_cost.hpp"

#include "sim/training/turn_pass.hpp"

#include <algorithm>
#include <cmath>

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

void TurnPricer::Pass::backward(Operator const& op) {
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
            bool const again = full_recompute || std::ranges::find(some, op.name) != some.end();
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
    for (Operator const& op : list) back ? backward(op) : forward(op);
}

TurnCost TurnPricer::Pass::done() {
    Picoseconds const launches = pricer.recipe_.kernel_launch * kernels;
    if (launches > cost.compute.time) {
        Picoseconds const idle = launches - cost.compute.time;
        cost.compute.add({idle, Picoseconds{0}, {BasisKind::interpolated, {}}});
    }
    return std::move(cost);
}

TurnCost TurnPricer::forward(ChunkContent const& chunk, TurnShape const& shape) const {
    Pass pass{*this, shape};
    if (chunk.embedding) pass.operators(embedding_operators(model_), false);
    pass.layers(chunk, false);
    pass.modules(chunk, false);
    if (chunk.head) pass.operators(head_operators(model_), false);
    return pass.done();
}

TurnCost TurnPricer::backward(ChunkContent const& chunk, TurnShape const& shape) const {
    Pass pass{*this, shape};
    if (chunk.head) pass.operators(head_operators(model_), true);
    pass.modules(chunk, true);
    pass.layers(chunk, true);
    if (chunk.embedding) pass.operators(embedding_operators(model_), true);
    return pass.done();
}

}  // namespace nvl72
