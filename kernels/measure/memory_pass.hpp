#pragma once

#include <cstdint>
#include <string>

#include <thrust/copy.h>
#include <thrust/fill.h>
#include <thrust/reduce.h>

namespace nvl72::measure {

/// One pass over `count` 32-bit integers by Thrust on `policy` (floats would time the chain of
/// additions); returns the sum of a reduction, so that no compiler drops the pass, else 0.
template <class Policy, class Iterator>
std::uint32_t memory_pass(
    Policy const& policy, std::string const& kind, Iterator from, Iterator to, std::int64_t count) {
    if (kind == "copy") {
        thrust::copy(policy, from, from + count, to);
        return 0;
    }
    if (kind == "fill") {
        thrust::fill(policy, to, to + count, 1);
        return 0;
    }
    return thrust::reduce(policy, from, from + count, std::uint32_t{0});
}

}  // namespace nvl72::measure
