#pragma once

#include "sim/study/run.hpp"
#include "sim/study/workload_experiment.hpp"
#include "sim/study/workload_row.hpp"

#include <string>
#include <vector>

namespace nvl72 {

struct WorkloadResult {
    std::vector<WorkloadRow> rows;
    std::vector<PhaseRow> phases;
    std::vector<std::string> answer;
    ResultFile file;
};

/// Runs every point; the result is the same for any number of threads.
WorkloadResult run_workload_experiment(WorkloadExperiment const& experiment,
                                       Library const& library,
                                       RunOptions const& options);

}  // namespace nvl72
