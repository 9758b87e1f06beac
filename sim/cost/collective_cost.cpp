#include "sim/cost/collective_cost.hpp"

#include "sim/base/error.hpp"
#include "sim/cost/collective_scene.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace nvl72 {

namespace {

using Algorithm = CollectiveAlgorithm;

using collective_scene::norm_of;

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

std::string network_basis(NetworkBranch const& network, Bytes size) {
    if (network.calibrated) {
        return fmt::format("network: {} as other sites calibrated it", network.fabric);
    }
    return fmt::format("network: only NIC count and line rate known{}",
                       size < line_rate_decides_from ? ", and software decides below 256 MB" : "");
}

Basis basis_of(CollectiveSection const& section, Collective const& query) {
    std::string const name = name_of(algorithm_of(query));
    auto const& shape = query.shape;
    bool const across = shape.domains > 1;
    std::string const network = across ? network_basis(section.network, query.size) : "";
    if (!section.scaled.empty()) {
        return {BasisKind::datasheet, fmt::format("collectives scaled from {}{}{}", section.scaled,
                                                  across ? "; " : "", network)};
    }
    if (across) return {BasisKind::extrapolated, network};
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

double collective_seconds(CollectiveSection const& section, CollectiveTerms const& terms) {
    double const p = std::max(section.overlap_norm, terms.norm);
    return norm_of(norm_of(terms.latency, terms.transfer, p), terms.launching, section.launch.norm);
}

Cost collective_cost(CollectiveSection const& section, Collective const& query) {
    CollectiveTerms const terms = collective_terms(section, query);
    double const time = collective_seconds(section, terms);
    double const empty = norm_of(terms.latency_empty, terms.launching, section.launch.norm);
    NVL72_EXPECT(std::isfinite(time) && time > 0 && time >= empty * (1 - 1e-12),
                 "a collective takes a positive, finite time");
    Picoseconds const whole = from_seconds(time);
    Picoseconds const moving =
        std::max(from_seconds(std::max(0.0, time - empty)), full_rate_time(query));
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
        case Algorithm::tree_ll:
        case Algorithm::tree_ll128:
        case Algorithm::tree_simple: return section.tree.sms;
        case Algorithm::pat: return section.ring_simple.sms;
        case Algorithm::collnet: return section.nvls ? section.nvls->sms : 0;
        case Algorithm::symmetric: return section.symmetric ? section.symmetric->sms : 0;
        default: break;  // microkernels have a section of their own
    }
    NVL72_EXPECT(false, "every algorithm holds SMs");
    return 0;
}

}  // namespace nvl72
