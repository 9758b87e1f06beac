#pragma once

#include "sim/base/table.hpp"
#include "sim/study/fit_kernels.hpp"

#include <vector>

namespace nvl72 {

/// How the parts of a profile fit what they saw and what was left out: one line a part, then one
/// line a section with all of its rows, inside the measured range and beyond it, together.
Table fit_table(std::vector<SectionFit> const& fits);

/// All rows of a section that were left out, against the spreads of the others of their part.
Coverage coverage_of(std::string const& section, std::vector<SectionFit> const& fits);

}  // namespace nvl72
