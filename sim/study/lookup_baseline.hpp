#pragma once

#include "sim/base/table.hpp"
#include "sim/study/validation_row.hpp"

#include <cstddef>
#include <vector>

namespace nvl72 {

/// What a table of published figures would predict without a simulator, beside ours: one rate of
/// model FLOPs for each system, precision, release, and dense or of experts, which is the median of
/// its scored runs. Errors with and without the run itself among them; a run that is alone in its
/// group has none without. One line a part, none without training runs. `constants`: of ours.
Table lookup_table(std::vector<ValidationRow> const& rows, std::size_t constants);

}  // namespace nvl72
