#include "topology/hashing.hpp"

#include "sim/base/error.hpp"
#include "sim/base/random.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <utility>

namespace nvl72 {

namespace {

/// Rail and number of a leaf switch.
using Leaf = std::pair<std::int64_t, std::int64_t>;

Leaf leaf_of(Fabric const& fabric, std::int64_t gpu) {
    auto const& cluster = fabric.cluster();
    std::int64_t const per_domain = fabric.gpus_per_domain();
    std::int64_t const per_unit = cluster.gpus_per_unit / per_domain;  // domains of a unit
    std::int64_t const domain = gpu / per_domain;
    std::int64_t const slot = domain % per_unit * per_domain + gpu % per_domain;
    return {slot % cluster.gpus_per_tray, domain / per_unit / cluster.network.units_per_leaf};
}

double ports_of(ClusterSpec const& cluster) {
    std::int64_t const trays = cluster.gpus_per_unit / cluster.gpus_per_tray;
    return static_cast<double>(cluster.network.units_per_leaf * trays * cluster.nics.per_gpu);
}

std::uint64_t uplinks_of(ClusterSpec const& cluster) {
    double const ports = ports_of(cluster);
    return static_cast<std::uint64_t>(std::max(1.0, ports / cluster.network.oversubscription));
}

}  // namespace

std::vector<double> ecmp_shares(Fabric const& fabric,
                                std::span<RailFlow const> flows,
                                std::uint64_t seed) {
    auto const uplinks = uplinks_of(fabric.cluster());
    using Link = std::pair<Leaf, std::uint64_t>;  // of a leaf, to or from a spine
    std::map<Link, int> up, down;
    std::vector<std::pair<Link, Link>> ways;
    for (auto const& flow : flows) {
        Leaf const here = leaf_of(fabric, flow.from);
        Leaf const there = leaf_of(fabric, flow.to);
        NVL72_EXPECT(here.first == there.first, "a flow stays on its rail");
        auto const name = fmt::format("flow {} {} {}", flow.from, flow.to, flow.nic);
        std::uint64_t const spine = RandomStream(seed, name).below(uplinks);
        ways.push_back({{here, spine}, {there, spine}});
        if (here == there) continue;
        ++up[ways.back().first];
        ++down[ways.back().second];
    }
    std::vector<double> shares;
    for (auto const& [first, last] : ways) {
        bool const crosses = first.first != last.first;
        shares.push_back(crosses ? 1.0 / std::max(up.at(first), down.at(last)) : 1);
    }
    return shares;
}

double ecmp_share_mean(ClusterSpec const& cluster) {
    auto const uplinks = static_cast<double>(uplinks_of(cluster));
    return 1 - std::pow(1 - 1 / uplinks, ports_of(cluster));
}

std::vector<double> ring_ecmp_shares(Fabric const& fabric,
                                     GroupShape const& shape,
                                     std::uint64_t seed) {
    NVL72_EXPECT(shape.domains > 1, "a ring that leaves its domain");
    std::int64_t const exits =
        std::max<std::int64_t>(1, shape.ranks - (shape.domains - 1) * shape.ranks_per_domain);
    int const nics = fabric.cluster().nics.per_gpu;
    std::vector<RailFlow> flows;
    for (std::int64_t domain = 0; domain < shape.domains; ++domain) {
        std::int64_t const next = (domain + 1) % shape.domains;
        for (std::int64_t i = 0; i < exits; ++i) {
            for (int nic = 0; nic < nics; ++nic) {
                flows.push_back({domain * fabric.gpus_per_domain() + i,
                                 next * fabric.gpus_per_domain() + i, nic});
            }
        }
    }
    auto const shares = ecmp_shares(fabric, flows, seed);
    double const kept = fabric.cluster().network.routing_factor.adaptive;
    std::vector<double> slowest;
    auto const each = static_cast<std::ptrdiff_t>(exits * nics);
    for (auto at = shares.begin(); at != shares.end(); at += each) {
        slowest.push_back(kept * *std::min_element(at, at + each));
    }
    return slowest;
}

}  // namespace nvl72
