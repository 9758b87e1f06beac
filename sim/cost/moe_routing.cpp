#include "sim/cost/moe_routing.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>

namespace nvl72 {

namespace {

/// Of every expert, their largest 1; a power of them all would change nothing.
std::vector<double> popularities(MoeRouting const& routing) {
    std::vector<double> popular;
    for (int i = 0; i < routing.experts; ++i) popular.push_back(std::pow(i + 1, -routing.zipf));
    return popular;
}

/// Elementary symmetric polynomials of degree 0 to k of the weights but [first, end): sums over all
/// sets of so many of them of their products.
std::vector<double> symmetric_sums(std::span<double const> weights,
                                   std::size_t first,
                                   std::size_t end,
                                   std::size_t k) {
    std::vector<double> sums(k + 1);
    sums[0] = 1;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        if (i >= first && i < end) continue;
        for (std::size_t j = k; j > 0; --j) sums[j] += sums[j - 1] * weights[i];
    }
    return sums;
}

void check(MoeRouting const& routing) {
    if (routing.top_k < 1 || routing.top_k > routing.experts) {
        throw ConfigError(
            fmt::format("top_k: {} (expected 1 to {} experts)", routing.top_k, routing.experts));
    }
    if (!(routing.zipf >= 0 && routing.zipf <= 10)) {
        throw ConfigError(fmt::format("zipf: {} (expected 0, balanced, to 10)", routing.zipf));
    }
}

void check_parts(MoeRouting const& routing, std::int64_t parts) {
    if (parts >= 1 && parts <= routing.experts && routing.experts % parts == 0) return;
    throw ConfigError(
        fmt::format("{} experts on {} ranks or domains (expected experts that divide "
                    "by them)",
                    routing.experts, parts));
}

}  // namespace

double hit_probability(MoeRouting const& routing, int first, int count) {
    check(routing);
    NVL72_EXPECT(first >= 0 && count >= 0 && first + count <= routing.experts,
                 "experts that there are");
    auto const weights = popularities(routing);
    auto const k = static_cast<std::size_t>(routing.top_k);
    auto const begin = static_cast<std::size_t>(first);
    double const all = symmetric_sums(weights, 0, 0, k).back();
    double const without =
        symmetric_sums(weights, begin, begin + static_cast<std::size_t>(count), k).back();
    NVL72_EXPECT(std::isfinite(all) && all > 0, "sums of products stay in range");
    return 1 - without / all;
}

std::vector<double> copies_by_part(MoeRouting const& routing, int parts, bool dedup) {
    check_parts(routing, parts);
    int const each = routing.experts / parts;
    std::vector<double> copies;
    for (int part = 0; part < parts; ++part) {
        double sum = 0;
        if (dedup) {
            sum = hit_probability(routing, part * each, each);
        } else {
            for (int i = 0; i < each; ++i) sum += hit_probability(routing, part * each + i, 1);
        }
        copies.push_back(sum);
    }
    return copies;
}

double distinct_parts(MoeRouting const& routing, int parts) {
    auto const copies = copies_by_part(routing, parts, true);
    return std::accumulate(copies.begin(), copies.end(), 0.0);
}

LinkLoad moe_load(MoeRouting const& routing, MoeDedup dedup, Bytes bytes, GroupShape const& shape) {
    check_parts(routing, shape.ranks);
    if (shape.ranks != shape.domains * shape.ranks_per_domain) {
        throw ConfigError(fmt::format("{} ranks over {} NVLink domains (expected equal shares)",
                                      shape.ranks, shape.domains));
    }
    auto const size = static_cast<double>(bytes.count);
    auto const own = static_cast<std::size_t>(shape.ranks_per_domain);
    auto const inside = static_cast<double>(shape.ranks_per_domain);
    auto const outside = static_cast<double>(shape.ranks) - inside;
    auto const by_rank =
        copies_by_part(routing, static_cast<int>(shape.ranks), dedup != MoeDedup::none);
    auto const by_domain = dedup == MoeDedup::domain
                               ? copies_by_part(routing, static_cast<int>(shape.domains), true)
                               : std::vector<double>{};
    // What the busiest gets: nobody sends more, as the others it sends to get no more each.
    LinkLoad most;
    for (std::size_t rank = 0; rank < by_rank.size(); ++rank) {
        double const in = by_rank[rank];
        LinkLoad load{(inside - 1) * in, outside * in};
        if (dedup == MoeDedup::domain) {
            // Its rail's GPU of each other domain sends to it, and it passes their tokens on.
            auto const senders = static_cast<double>(shape.domains);
            load = {(inside - 1) * senders * in, (senders - 1) * by_domain[rank / own]};
        }
        most.nvlink = std::max(most.nvlink, load.nvlink);
        most.nic = std::max(most.nic, load.nic);
    }
    if (shape.domains == 1) most.nic = 0;
    return most * size;
}

}  // namespace nvl72
