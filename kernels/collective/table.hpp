#pragma once

#include "kernels/collective/ring_all_reduce.hpp"

#include <array>
#include <cstddef>
#include <tuple>
#include <utility>

namespace nvl72::kernels {

/// A row of the table with the type of its body.
template <class Body_, Protocol protocol_>
struct Row {
    using Body = Body_;
    static constexpr Protocol protocol = protocol_;
    std::string_view name;
    Op op;
    std::string_view help;
};

template <class Body>
using LowLatency = Row<Body, Protocol::low_latency>;
template <class Body>
using Bulk = Row<Body, Protocol::bulk>;

/// One row for each collective and protocol. Tests, launchers and nvl72-measure walk it.
inline constexpr std::tuple table{
    LowLatency<RingAllReduce>{"ring_all_reduce", Op::all_reduce, "2(n-1) steps around a ring"},
    Bulk<RingAllReduce>{"ring_all_reduce", Op::all_reduce, "2(n-1) steps around a ring"},
};

inline constexpr std::size_t table_size = std::tuple_size_v<decltype(table)>;

}  // namespace nvl72::kernels
