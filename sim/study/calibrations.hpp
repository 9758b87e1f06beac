#pragma once

#include "sim/base/table.hpp"
#include "sim/config/library.hpp"

namespace nvl72 {

/// The shipped calibration profiles: GPU, where its numbers come from (measured, a user's logs,
/// fitted from published figures, scaled from a sister), the day where it is known; of the
/// profile's own fits the rows, constants, median error (of the parts' medians, by their rows) and
/// worst error.
Table calibrations_table(Library const& library);

}  // namespace nvl72
