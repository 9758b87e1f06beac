#include "kernels/launch/places.hpp"

#include <algorithm>
#include <numeric>

namespace nvl72::kernels {
namespace {

/// The next value of a splitmix64 stream (the same on every machine).
std::uint64_t next_random(std::uint64_t& state) {
    std::uint64_t z = state += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
}

void check_experts(int experts_total, int top_k, int ranks) {
    if (experts_total < 1 || experts_total % ranks != 0)
        throw RanksError(std::to_string(experts_total) + " experts on " + std::to_string(ranks) +
                         " ranks (expected a multiple)");
    if (top_k < 1 || top_k > experts_total)
        throw RanksError("top-" + std::to_string(top_k) + " of " + std::to_string(experts_total) +
                         " experts");
}

}  // namespace

MoeRouting even_routing(int ranks, int tokens, int top_k, int experts_total, std::uint64_t seed) {
    check_experts(experts_total, top_k, ranks);
    MoeRouting routing{tokens, top_k, experts_total, {}};
    std::vector<std::int32_t> order(static_cast<std::size_t>(experts_total));
    std::iota(order.begin(), order.end(), 0);
    for (int rank = 0; rank < ranks; ++rank) {
        auto& experts = routing.experts.emplace_back();
        for (int token = 0; token < tokens; ++token) {
            for (int k = 0; k < top_k; ++k) {  // the first steps of a shuffle
                auto const left = static_cast<std::uint64_t>(experts_total - k);
                auto const other = static_cast<std::size_t>(k) + next_random(seed) % left;
                std::swap(order[static_cast<std::size_t>(k)], order[other]);
                experts.push_back(order[static_cast<std::size_t>(k)]);
            }
        }
    }
    return routing;
}

RouteTables route_tables(MoeRouting const& routing, int ranks, int rank) {
    check_experts(routing.experts_total, routing.top_k, ranks);
    auto const tokens = static_cast<std::size_t>(std::max(routing.tokens, 0));
    auto const top_k = static_cast<std::size_t>(routing.top_k);
    if (routing.tokens < 0 || routing.experts.size() != static_cast<std::size_t>(ranks) ||
        routing.experts[static_cast<std::size_t>(rank)].size() != tokens * top_k)
        throw RanksError("routing of another shape (expected [ranks][tokens * top_k] experts)");
    auto const& experts = routing.experts[static_cast<std::size_t>(rank)];
    int const per_rank = routing.experts_total / ranks;
    RouteTables tables;
    tables.list.resize(static_cast<std::size_t>(ranks) * tokens);
    tables.rows_to.resize(static_cast<std::size_t>(ranks));
    for (std::size_t i = 0; i < experts.size(); ++i) {
        if (experts[i] < 0 || experts[i] >= routing.experts_total)
            throw RanksError("routing to expert " + std::to_string(experts[i]) + " of " +
                             std::to_string(routing.experts_total));
        auto const to = static_cast<std::size_t>(experts[i] / per_rank);
        auto const token = static_cast<std::int32_t>(i / top_k);
        auto& rows = tables.rows_to[to];
        auto* const list = tables.list.data() + to * tokens;
        if (rows == 0 || list[rows - 1] != token) list[rows++] = token;
    }
    return tables;
}

std::vector<std::int64_t> rows_sent(MoeRouting const& routing, int rank) {
    auto const tables = route_tables(routing, static_cast<int>(routing.experts.size()), rank);
    return {tables.rows_to.begin(), tables.rows_to.end()};
}

}  // namespace nvl72::kernels
