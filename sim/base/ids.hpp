#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace nvl72 {

/// An index that knows what it indexes: a LinkId can never index a GPU.
template <class Tag>
struct Id {
    std::uint32_t value = 0;
    constexpr Id() = default;
    constexpr explicit Id(std::uint32_t index) : value(index) {}
    friend constexpr auto operator<=>(Id const&, Id const&) = default;
};

using ResourceId = Id<struct ResourceTag>;  ///< a link class, SM pool, HBM, C2C or CPU pool
using ActivityId = Id<struct ActivityTag>;  ///< a running transfer or kernel
using RankId = Id<struct RankTag>;          ///< a GPU as the job counts them, 0 .. gpus-1
using ClassId = Id<struct ClassTag>;        ///< ranks that behave identically
using StreamId = Id<struct StreamTag>;      ///< a FIFO of tasks on every rank of a class
using TaskId = Id<struct TaskTag>;
using CostId = Id<struct CostTag>;  ///< an interned cost query

}  // namespace nvl72

template <class Tag>
struct std::hash<nvl72::Id<Tag>> {
    std::size_t operator()(nvl72::Id<Tag> id) const noexcept { return id.value; }
};
