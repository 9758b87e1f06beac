#pragma once

#include "sim/config/fields.hpp"
#include "sim/cost/section.hpp"

#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// Elementwise and copy kernels of one GPU.
struct MemorySection {
    Place place;
    BytesPerSecond rate;                  ///< read plus written
    Seconds launch;                       ///< of one kernel
    std::optional<std::string> borrowed;  ///< whose rate stands in, where none was measured
    std::string scaled;                   ///< "" or what it was scaled from
};

std::vector<Field<MemorySection>> const& fields_of(MemorySection const*);
void check(MemorySection const& section);

/// kernels x launch + traffic / rate.
Cost memory_cost(MemorySection const& section, MemoryTraffic const& memory);

}  // namespace nvl72
