#include "sim/cost/ring_cost.hpp"

#include "sim/base/error.hpp"
#include "sim/cost/collective_scene.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace nvl72 {

namespace {

using namespace collective_scene;
using Algorithm = CollectiveAlgorithm;

/// The NICs a ring uses, or its default channels, in seconds. `payload` is the protocol's share.
double network_seconds(Scene const& scene, double payload) {
    if (scene.shape.domains == 1) return 0;
    auto const& network = scene.section.network;
    double const bytes = scene.load.nic * number(smallest_share(scene.shape));
    return std::max(scene.nic_seconds(network.ring_efficiency * payload),
                    bytes / (network.ring_bandwidth_max.count * payload));
}

/// A hop between two domains of a ring, which is longer with one rank a domain: NCCL then takes its
/// tree's latencies, 1.9 times the ring's for LL and 2.1 times for LL128.
///   source  NCCL 2.30.7, src/graph/tuning.cc
double network_hop(Scene const& scene,
                   Seconds hop,
                   TunerLatency const& ring,
                   TunerLatency const& tree) {
    bool const known = ring.network.count > 0 && tree.network.count > 0;
    if (scene.shape.ranks_per_domain > 1 || !known) return hop.count;
    return hop.count * tree.network.count / ring.network.count;
}

/// Between domains the steps of LL and LL128 wait for messages while bytes of others move.
double ring_norm(Scene const& scene) {
    return scene.shape.domains > 1 ? scene.section.network.ring_norm : 1;
}

/// Between two domains only.
double gap_of(Scene const& scene, Seconds gap) { return scene.shape.domains > 1 ? gap.count : 0; }

RingLinkCosts ll_costs(Scene const& scene) {
    auto const& ring = scene.section.ring_ll;
    auto const& network = scene.section.network;
    auto const& tuner = scene.section.tuner;
    double const units = scene.size / (scene.n * 2048);  // of one step, in 2 KiB
    double const factor = ring_factor(scene.query.op, scene.shape.ranks);
    double const inside = (factor + ring.local / scene.n) * scene.size / ring.bandwidth.count;
    return {ring.base.count,
            ring.hop.count,
            ring.hop.count + ring.hop_data.count * units / (1 + units),
            network_hop(scene, network.hop_ll, tuner.ll, tuner.tree.ll),
            gap_of(scene, network.message_gap_ll),
            inside * scene.nvlink_stretch(),
            network_seconds(scene, 0.5),
            ring_norm(scene)};
}

RingLinkCosts ll128_costs(Scene const& scene) {
    auto const& ring = scene.section.ring_ll128;
    auto const& network = scene.section.network;
    auto const& tuner = scene.section.tuner;
    auto const& simple = scene.section.ring_simple;
    double const inside = ring_factor(scene.query.op, scene.shape.ranks) *
                          ramped(scene.size, simple.ramp, simple.ramp_bytes.count) /
                          ring.bandwidth.count;
    return {scene.section.ring_ll.base.count,
            ring.step.count,
            ring.step.count,
            network_hop(scene, network.hop_ll128, tuner.ll128, tuner.tree.ll128),
            gap_of(scene, network.message_gap),
            inside * scene.nvlink_stretch(),
            network_seconds(scene, 120.0 / 128),
            ring_norm(scene)};
}

RingLinkCosts simple_costs(Scene const& scene) {
    auto const& ring = scene.section.ring_simple;
    auto const& network = scene.section.network;
    CollectiveOp const op = scene.query.op;
    double const copied =
        (ring.local + (op == CollectiveOp::all_reduce ? 0 : ring.out_of_place_copy)) / scene.n;
    double const slower =
        reduces(op) && scene.query.bytes_per_element == 1 ? ring.int8_reduction : 1;
    double const inside = (ring_factor(op, scene.shape.ranks) + copied) * slower *
                          ramped(scene.size, ring.ramp, ring.ramp_bytes.count) /
                          ring.bandwidth.count;
    return {ring.base.count,
            ring.step.count,
            ring.step.count,
            network.hop_simple.count,
            gap_of(scene, network.message_gap),
            inside * scene.nvlink_stretch(),
            network_seconds(scene, 1),
            1};
}

/// A chunk crosses each network link once, but every link passes a message a step, and no faster
/// than its proxy works.
double waiting(RingLinkCosts const& costs, Collective const& query, double hop) {
    auto const steps = ring_steps(query.op, query.shape.ranks);
    auto const crossings = ring_network_steps(query.op, query.shape.domains);
    double const way = number(steps - crossings) * hop + number(crossings) * costs.network_hop;
    return costs.base + std::max(way, number(steps) * costs.gap);
}

}  // namespace

double RingLinkCosts::send_inside(std::int64_t steps) const { return inside / number(steps); }

double RingLinkCosts::send_between(std::int64_t steps) const {
    return std::max({inside / number(steps), network / number(steps), gap});
}

RingLinkCosts ring_link_costs(CollectiveSection const& section, Collective const& query) {
    Scene const scene{section, query};
    switch (algorithm_of(query)) {
        case Algorithm::ring_ll: return ll_costs(scene);
        case Algorithm::ring_ll128: return ll128_costs(scene);
        case Algorithm::ring_simple: return simple_costs(scene);
        default:
            throw ConfigError(
                fmt::format("fidelity steps: {} is no ring (expected a ring algorithm)",
                            name_of(algorithm_of(query))));
    }
}

CollectiveTerms ring_terms(CollectiveSection const& section, Collective const& query) {
    auto const costs = ring_link_costs(section, query);
    return {waiting(costs, query, costs.hop_empty), waiting(costs, query, costs.hop),
            std::max(costs.inside, costs.network), 0, costs.norm};
}

}  // namespace nvl72
