#include "sim/training/turn_pass.hpp"

#include <algorithm>
#include <cmath>

namespace nvl72 {

namespace {

/// Ranks of a group of `ranks` that hold at least one of a token's `top_k` experts, on average over
/// even routing: each expert lies on a rank of its own choosing.
double ranks_hit(int top_k, std::int64_t ranks) {
    auto const all = static_cast<double>(ranks);
    return all * (1 - std::pow(1 - 1 / all, top_k));
}

}  // namespace

/// Rows of the busiest rank over the even share; those past its capacity are dropped.
double TurnPricer::Pass::busiest_share() const {
    return moe().capacity > 0 ? std::min(moe().capacity, moe().imbalance) : moe().imbalance;
}

double TurnPricer::Pass::rows_per_token() const { return pricer.model_.top_k * busiest_share(); }

/// Tokens of which a rank sends the routes: its own part of the sequence.
double TurnPricer::Pass::routing_tokens() const {
    return static_cast<double>(shape.tokens()) / shape.tp;
}

/// All routed experts of this rank as one grouped GEMM; `weight_gradient` sums over the rows.
void TurnPricer::Pass::grouped_gemm(Operator const& op,
                                    std::int64_t n,
                                    std::int64_t k,
                                    bool weight_gradient) {
    std::int64_t const own = pricer.model_.experts / shape.ep;
    double const all = routing_tokens() * rows_per_token() * shape.expert_tp;
    auto const each = std::max<std::int64_t>(1, std::llround(all / static_cast<double>(own)));
    Precision const precision = pricer.precision_.linear;
    Gemm gemm{precision, each, n, k, quantised(op), own};
    if (weight_gradient) gemm = {precision, n, k, each, quantised(op), own};
    compute(gemm);
}

void TurnPricer::Pass::experts_forward(Operator const& op) {
    quantise(op, op.k);
    grouped_gemm(op, op.n / (op.inner_k ? 1 : shape.expert_tp),
                 op.k / (op.inner_k ? shape.expert_tp : 1), false);
}

void TurnPricer::Pass::experts_backward(Operator const& op) {
    std::int64_t const n = op.n / (op.inner_k ? 1 : shape.expert_tp);
    std::int64_t const k = op.k / (op.inner_k ? shape.expert_tp : 1);
    quantise(op, op.n);
    grouped_gemm(op, k, n, false);
    if (pricer.recipe_.trains_weights && gradients == Gradients::all) {
        grouped_gemm(op, n, k, true);
    }
}

void TurnPricer::Pass::experts_weight_gradient(Operator const& op) {
    grouped_gemm(op, op.n / (op.inner_k ? 1 : shape.expert_tp),
                 op.k / (op.inner_k ? shape.expert_tp : 1), true);
}

void TurnPricer::Pass::permute() {
    double const bytes = routing_tokens() * rows_per_token() *
                         static_cast<double>(pricer.model_.hidden) * moe().permute_bytes / 2;
    if (bytes >= 1) compute(MemoryTraffic{Bytes{std::llround(bytes)}, 1});
}

void TurnPricer::Pass::exchange(Operator const& op, MoeStep step) {
    // With a capacity the buffers have their sizes beforehand, and nobody waits for the host.
    Picoseconds stop = moe().expert_launch * (pricer.model_.experts / shape.ep);
    if (moe().capacity <= 0) stop += moe().host_sync;
    if (stop.count > 0 && step == MoeStep::dispatch) {
        add_compute({stop, Picoseconds{0}, {BasisKind::interpolated, {}}});
    }
    if (shape.expert_tp > 1) share_rows(op, step);
    if (shape.ep == 1) return;
    Planned planned = plan_exchange(op, step);
    planned.cost.time = from_seconds(to_seconds(planned.cost.time) * moe().exchange_time);
    planned.cost.bandwidth_part = std::min(planned.cost.bandwidth_part, planned.cost.time);
    if (planned.cost.time.count <= 0) return;
    exchanges.push_back(planned);
}

TurnPricer::Pass::Planned TurnPricer::Pass::plan_exchange(Operator const& op, MoeStep step) {
    Architecture const& model = pricer.model_;
    bool const out = step == MoeStep::dispatch;
    double const element = out ? moe().dispatch_bytes : moe().combine_bytes;
    bool const fused = moe().dispatcher == MoeDispatcher::fused;
    // A fused kernel sends one copy to each rank, and one to each domain across the network.
    std::int64_t const places =
        shape.ep_group.domains > 1 ? shape.ep_group.domains : shape.ep_group.ranks;
    double const copies = fused ? ranks_hit(model.top_k, places) : model.top_k;
    // The busiest rank's copies set the pace.
    auto const tokens = static_cast<std::int64_t>(std::llround(routing_tokens() * busiest_share()));
    double const bytes =
        routing_tokens() * copies * busiest_share() * static_cast<double>(op.n) * element;
    auto const& section = pricer.profile_.moe;
    if (fused && section && shape.ep_group.domains == 1) {
        Precision const travels = element < 1.5 && out ? Precision::fp8 : Precision::bf16;
        MoeExchange const query{step,        MoeTransport::two_sided, travels,       tokens, op.n,
                                model.top_k, model.experts,           shape.ep_group};
        return {price(query), {.nvlink = bytes}};
    }
    Bytes const size{std::max<std::int64_t>(1, std::llround(bytes))};
    auto planned = plan(CollectiveOp::alltoall, size, shape.ep_group);
    if (fused && shape.ep_group.domains > 1) over_network(planned, bytes);
    return planned;
}

/// The ranks that cut an expert between them gather each other's rows before its GEMMs, and sum
/// their parts of the results after.
void TurnPricer::Pass::share_rows(Operator const& op, MoeStep step) {
    bool const out = step == MoeStep::dispatch;
    double const rows = routing_tokens() * rows_per_token() * shape.expert_tp;
    double const element = out ? moe().dispatch_bytes : moe().combine_bytes;
    Bytes const size{
        std::max<std::int64_t>(1, std::llround(rows * static_cast<double>(op.n) * element))};
    // Neighbours, as the ranks of a tensor-parallel group are.
    GroupShape group = shape.tp_group.ranks > 1 ? shape.tp_group : shape.ep_group;
    group.ranks = shape.expert_tp;
    if (group.domains == 1) group.ranks_per_domain = shape.expert_tp;
    exchanges.push_back(
        plan(out ? CollectiveOp::all_gather : CollectiveOp::reduce_scatter, size, group));
}

/// A fused kernel between domains: one copy to each domain through the NICs, as fast as they take
/// it; what goes on inside a domain passes meanwhile.
void TurnPricer::Pass::over_network(Planned& planned, double bytes) const {
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

}  // namespace nvl72
