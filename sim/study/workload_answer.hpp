#pragma once

#include "sim/base/table.hpp"
#include "sim/study/workload_run.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// What the rows say: a sentence a point, of long sweeps one a system.
std::vector<std::string> workload_sentences(std::vector<WorkloadRow> const& rows,
                                            std::vector<PhaseRow> const& phases);

/// A line per point, and a line per phase of points outside long sweeps.
Table workload_table(std::vector<WorkloadRow> const& rows);
Table phase_table(WorkloadResult const& result);
/// The columns of /phases with the system's name, for csv and json.
Table full_table(WorkloadResult const& result);

}  // namespace nvl72
