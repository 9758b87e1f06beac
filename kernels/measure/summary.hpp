#pragma once

#include "kernels/measure/rows.hpp"

#include <string>
#include <vector>

namespace nvl72::measure {

/// nccl-tests' bus bandwidth over its algorithm bandwidth: 2(n-1)/n for all_reduce, (n-1)/n for
/// all_gather, reduce_scatter and alltoall, 1 for the others.
double bus_factor(std::string const& op, std::int64_t ranks);

/// A text table per kind of row: a line per case with the median of its blocks, their spread
/// (scaled deviation over median), the rate where there is one, and how many blocks are outliers.
std::string summary_text(std::vector<CaseTimes> const& cases);

}  // namespace nvl72::measure
