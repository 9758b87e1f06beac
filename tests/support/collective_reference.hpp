#pragma once

#include "kernels/launch/ranks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

/// Collectives against a serial reference: inputs are small whole numbers, so that a sum over ranks
/// is the same in float and in any order.
namespace nvl72::kernels::reference {

/// What a test does with one set of ranks.
struct Case {
    std::size_t row = 0;
    std::int64_t count = 0;
    bool in_place = false;
    int root = 0;
    int iterations = 1;
    int tokens = 1;  ///< of moe_*
};

/// Element i of the send buffer of `rank` in `set`: -127 to 127, different in neighbours of all
/// kinds.
inline int input(int rank, int set, std::int64_t i) {
    return static_cast<int>((i * 37 + rank * std::int64_t{101} + set * std::int64_t{17}) % 255) -
           127;
}

/// The routing that a case of tokens of `hidden` elements uses.
inline MoeRouting routing(int ranks, int tokens) {
    return even_routing(ranks, tokens, ranks == 1 ? 1 : 3, 4 * ranks, 5);
}

/// What `rank` receives, element by element: its value, or `untouched` where no call may write.
inline constexpr int untouched = 4711;

inline std::vector<int> moe_expected(
    Op op, MoeRouting const& routing, std::int64_t hidden, int rank, int set) {
    auto const n = static_cast<int>(routing.experts.size());
    int const per_rank = routing.experts_total / n;
    std::int64_t const tokens = routing.tokens;
    auto goes = [&](int from, std::int64_t token, int to) {
        auto const first =
            routing.experts[static_cast<std::size_t>(from)].begin() + token * routing.top_k;
        return std::any_of(first, first + routing.top_k,
                           [&](int expert) { return expert / per_rank == to; });
    };
    bool const dispatch = op == Op::moe_dispatch;
    std::int64_t const rows = dispatch ? n * tokens : tokens;
    std::vector<int> out(static_cast<std::size_t>(rows * hidden), dispatch ? untouched : 0);
    // Dispatch: rank `peer` sends its tokens. Combine: it sends back what its send buffer holds in
    // the row where the token came to lie.
    for (int peer = 0; peer < n; ++peer) {
        for (std::int64_t token = 0, row = 0; token < tokens; ++token) {
            if (!(dispatch ? goes(peer, token, rank) : goes(rank, token, peer))) continue;
            std::int64_t const there = dispatch ? token : rank * tokens + row;
            std::int64_t const here = dispatch ? peer * tokens + row : token;
            for (std::int64_t h = 0; h < hidden; ++h) {
                auto& element = out[static_cast<std::size_t>(here * hidden + h)];
                int const value = input(peer, set, there * hidden + h);
                element = dispatch ? value : element + value;
            }
            ++row;
        }
    }
    return out;
}

/// Element i of what `rank` receives of any other operation.
inline int expected_at(
    Collective const& row, Case const& c, int ranks, int rank, int set, std::int64_t i) {
    auto sum = [&](std::int64_t j) {
        int total = 0;
        for (int r = 0; r < ranks; ++r) total += input(r, set, j);
        return total;
    };
    auto const part = c.count == 0 ? 0 : static_cast<int>(i / c.count);
    switch (row.op) {
        case Op::all_reduce: return sum(i);
        case Op::all_gather: return input(part, set, i % c.count);
        case Op::reduce_scatter: return sum(rank * c.count + i);
        case Op::alltoall: return input(part, set, rank * c.count + i % c.count);
        case Op::broadcast: return input(c.root, set, i);
        case Op::ping_pong: return input(rank - rank % 2, set, i);
        case Op::moe_dispatch:
        case Op::moe_combine: break;
    }
    return 0;
}

inline std::vector<int> expected(
    Collective const& row, Case const& c, int ranks, int rank, int set) {
    if (row.op == Op::moe_dispatch || row.op == Op::moe_combine)
        return moe_expected(row.op, routing(ranks, c.tokens), c.count / c.tokens, rank, set);
    std::vector<int> all;
    bool const alone = row.op == Op::ping_pong && rank == ranks - 1 && ranks % 2 == 1;
    auto const size = receive_elements(row.op, c.count, ranks);
    all.reserve(static_cast<std::size_t>(size));
    for (std::int64_t i = 0; i < size; ++i)
        all.push_back(alone && !c.in_place ? untouched : expected_at(row, c, ranks, rank, set, i));
    return all;
}

/// Where in a buffer the operands of a call in place begin.
inline std::int64_t own_part(Case const& c, Op op, Op whole, int rank) {
    return c.in_place && op == whole ? rank * c.count : 0;
}

/// Cases of a row: nothing, one element, less than one for each rank, less than a message, several;
/// large and small ones after each other, each `iterations` times without a reset. moe_* take whole
/// rows of tokens, wide and narrow.
inline std::vector<Case> cases_of(std::size_t row, int ranks, int iterations) {
    auto const op = collectives()[row].op;
    std::vector<Case> cases;
    if (op == Op::moe_dispatch || op == Op::moe_combine) {
        for (int const tokens : {1, 13, 5})
            for (std::int64_t const hidden : {0, 1, 7, 16, 72})
                cases.push_back({row, tokens * hidden, false, 0, iterations, tokens});
        return cases;
    }
    for (std::int64_t const count : {0, 1, 3, 17, 1023, 64, 2})
        for (bool const in_place : {false, true})
            cases.push_back({row, count, in_place, ranks / 2, iterations});
    return cases;
}

/// Fills all buffers, runs a case and compares every element, those behind the result's end too.
///   returns  "" or the first difference
template <class T>
std::string difference(Ranks& ranks, Case const& c, int sets, std::int64_t elements_max) {
    auto const& row = collectives()[c.row];
    int const n = ranks.ranks();
    bool const scatters = row.op == Op::reduce_scatter;
    std::vector<T> buffer(static_cast<std::size_t>(elements_max));
    auto bytes = [&] { return std::as_writable_bytes(std::span(buffer)); };
    auto element = std::is_same_v<T, float> ? Element::f32 : Element::i32;

    if (row.op == Op::moe_dispatch || row.op == Op::moe_combine) ranks.route(routing(n, c.tokens));
    if (row.op == Op::moe_combine)  // the row before it is its dispatch, by the same protocol
        ranks.run({.row = c.row - 2, .count = c.count, .element = element});
    for (int rank = 0; rank < n; ++rank) {
        for (int set = 0; set < sets; ++set) {
            std::ranges::fill(buffer, static_cast<T>(untouched));
            ranks.write(rank, Buffer::receive, set, bytes());
            auto const begin = own_part(c, row.op, Op::all_gather, rank);
            for (std::int64_t i = 0; i < send_elements(row.op, c.count, n); ++i)
                buffer[static_cast<std::size_t>(begin + i)] = static_cast<T>(input(rank, set, i));
            ranks.write(rank, c.in_place && !scatters ? Buffer::receive : Buffer::send, set,
                        bytes());
        }
    }
    ranks.run({.row = c.row,
               .count = c.count,
               .element = element,
               .in_place = c.in_place,
               .root = c.root,
               .iterations = c.iterations});

    for (int rank = 0; rank < n; ++rank) {
        for (int set = 0; set < sets; ++set) {
            ranks.read(rank, c.in_place && scatters ? Buffer::send : Buffer::receive, set, bytes());
            auto const begin =
                static_cast<std::size_t>(own_part(c, row.op, Op::reduce_scatter, rank));
            auto want = expected(row, c, n, rank, set);
            if (!(c.in_place && scatters)) want.resize(buffer.size(), untouched);
            for (std::size_t i = 0; i < want.size(); ++i) {
                if (buffer[begin + i] != static_cast<T>(want[i]))
                    return fmt::format(
                        "{} {}: {} ranks, count {}, {}, set {}: rank {} has {} at {} (expected {})",
                        row.name, name_of(row.protocol), n, c.count,
                        c.in_place ? "in place" : "out of place", set, rank, buffer[begin + i], i,
                        want[i]);
            }
        }
    }
    return "";
}

}  // namespace nvl72::kernels::reference
