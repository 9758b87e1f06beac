#pragma once

#include "sim/config/library.hpp"
#include "sim/cost/profile.hpp"
#include "sim/power/step_power.hpp"
#include "sim/study/experiment.hpp"
#include "sim/study/interval.hpp"
#include "sim/study/loaded_configs.hpp"
#include "sim/study/sweep_row.hpp"
#include "sim/training/step.hpp"
#include "topology/fabric.hpp"

#include <functional>
#include <optional>
#include <string>
#include <utility>
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
    ProfileDraws draws;  ///< of the profile; none: the interval does without
    bool must_fit = true;
    std::optional<PowerSetting> power;  ///< none: nothing is known of what it draws
    bool known_software = true;         ///< false: its recipe stands in for a release without runs
};

/// The profile that prices a cluster's GPU and its name or file: one that was given for it, else
/// the shipped one of its name. `asked` is where the cluster was named.
std::pair<Profile, std::string> profile_of(Fabric const& fabric,
                                           Place const& asked,
                                           Library const& library,
                                           GivenProfiles const& given,
                                           Trail* trail = nullptr);

/// Throws ConfigError for a profile that was given and is written for none of `gpus`, which would
/// be silently ignored; unless mismatches are allowed.
void expect_used(GivenProfiles const& given,
                 Library const& library,
                 std::vector<std::string> const& gpus);

/// Loads what a point names. `trail` collects every value with its source.
LoadedPoint load_point(Point const& point,
                       Library const& library,
                       GivenProfiles const& given,
                       Trail* trail = nullptr);

/// What the simulation takes of a point, which outlives it.
StepSpec step_spec(LoadedPoint const& point);
/// The same with another profile, that of a lower clock say; it outlives it, too.
StepSpec step_spec(LoadedPoint const& point, Profile const& profile);
/// The same with configs that others have named before.
LoadedPoint load_point(Point const& point, LoadedConfigs& configs, Trail* trail = nullptr);

/// Without a layout: `parallel` is left to the caller.
LoadedPoint load_job(Point const& point, LoadedConfigs& configs, Trail* trail = nullptr);

/// Micro-batches of a replica times chunks of the model that are simulated at most: a step keeps
/// about 2 kB of each, and more would exhaust this machine.
constexpr std::int64_t turns_max = 2'000'000;

/// Where a step went, averaged over its GPUs.
StepParts average_parts(StepResult const& step);

/// Whether every stage fits its GPU by our count.
bool memory_fits(LoadedPoint const& point);

/// What the fullest stage holds.
double reported_memory_gib(LoadedPoint const& point);

/// The row of a simulated step, but for its basis and interval; `drawn`: where its power is known.
SweepRow step_row(LoadedPoint const& point,
                  Parallel const& parallel,
                  StepResult const& step,
                  std::optional<StepPower> const& drawn);

/// A simulated point: its row of /sweep and the step behind it.
struct SimulatedPoint {
    SweepRow row;
    StepResult step;
    std::vector<PowerPart> power;  ///< by component and state
};

SimulatedPoint simulate_point(LoadedPoint const& point,
                              std::int64_t index,
                              std::function<void(double)> const& progress = {});

}  // namespace nvl72
