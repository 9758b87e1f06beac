#pragma once

#include "sim/config/library.hpp"
#include "sim/cost/profile.hpp"
#include "sim/study/experiment.hpp"
#include "sim/study/sweep_row.hpp"
#include "sim/training/step.hpp"
#include "topology/fabric.hpp"

#include <functional>
#include <string>
#include <vector>

namespace nvl72 {

/// A point with everything it names loaded and checked, ready to simulate.
struct LoadedPoint {
    PointKind kind = PointKind::system;
    SystemSpec system;
    Architecture model;
    Fabric fabric;
    Profile profile;
    Recipe recipe;
    PrecisionPolicy precision;
    Parallel parallel;
    std::string profile_name;
};

/// Loads what a point names. `calibrations` are files that replace the shipped profile of their
/// GPU; `trail` collects every value with its source.
LoadedPoint load_point(Point const& point,
                       Library const& library,
                       std::vector<std::string> const& calibrations,
                       Trail* trail = nullptr);

/// A simulated point: its row of /sweep and the step behind it.
struct SimulatedPoint {
    SweepRow row;
    StepResult step;
};

SimulatedPoint simulate_point(LoadedPoint const& point,
                              std::int64_t index,
                              std::function<void(double)> const& progress = {});

}  // namespace nvl72
