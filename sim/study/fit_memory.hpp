#pragma once

#include "sim/interchange/samples.hpp"
#include "sim/study/fit_kernels.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// The section `memory`, T = launch + traffic / rate, from Thrust's copy, fill and reduction; its
/// one part has no name ("memory" in `spread`). Null YAML where fewer than six rows or one traffic
/// do not tell a rate from a launch.
FittedSection fit_memory(std::vector<SampledMemory> const& samples, std::string const& origin);

}  // namespace nvl72
