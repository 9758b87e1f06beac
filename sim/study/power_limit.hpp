#pragma once

#include "sim/cost/profile.hpp"
#include "sim/power/step_power.hpp"
#include "sim/training/step.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace nvl72 {

/// A step under the limits of its power setting, and what it draws; nothing where there is none.
struct LimitedStep {
    StepResult step;
    Profile profile;  ///< that it was priced with: the given one at its clock
    std::optional<StepPower> drawn;
};

/// The profile of a GPU that runs at `clock` of what it sustains: its tensor cores take longer.
Profile at_clock(Profile profile, double clock);

/// The draws of a profile at that clock.
std::shared_ptr<std::vector<Profile> const> at_clock(
    std::shared_ptr<std::vector<Profile> const> const& draws, double clock);

/// Simulates at full clock, and where a limit binds again at the clock that keeps it, until the
/// unit's mean draw is within 0.2 % of its limit. `asked` is where the limits were written.
LimitedStep simulate_limited(std::optional<PowerSetting> const& setting,
                             Fabric const& fabric,
                             Profile const& profile,
                             Place const& asked,
                             std::function<StepResult(Profile const&)> const& simulate);

/// How far a step of `step_s` lies off for the error of what is drawn, where a limit holds the
/// clock: at a higher draw the same limit is a lower clock. `simulate` gives the seconds of a step.
/// Not known where no limit binds.
Spread clock_spread(PowerSetting const& setting,
                    Fabric const& fabric,
                    LimitedStep const& limited,
                    double step_s,
                    Spread const& power,
                    std::function<double(Profile const&)> const& simulate);

}  // namespace nvl72
