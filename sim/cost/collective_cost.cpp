#include "sim/cost/collective_cost.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace nvl72 {

namespace {

using Algorithm = CollectiveAlgorithm;

double number(std::int64_t count) { return static_cast<double>(count); }

bool reduces(CollectiveOp op) {
    return op == CollectiveOp::all_reduce || op == CollectiveOp::reduce_scatter;
}

/// Bytes plus what the slow start of a buffer under `knee` costs, in bytes.
double ramped(double bytes, double ramp, double knee) {
    return ramp > 0 ? bytes + ramp * bytes / (1 + bytes / knee) : bytes;
}

/// What every branch looks at.
struct Scene {
    CollectiveSection const& section;
    Collective const& query;
    GroupShape const& shape = query.shape;
    double n = number(query.shape.ranks);
    double size = number(query.size.count);
    LinkLoad load = link_load(algorithm_of(query), query.op, query.size, query.shape);

    /// Stretch of a transfer over NVLink: measured capacity over the capacity here.
    [[nodiscard]] double nvlink_stretch() const {
        return load.nvlink > 0 ? section.nvlink.count / shape.in_domain.count : 1;
    }
    /// Seconds that the NICs need, at a share of their line rate.
    [[nodiscard]] double nic_seconds(double efficiency) const {
        if (shape.domains == 1) return 0;
        NVL72_EXPECT(shape.per_gpu_nic.count > 0 && shape.network_efficiency > 0,
                     "domains are joined by NICs");
        return load.nic / (shape.per_gpu_nic.count * shape.network_efficiency * efficiency);
    }
};

/// Latencies of a ring: `hop` inside a domain, `network_hop` between two.
double ring_latency(Scene const& scene, double base, double hop, double network_hop) {
    auto const steps = ring_steps(scene.query.op, scene.shape.ranks);
    auto const crossings = ring_network_steps(scene.query.op, scene.shape.domains);
    return base + number(steps - crossings) * hop + number(crossings) * network_hop;
}

/// The NICs a ring uses, or its default channels, in seconds. `payload` is the protocol's share.
double ring_network_seconds(Scene const& scene, double payload) {
    if (scene.shape.domains == 1) return 0;
    auto const& network = scene.section.network;
    double const bytes = scene.load.nic * number(smallest_share(scene.shape));
    return std::max(scene.nic_seconds(network.ring_efficiency * payload),
                    bytes / (network.ring_bandwidth_max.count * payload));
}

CollectiveTerms ring_ll_terms(Scene const& scene) {
    auto const& ring = scene.section.ring_ll;
    double const network_hop = scene.section.network.hop_ll.count;
    double const units = scene.size / (scene.n * 2048);  // of one step, in 2 KiB
    double const hop = ring.hop.count + ring.hop_data.count * units / (1 + units);
    double const factor = ring_factor(scene.query.op, scene.shape.ranks);
    double const inside = (factor + ring.local / scene.n) * scene.size / ring.bandwidth.count;
    return {ring_latency(scene, ring.base.count, ring.hop.count, network_hop),
            ring_latency(scene, ring.base.count, hop, network_hop),
            std::max(inside * scene.nvlink_stretch(), ring_network_seconds(scene, 0.5))};
}

CollectiveTerms ring_ll128_terms(Scene const& scene) {
    auto const& ring = scene.section.ring_ll128;
    double const latency = ring_latency(scene, scene.section.ring_ll.base.count, ring.step.count,
                                        scene.section.network.hop_ll128.count);
    double const inside =
        ring_factor(scene.query.op, scene.shape.ranks) * scene.size / ring.bandwidth.count;
    return {latency, latency,
            std::max(inside * scene.nvlink_stretch(), ring_network_seconds(scene, 120.0 / 128))};
}

CollectiveTerms ring_simple_terms(Scene const& scene) {
    auto const& ring = scene.section.ring_simple;
    CollectiveOp const op = scene.query.op;
    double const latency = ring_latency(scene, ring.base.count, ring.step.count,
                                        scene.section.network.hop_simple.count);
    double const copied =
        (ring.local + (op == CollectiveOp::all_reduce ? 0 : ring.out_of_place_copy)) / scene.n;
    double const slower =
        reduces(op) && scene.query.bytes_per_element == 1 ? ring.int8_reduction : 1;
    double const inside = (ring_factor(op, scene.shape.ranks) + copied) * slower *
                          ramped(scene.size, ring.ramp, ring.ramp_bytes.count) /
                          ring.bandwidth.count;
    return {latency, latency,
            std::max(inside * scene.nvlink_stretch(), ring_network_seconds(scene, 1))};
}

/// NVLS among `ranks` GPUs of one domain.
CollectiveTerms nvls_terms(Scene const& scene, std::int64_t ranks) {
    if (!scene.section.nvls) {
        throw ConfigError("this GPU's profile has no nvls branch (expected a ring algorithm)");
    }
    auto const& nvls = *scene.section.nvls;
    double const knee = nvls.ramp_bytes_per_rank.count * number(ranks);
    double const crowd = 1 + nvls.rank_loss * number(std::max<std::int64_t>(0, ranks - 8));
    double const bytes = scene.load.nvlink / scene.size * ramped(scene.size, nvls.ramp, knee);
    return {nvls.base.count, nvls.base.count,
            bytes * crowd * scene.nvlink_stretch() / nvls.bandwidth.count};
}

CollectiveTerms hierarchical_terms(Scene const& scene) {
    auto const& network = scene.section.network;
    CollectiveTerms terms = nvls_terms(scene, scene.shape.ranks_per_domain);
    double levels = 0;
    for (std::int64_t reached = 2; reached <= scene.shape.domains; reached *= 2) ++levels;
    double const tree = 2 * levels * network.tree_step.count;
    terms.latency_empty += tree;
    terms.latency += tree;
    terms.transfer = std::max(terms.transfer * (1 + network.tree_loss),
                              scene.nic_seconds(network.ring_efficiency));
    return terms;
}

double alltoall_start(Scene const& scene, double base) {
    auto const far = scene.shape.ranks - smallest_share(scene.shape);
    return base +
           (scene.shape.domains > 1 ? number(far) * scene.section.network.alltoall_peer.count : 0);
}

CollectiveTerms alltoall_ll_terms(Scene const& scene) {
    auto const& branch = scene.section.alltoall_ll;
    double const latency = alltoall_start(scene, branch.base.count);
    double const inside = scene.size / scene.n / branch.peer_bandwidth.count;
    double const efficiency = scene.section.network.alltoall_efficiency / 2;  // LL: half is flags
    return {latency, latency,
            std::max(inside * scene.nvlink_stretch(), scene.nic_seconds(efficiency))};
}

CollectiveTerms alltoall_simple_terms(Scene const& scene) {
    auto const& branch = scene.section.alltoall_simple;
    double const latency = alltoall_start(scene, branch.base.count);
    double const size = ramped(scene.size, branch.ramp, branch.ramp_bytes.count);
    double const share = scene.load.nvlink / scene.size;
    double const inside = (share + branch.copy / scene.n) * size / branch.bandwidth.count;
    return {latency, latency,
            std::max(inside * scene.nvlink_stretch(),
                     scene.nic_seconds(scene.section.network.alltoall_efficiency))};
}

CollectiveTerms sendrecv_terms(Scene const& scene) {
    auto const& branch = scene.section.sendrecv;
    auto const& network = scene.section.network;
    bool const inside = scene.shape.domains == 1;
    double const latency = inside ? branch.base.count : network.sendrecv_base.count;
    double const transfer = scene.size / branch.bandwidth.count * scene.nvlink_stretch();
    return {latency, latency, std::max(transfer, scene.nic_seconds(network.sendrecv_efficiency))};
}

}  // namespace

Picoseconds full_rate_time(Collective const& query) {
    LinkLoad const load = link_load(algorithm_of(query), query.op, query.size, query.shape);
    double seconds = 0;
    if (load.nvlink > 0) seconds = load.nvlink / query.shape.in_domain.count;
    if (load.nic > 0) seconds = std::max(seconds, load.nic / query.shape.per_gpu_nic.count);
    return from_seconds(seconds) + Picoseconds{1};
}

Basis region_basis(std::string const& name,
                   std::vector<MeasuredRegion> const& regions,
                   std::int64_t ranks,
                   std::int64_t bytes) {
    std::optional<Basis> spanned;
    MeasuredRegion const* below = nullptr;
    MeasuredRegion const* above = nullptr;
    for (auto const& region : regions) {
        if (region.ranks.back() < ranks) {
            if (!below || below->ranks.back() < region.ranks.back()) below = &region;
        } else if (region.ranks.front() > ranks) {
            if (!above || above->ranks.front() > region.ranks.front()) above = &region;
        } else {
            Basis found = section::basis_of(
                name, {{"bytes", bytes, &region.sizes}, {"ranks", ranks, &region.ranks}}, "");
            if (!spanned || found.kind < spanned->kind) spanned = std::move(found);
        }
    }
    if (spanned) return *spanned;
    Basis worst{BasisKind::interpolated, ""};
    for (auto const* region : {below, above}) {
        if (region == nullptr) continue;
        std::vector<section::AxisPoint> points{{"bytes", bytes, &region->sizes}};
        if (!below || !above) points.push_back({"ranks", ranks, &region->ranks});
        Basis found = section::basis_of(name, points, "");
        if (found.kind > worst.kind) worst = std::move(found);
    }
    return worst;
}

namespace {

Basis basis_of(CollectiveSection const& section, Collective const& query) {
    std::string const name = name_of(algorithm_of(query));
    auto const& shape = query.shape;
    if (!section.scaled.empty()) {
        return {BasisKind::datasheet, fmt::format("collectives scaled from {}", section.scaled)};
    }
    if (shape.domains > 1) {
        if (query.size < network_fitted_from) {
            return {BasisKind::extrapolated, "network: bytes below 256 MB"};
        }
        return {BasisKind::extrapolated, "network: another site's fabric"};
    }
    if (section.borrowed) {
        return {BasisKind::datasheet, fmt::format("collectives from {}", *section.borrowed)};
    }
    if (shape.in_domain != section.nvlink) {
        return {BasisKind::extrapolated,
                fmt::format("{} measured on {} of NVLink, here {}", name,
                            ValueType<BytesPerSecond>::write(section.nvlink),
                            ValueType<BytesPerSecond>::write(shape.in_domain))};
    }
    bool const nvls = algorithm_of(query) == Algorithm::nvls;
    if (query.op == CollectiveOp::broadcast || (nvls && query.op != CollectiveOp::all_reduce)) {
        return {BasisKind::extrapolated,
                fmt::format("{} {} from its other operations", name, name_of(query.op))};
    }
    return region_basis(name, nvls ? section.nvls->measured : section.measured, shape.ranks,
                        query.size.count);
}

}  // namespace

CollectiveTerms collective_terms(CollectiveSection const& section, Collective const& query) {
    NVL72_EXPECT(query.shape.ranks >= 2, "a collective has at least two ranks");
    NVL72_EXPECT(query.size.count > 0, "a collective moves bytes");
    NVL72_EXPECT(query.shape.ranks_per_domain == 1 || query.shape.in_domain.count > 0,
                 "GPUs of one domain are joined by NVLink");
    Scene const scene{section, query};
    switch (algorithm_of(query)) {
        case Algorithm::ring_ll: return ring_ll_terms(scene);
        case Algorithm::ring_ll128: return ring_ll128_terms(scene);
        case Algorithm::ring_simple: return ring_simple_terms(scene);
        case Algorithm::nvls: return nvls_terms(scene, query.shape.ranks);
        case Algorithm::hierarchical: return hierarchical_terms(scene);
        case Algorithm::alltoall_ll: return alltoall_ll_terms(scene);
        case Algorithm::alltoall_simple: return alltoall_simple_terms(scene);
        case Algorithm::sendrecv: return sendrecv_terms(scene);
        default: break;  // microkernels have a section of their own
    }
    NVL72_EXPECT(false, "every algorithm has its branch");
    return {};
}

double collective_seconds(CollectiveSection const& section, CollectiveTerms const& terms) {
    double const p = section.overlap_norm;
    // Scaled by the larger term, so that powers of microseconds do not underflow.
    double const larger = std::max(terms.latency, terms.transfer);
    return larger *
           std::pow(std::pow(terms.latency / larger, p) + std::pow(terms.transfer / larger, p),
                    1 / p);
}

Cost collective_cost(CollectiveSection const& section, Collective const& query) {
    CollectiveTerms const terms = collective_terms(section, query);
    double const time = collective_seconds(section, terms);
    NVL72_EXPECT(std::isfinite(time) && time > 0 && time >= terms.latency_empty * (1 - 1e-12),
                 "a collective takes a positive, finite time");
    Picoseconds const whole = from_seconds(time);
    Picoseconds const moving =
        std::max(from_seconds(std::max(0.0, time - terms.latency_empty)), full_rate_time(query));
    NVL72_EXPECT(moving <= whole, "no link carries more than its capacity");
    return {whole, moving, basis_of(section, query)};
}

int collective_sms(CollectiveSection const& section, CollectiveAlgorithm algorithm) {
    switch (algorithm) {
        case Algorithm::ring_ll: return section.ring_ll.sms;
        case Algorithm::ring_ll128: return section.ring_ll128.sms;
        case Algorithm::ring_simple: return section.ring_simple.sms;
        case Algorithm::nvls:
        case Algorithm::hierarchical: return section.nvls ? section.nvls->sms : 0;
        case Algorithm::alltoall_ll: return section.alltoall_ll.sms;
        case Algorithm::alltoall_simple: return section.alltoall_simple.sms;
        case Algorithm::sendrecv: return section.sendrecv.sms;
        default: break;  // microkernels have a section of their own
    }
    NVL72_EXPECT(false, "every algorithm holds SMs");
    return 0;
}

}  // namespace nvl72
