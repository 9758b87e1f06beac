#pragma once

#include "kernels/measure/method.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include <thrust/copy.h>
#include <thrust/fill.h>
#include <thrust/reduce.h>

namespace nvl72::measure {

/// What the suite `memory` times; traffic counts arrays read plus arrays written.
struct MemoryKind {
    char const* name;
    int arrays_of_traffic;
};
inline constexpr MemoryKind memory_kinds[] = {{"copy", 2}, {"fill", 1}, {"reduce", 1}};

/// One pass over `count` elements by Thrust on `policy`; returns something that depends on the
/// data, so that no compiler drops the pass.
template <class Policy, class Iterator>
float memory_pass(
    Policy const& policy, std::string const& kind, Iterator from, Iterator to, std::int64_t count) {
    if (kind == "copy") {
        thrust::copy(policy, from, from + count, to);
        return 0;
    }
    if (kind == "fill") {
        thrust::fill(policy, to, to + count, 1.0F);
        return 0;
    }
    return thrust::reduce(policy, from, from + count, 0.0F);
}

}  // namespace nvl72::measure
