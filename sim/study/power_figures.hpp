#pragma once

#include "sim/cost/spread.hpp"
#include "sim/power/step_power.hpp"
#include "sim/training/step.hpp"

#include <array>
#include <limits>
#include <string>
#include <string_view>

namespace nvl72 {

/// What a simulated step draws and costs, as columns of /sweep. NaN: nothing is known of it.
struct PowerFigures {
    static constexpr double none = std::numeric_limits<double>::quiet_NaN();
    double gpu_w = none, node_w = none, node_peak_w = none, unit_w = none, cluster_w = none;
    double clock = none;
    double energy_per_step_j = none, energy_per_token_j = none;
    double carbon_g_per_mtoken = none, usd_per_mtoken = none;
};

/// A column of /sweep and its member.
struct PowerColumn {
    std::string_view column, unit, help;
    double PowerFigures::* member;
};
extern std::array<PowerColumn, 10> const power_columns;

/// What each class of GPUs did in a step.
std::vector<GpuActivity> activity_of(StepResult const& step);

/// How far measured power lies from predicted, of machines with that GPU.
Spread power_spread(PowerCoefficients const& coefficients, std::string const& gpu);

/// Between which 80 % of what is measured lies, as factors of the joules and of the price: a step
/// that takes longer draws as long, and what is drawn lies off by itself.
///   step   of its time, measured over predicted
///   power  of its draw
struct PowerBands {
    Spread energy, usd;
};
PowerBands power_bands(PowerFigures const& figures,
                       PowerSetting const& setting,
                       Spread const& step,
                       Spread const& power,
                       double gpu_hours_per_mtoken);

/// The figures of a step of `tokens` on `gpus` GPUs.
PowerFigures power_figures(
    PowerSetting const& setting, StepPower const& drawn, double step_s, double tokens, double gpus);

}  // namespace nvl72
