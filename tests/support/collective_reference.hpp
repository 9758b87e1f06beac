#pragma once

#include "kernels/launch/ranks.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
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
};

/// Element i of the send buffer of `rank` in `set`: -127 to 127, different in neighbours of all
/// kinds.
inline int input(int rank, int set, std::int64_t i) {
    return static_cast<int>((i * 37 + rank * 101 + set * 17) % 255) - 127;
}

/// Element i of what `rank` receives, where the call changes it.
inline int expected(
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

/// What a buffer holds where no call may write.
inline constexpr int untouched = 4711;

/// Runs a case and compares every element, those behind the result's end too.
///   returns  "" or the first difference
template <class T>
std::string difference(Ranks& ranks, Case const& c, int sets, std::int64_t elements_max) {
    auto const& row = collectives()[c.row];
    int const n = ranks.ranks();
    auto const sends = send_elements(row.op, c.count, n);
    auto const receives = receive_elements(row.op, c.count, n);
    std::vector<T> buffer(static_cast<std::size_t>(elements_max));
    auto bytes = [&] { return std::as_writable_bytes(std::span(buffer)); };

    for (int rank = 0; rank < n; ++rank) {
        for (int set = 0; set < sets; ++set) {
            std::ranges::fill(buffer, static_cast<T>(untouched));
            ranks.write(rank, Buffer::receive, set, bytes());
            bool const inside = c.in_place && row.op == Op::all_gather;
            std::int64_t const begin = inside ? rank * c.count : 0;
            for (std::int64_t i = 0; i < sends; ++i)
                buffer[static_cast<std::size_t>(begin + i)] = static_cast<T>(input(rank, set, i));
            bool const in_receive = c.in_place && row.op != Op::reduce_scatter;
            ranks.write(rank, in_receive ? Buffer::receive : Buffer::send, set, bytes());
        }
    }
    ranks.run({.row = c.row,
               .count = c.count,
               .element = std::is_same_v<T, float> ? Element::f32 : Element::i32,
               .in_place = c.in_place,
               .root = c.root,
               .iterations = c.iterations});

    for (int rank = 0; rank < n; ++rank) {
        bool const alone = row.op == Op::ping_pong && rank == n - 1 && n % 2 == 1;
        for (int set = 0; set < sets; ++set) {
            bool const in_send = c.in_place && row.op == Op::reduce_scatter;
            ranks.read(rank, in_send ? Buffer::send : Buffer::receive, set, bytes());
            std::int64_t const begin = in_send ? rank * c.count : 0;
            std::int64_t const end = in_send ? begin + receives : elements_max;
            for (std::int64_t i = begin; i < end; ++i) {
                bool const result = i - begin < receives && !(alone && !c.in_place);
                auto const want =
                    static_cast<T>(result ? expected(row, c, n, rank, set, i - begin) : untouched);
                auto const got = buffer[static_cast<std::size_t>(i)];
                if (got != want)
                    return fmt::format(
                        "{} {}: {} ranks, count {}, {}, set {}: rank {} has {} at {} (expected {})",
                        row.name, name_of(row.protocol), n, c.count,
                        c.in_place ? "in place" : "out of place", set, rank, got, i, want);
            }
        }
    }
    return "";
}

}  // namespace nvl72::kernels::reference
