#pragma once

#include "kernels/collective/alltoall.hpp"
#include "kernels/collective/chain_broadcast.hpp"
#include "kernels/collective/direct_all_gather.hpp"
#include "kernels/collective/direct_reduce_scatter.hpp"
#include "kernels/collective/moe.hpp"
#include "kernels/collective/nvls_all_reduce.hpp"
#include "kernels/collective/one_shot_all_reduce.hpp"
#include "kernels/collective/ping_pong.hpp"
#include "kernels/collective/ring_all_reduce.hpp"
#include "kernels/collective/two_shot_all_reduce.hpp"

#include <cstddef>
#include <tuple>

namespace nvl72::kernels {

/// A row of the table with the type of its body.
template <class RowBody, Protocol by>
struct Row {
    using Body = RowBody;
    static constexpr Protocol protocol = by;
    std::string_view name;
    Op op{};
    std::string_view help;
};

/// The two rows of a body that runs by either protocol of the wire.
template <class Body>
constexpr auto by_both(std::string_view name, Op op, std::string_view help) {
    return std::tuple{Row<Body, Protocol::low_latency>{name, op, help},
                      Row<Body, Protocol::bulk>{name, op, help}};
}

/// Tests, launchers and nvl72-measure walk this table; a new collective is one file and one row.
inline constexpr std::tuple table = std::tuple_cat(
    by_both<RingAllReduce>("ring_all_reduce", Op::all_reduce, "2(n-1) steps around a ring"),
    by_both<OneShotAllReduce>(
        "one_shot_all_reduce", Op::all_reduce, "everyone sends all to everyone and adds up"),
    by_both<TwoShotAllReduce>(
        "two_shot_all_reduce", Op::all_reduce, "direct reduce-scatter, then direct all-gather"),
    by_both<DirectAllGather>("direct_all_gather", Op::all_gather, "everyone sends to everyone"),
    by_both<DirectReduceScatter>("direct_reduce_scatter",
                                 Op::reduce_scatter,
                                 "everyone sends each rank its part, which adds up"),
    by_both<AllToAll>("alltoall", Op::alltoall, "everyone sends each rank its part"),
    by_both<ChainBroadcast>("chain_broadcast", Op::broadcast, "from rank to rank, pipelined"),
    by_both<PingPong>("ping_pong", Op::ping_pong, "to the next rank and back"),
    by_both<MoeDispatch>(
        "moe_dispatch", Op::moe_dispatch, "each token's row once to each rank of its experts"),
    by_both<MoeCombine>(
        "moe_combine", Op::moe_combine, "the rows of a dispatch back, added up per token"),
    std::tuple{Row<NvlsAllReduce, Protocol::multicast>{
        "nvls_all_reduce", Op::all_reduce, "the switch adds up and copies (multimem)"}});

inline constexpr std::size_t table_size = std::tuple_size_v<decltype(table)>;

template <std::size_t row>
using RowAt = std::tuple_element_t<row, std::remove_const_t<decltype(table)>>;

}  // namespace nvl72::kernels
