#pragma once

#include "sim/study/workload_plan.hpp"
#include "sim/study/workload_row.hpp"

#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace nvl72 {

/// A point when it has run.
struct RanWorkload {
    WorkloadRow row;
    std::vector<PhaseRow> phases;
    std::vector<std::tuple<std::string, std::string, double, double>>
        stages;                                         ///< phase, stage, s, share
    std::vector<std::pair<std::string, double>> pools;  ///< busy share
    std::vector<std::tuple<std::string, double, double, double>> links;
    std::vector<std::tuple<std::string, std::string, double, double>> spans;
    std::vector<std::string> profiles, gpus;
};

/// Runs a point's phases and its control loops, and adds up what they draw and cost.
RanWorkload simulate_workload(WorkloadPoint const& point,
                              Library const& library,
                              GivenProfiles const& given,
                              std::uint64_t seed);

}  // namespace nvl72
