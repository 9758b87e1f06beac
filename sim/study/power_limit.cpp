#include "sim/study/power_limit.hpp"

#include "sim/study/power_figures.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace nvl72 {

namespace {

constexpr double limit_tolerance = 0.002;
constexpr int rounds_max = 12;  // each narrows the gap several times over; two or three are usual

}  // namespace

Profile at_clock(Profile profile, double clock) {
    profile.sustained /= clock;
    return profile;
}

std::shared_ptr<std::vector<Profile> const> at_clock(
    std::shared_ptr<std::vector<Profile> const> const& draws, double clock) {
    if (!draws || clock == 1) return draws;
    auto scaled = *draws;
    for (Profile& profile : scaled) profile.sustained /= clock;
    return std::make_shared<std::vector<Profile> const>(std::move(scaled));
}

LimitedStep simulate_limited(std::optional<PowerSetting> const& setting,
                             Fabric const& fabric,
                             Profile const& profile,
                             Place const& asked,
                             std::function<StepResult(Profile const&)> const& simulate) {
    if (!setting) return {simulate(profile), profile, std::nullopt};
    LimitedStep done;
    double const most = clock_of_gpu_cap(*setting, fabric.gpu().tdp);
    double clock = most;
    for (int round = 0; round < rounds_max; ++round) {
        done.profile = at_clock(profile, clock);
        done.step = simulate(done.profile);
        done.drawn =
            step_power(*setting, fabric, activity_of(done.step), to_seconds(done.step.step), clock);
        double const next = std::min(most, clock_of_unit_cap(*setting, fabric, *done.drawn, asked));
        double const cap = setting->unit_cap ? setting->unit_cap->count : 0;
        bool const kept = done.drawn->unit_w <= cap * (1 + limit_tolerance);
        bool const near = done.drawn->unit_w >= cap * (1 - limit_tolerance);
        if (cap == 0 || (kept && (near || clock == most))) break;
        clock = next;
    }
    return done;
}

}  // namespace nvl72
