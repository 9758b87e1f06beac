#pragma once

#include "sim/study/campaign_figures.hpp"
#include "sim/study/point.hpp"
#include "sim/training/step_oracle.hpp"
#include "sim/workload/choice.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace nvl72 {

/// A point's campaign: what it was run with, every run, and the sums.
struct CampaignResult {
    Reliability reliability;
    CampaignSpec spec;
    double step_s = 0;  ///< of a whole fabric
    std::int64_t interval_steps = 0;
    double stops_hourly = 0;         ///< failures that undo work
    std::vector<CampaignRun> runs;   ///< by seed, or one of a trace
    std::vector<double> energy_kwh;  ///< of each run, at the site's meter; empty: not known
    CampaignFigures figures;
};

/// Runs the campaign of a point whose step is `done`; steps with parts of the fabric lost are
/// simulated when a run first meets them. One seed gives the same runs.
CampaignResult run_campaign_of(LoadedPoint const& point,
                               SimulatedPoint const& done,
                               Library const& library,
                               std::uint64_t seed);

/// What it comes to, in sentences; what was published beside it.
std::string campaign_note(LoadedPoint const& point, CampaignResult const& result);

}  // namespace nvl72
