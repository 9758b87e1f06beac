#pragma once

#include "sim/trace/result_file.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
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

/// A column of /phases and its member.
struct PhaseColumn {
    std::string_view name, unit, help;
    std::variant<std::int64_t PhaseRow::*, double PhaseRow::*, std::string PhaseRow::*> member;
    bool optional = false;
};
std::vector<PhaseColumn> const& phase_columns();

/// The tables /sweep and /phases.
ResultTable to_table(std::vector<WorkloadRow> const& rows);
ResultTable to_table(std::vector<PhaseRow> const& rows);

}  // namespace nvl72
