#pragma once

#include "sim/study/plan.hpp"

#include <string>

namespace nvl72 {

/// "+6.2 %: exposed TP +5.9 % (tp 16 crosses NVLink domains of 8)": the parts that `row` takes
/// longer for, in percent of the best's step.
std::string why_slower(PlanJob const& job, PlanRow const& best, PlanRow const& row);
std::string why_other_size(PlanRow const& best, PlanRow const& row);

/// "does not fit: 96.2 GiB, activations 41.0": its largest owners.
std::string why_too_large(Memory const& memory);
/// The same of a job that fits nowhere, with the closest layout and the table of who owns what.
std::string too_large_text(PlanJob const& job, TooLarge const& least);

}  // namespace nvl72
