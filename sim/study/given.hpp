#pragma once

#include "sim/config/library.hpp"
#include "sim/config/value.hpp"
#include "sim/cost/spread.hpp"
#include "topology/gpu.hpp"

#include <set>
#include <string>

namespace nvl72 {

/// What a given.yaml says of a GPU, null where it says nothing.
Value given_of(Value const& given, std::string const& gpu);

/// What it says of the GPU, or of the first sister that it knows; null where of none.
Value given_through_sisters(Value const& given, GpuSpec gpu, Library const& library);

/// Collectives of one GPU: what its given.yaml says, and the GPUs fitted together with it.
struct CollectiveGiven {
    Value section;
    std::set<std::string> gpus;
    Spread another_count{};  ///< how far times of a number of ranks lie that no row is of
};

/// A GPU without an entry is alone, and given what its sister is.
CollectiveGiven collective_given(Library const& library, std::string const& gpu);

}  // namespace nvl72
