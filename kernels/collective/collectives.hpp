#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace nvl72::kernels {

/// What a collective does, named as nccl-tests and DeepEP name it. `count` is NCCL's count.
enum class Op : std::uint8_t {
    all_reduce,      ///< count -> count: the sum over ranks
    all_gather,      ///< count -> ranks x count: every rank's elements, by rank
    reduce_scatter,  ///< ranks x count -> count: this rank's part of the sum
    alltoall,        ///< ranks x count -> ranks x count: part p comes from rank p
    broadcast,       ///< count -> count: the root's elements
    ping_pong,  ///< count -> count: an even rank to the next and back, through the odd one's memory
    moe_dispatch,  ///< tokens x hidden -> ranks x tokens x hidden: rows of tokens to their experts'
                   ///< ranks
    moe_combine,   ///< ranks x tokens x hidden -> tokens x hidden: the sum of the rows that come
                   ///< back
};

/// How elements travel.
enum class Protocol : std::uint8_t {
    low_latency,  ///< words of 4 bytes of data and 4 of flag: one crossing, half the bandwidth
    bulk,         ///< a slot of data, then a flag
    multicast,    ///< NVLS: the switch reduces and copies; only on GPUs with multicast
};

/// The elements; both have 4 bytes.
enum class Element : std::uint8_t { f32, i32 };

inline constexpr std::int64_t element_bytes = 4;
inline constexpr int ranks_max = 16;

/// One row of the table of collectives.
struct Collective {
    std::string_view name;  ///< algorithm and operation: ring_all_reduce
    Op op;
    Protocol protocol;
    std::string_view help;
};

/// The table, in the order of kernels/collective/table.hpp; a row is named by its index.
std::span<Collective const> collectives();

/// nccl-tests' names: all_reduce, all_gather, ...; and ll, bulk, multicast.
std::string_view name_of(Op op);
std::string_view name_of(Protocol protocol);

/// Elements that each rank reads and writes in a call of `count` elements (for moe_*: count is
/// tokens x hidden of one rank, and receive is the most that may come).
std::int64_t send_elements(Op op, std::int64_t count, int ranks);
std::int64_t receive_elements(Op op, std::int64_t count, int ranks);

/// The count of a call of nccl-tests' size `bytes`, the full buffer: of the sum, of what is
/// gathered, of what is scattered or exchanged by one rank. Rounds down, so it may be 0 for a small
/// buffer.
std::int64_t count_of(Op op, std::int64_t bytes, int ranks);

}  // namespace nvl72::kernels
