#pragma once

#include "sim/power/step_power.hpp"
#include "sim/training/step.hpp"

#include <array>
#include <limits>
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

/// The figures of a step of `tokens` on `gpus` GPUs.
PowerFigures power_figures(
    PowerSetting const& setting, StepPower const& drawn, double step_s, double tokens, double gpus);

}  // namespace nvl72
