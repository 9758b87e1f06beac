#include "sim/collective/exchange.hpp"

#include "sim/base/error.hpp"
#include "sim/collective/collective.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace nvl72 {

namespace {

/// The all-to-all over `shape` whose busiest links carry at least `load`; none where it is empty.
void add_phase(ExchangePlan& plan, Profile const& profile, LinkLoad load, GroupShape const& shape) {
    Bytes const unit{1 << 20};
    auto const of_unit =
        link_load(CollectiveAlgorithm::alltoall_simple, CollectiveOp::alltoall, unit, shape);
    double buffers = 0;
    if (of_unit.nvlink > 0) buffers = load.nvlink / of_unit.nvlink;
    if (of_unit.nic > 0) buffers = std::max(buffers, load.nic / of_unit.nic);
    auto const size = std::ceil(buffers * static_cast<double>(unit.count) * (1 - 1e-12));
    if (!(size >= 1)) return;
    plan.phases.push_back(plan_collective(profile, CollectiveOp::alltoall,
                                          Bytes{static_cast<std::int64_t>(size)}, shape)
                              .query);
}

/// One GPU of each domain.
GroupShape one_a_domain(GroupShape shape) {
    shape.ranks = shape.domains;
    shape.ranks_per_domain = 1;
    return shape;
}

/// The GPUs of one domain.
GroupShape one_domain(GroupShape shape) {
    shape.ranks = shape.ranks_per_domain;
    shape.domains = 1;
    shape.rails = 0;
    shape.network_tiers = 0;
    shape.network_efficiency = 1;
    return shape;
}

ExchangePlan pairwise(Profile const& profile, LinkLoad load, GroupShape const& shape) {
    ExchangePlan plan{{}, load};
    add_phase(plan, profile, load, shape);
    return plan;
}

ExchangePlan two_levels(Profile const& profile, LinkLoad load, GroupShape const& shape) {
    ExchangePlan plan{{}, load};
    add_phase(plan, profile, {0, load.nic}, one_a_domain(shape));
    if (shape.ranks_per_domain > 1) {
        add_phase(plan, profile, {load.nvlink, 0}, one_domain(shape));
    }
    return plan;
}

}  // namespace

ExchangePlan pairwise_alltoall(Profile const& profile, Bytes size, GroupShape const& shape) {
    return pairwise(
        profile,
        link_load(CollectiveAlgorithm::alltoall_simple, CollectiveOp::alltoall, size, shape),
        shape);
}

ExchangePlan hierarchical_alltoall(Profile const& profile, Bytes size, GroupShape const& shape) {
    if (shape.domains == 1) return pairwise_alltoall(profile, size, shape);
    if (shape.ranks != shape.domains * shape.ranks_per_domain) {
        throw ConfigError(
            fmt::format("a hierarchical all-to-all of {} ranks over {} NVLink domains (expected "
                        "equal shares)",
                        shape.ranks, shape.domains));
    }
    auto const bytes = static_cast<double>(size.count);
    auto const share = [](std::int64_t n) {
        return static_cast<double>(n - 1) / static_cast<double>(n);
    };
    return two_levels(profile,
                      {bytes * share(shape.ranks_per_domain), bytes * share(shape.domains)}, shape);
}

ExchangePlan moe_exchange(Profile const& profile,
                          MoeRouting const& routing,
                          MoeDedup dedup,
                          Bytes bytes,
                          GroupShape const& shape) {
    auto const load = moe_load(routing, dedup, bytes, shape);
    bool const levels = dedup == MoeDedup::domain && shape.domains > 1;
    return levels ? two_levels(profile, load, shape) : pairwise(profile, load, shape);
}

Cost exchange_cost(Profile const& profile, ExchangePlan const& plan) {
    NVL72_EXPECT(!plan.phases.empty(), "an exchange that moves bytes");
    Cost sum;
    sum.basis.kind = BasisKind::on_grid;
    for (auto const& phase : plan.phases) {
        Cost const one = cost(profile, phase, Load::burst);
        sum.time += one.time;
        sum.bandwidth_part += one.bandwidth_part;
        if (one.basis.kind > sum.basis.kind || sum.basis.why.empty()) {
            sum.basis.kind = std::max(sum.basis.kind, one.basis.kind);
            sum.basis.why = one.basis.why;
        }
    }
    return sum;
}

}  // namespace nvl72
