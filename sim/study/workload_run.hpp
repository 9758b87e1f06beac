#pragma once

#include "sim/base/table.hpp"
#include "sim/study/run.hpp"
#include "sim/study/workload_experiment.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace nvl72 {

/// What a phase of a point did, as /phases of the result file holds it. NaN: none.
struct PhaseRow {
    static constexpr double none = std::numeric_limits<double>::quiet_NaN();
    std::int64_t point = 0;
    std::string phase, kind, pool, basis;
    std::int64_t rounds = 0;
    double items = 0, items_per_s = 0;
    double busy_share = 0;  ///< of the span, on its pools alone
    double input_share = 0, output_share = 0, turn_share = 0, barrier_share = 0;  ///< waiting
    double real_share = none, age = none;
    double energy_per_item_j = none, usd_per_item = none;
    double robots = none, miss_share = none, answer_p50_s = none, answer_p99_s = none,
           age_p50_s = none, age_p99_s = none;
};

/// A point of a workload, as /sweep holds it.
struct WorkloadRow {
    std::int64_t point = 0;
    std::string kind, system, group, cluster, gpu;
    std::int64_t gpus = 0, phases = 0;
    double span_s = 0;
    double cluster_w = PhaseRow::none, energy_j = PhaseRow::none, usd = PhaseRow::none;
    std::string bound_by;    ///< the pool and phase that are busy most
    double bound_share = 0;  ///< of the span
    double published_s = PhaseRow::none, error = PhaseRow::none;
};

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

/// A line per point, and a line per phase of points outside long sweeps.
Table workload_table(std::vector<WorkloadRow> const& rows);
Table phase_table(WorkloadResult const& result);
/// The columns of /phases with the system's name, for csv and json.
Table full_table(WorkloadResult const& result);

}  // namespace nvl72
