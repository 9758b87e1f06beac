#include "sim/study/power_limit.hpp"

#include "sim/base/error.hpp"
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

Spread clock_spread(PowerSetting const& setting,
                    Fabric const& fabric,
                    LimitedStep const& limited,
                    double step_s,
                    Spread const& power,
                    std::function<double(Profile const&)> const& simulate) {
    if (!limited.drawn || limited.drawn->clock >= 1) return {};
    // Machines that draw `factor` times as much keep a limit as these keep that much less of it.
    auto const seconds = [&](double factor) {
        PowerSetting other = setting;
        double const least = setting.coefficients.gpu.idle * fabric.gpu().tdp.count;
        if (other.gpu_cap) other.gpu_cap->count = std::max(other.gpu_cap->count / factor, least);
        if (other.unit_cap) other.unit_cap->count /= factor;
        double clock = clock_of_gpu_cap(other, fabric.gpu().tdp);
        try {
            clock = std::min(clock, clock_of_unit_cap(other, fabric, *limited.drawn, {}));
        } catch (ConfigError const&) {
            clock = limited.drawn->clock / factor;  // below what idle machines draw
        }
        return simulate(at_clock(limited.profile, clock / limited.drawn->clock));
    };
    return {std::min(1.0, seconds(power.low) / step_s),
            std::max(1.0, seconds(power.high) / step_s)};
}

}  // namespace nvl72
