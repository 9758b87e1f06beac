#pragma once

#include "sim/config/fields.hpp"
#include "sim/config/library.hpp"
#include "sim/cost/collective_cost.hpp"
#include "sim/cost/query.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace nvl72 {

/// A collective that takes one of two times at these sizes, one run or the other.
struct TwoTimes {
    std::string gpu;
    CollectiveOp operation{};
    BufferSize least, most;
};
std::vector<Field<TwoTimes>> const& fields_of(TwoTimes const*);

/// All of configs/measurements/collectives/two-times.yaml.
std::vector<TwoTimes> read_two_times(Library const& library);

/// "1 KiB to 128 KiB", the sizes in which `bytes` lie; "" where an operation of a GPU has one time.
std::string two_times_of(std::vector<TwoTimes> const& all,
                         std::string const& gpu,
                         std::string const& operation,
                         std::int64_t bytes);

}  // namespace nvl72
