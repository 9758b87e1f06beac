#include "sim/study/power_figures.hpp"

#include <algorithm>
#include <cmath>

namespace nvl72 {

std::array<PowerColumn, 10> const power_columns{
    PowerColumn{"gpu_w", "W", "mean draw of one GPU over the step", &PowerFigures::gpu_w},
    PowerColumn{"node_w", "W", "mean draw of one box or compute tray, at its feed",
                &PowerFigures::node_w},
    PowerColumn{"node_peak_w", "W", "the same while all its GPUs compute",
                &PowerFigures::node_peak_w},
    PowerColumn{"unit_w", "W", "mean draw of one rack or box, NVLink switches included",
                &PowerFigures::unit_w},
    PowerColumn{"cluster_w", "W", "mean draw of the job's machines and network switches",
                &PowerFigures::cluster_w},
    PowerColumn{"clock", "1", "of the GPUs, over what they sustain without a power limit",
                &PowerFigures::clock},
    PowerColumn{"energy_per_step_j", "J", "of the job's machines, the site's overhead apart",
                &PowerFigures::energy_per_step_j},
    PowerColumn{"energy_per_token_j", "J", "the same per token", &PowerFigures::energy_per_token_j},
    PowerColumn{"carbon_g_per_mtoken", "g", "CO2 equivalent of a million tokens, with the PUE",
                &PowerFigures::carbon_g_per_mtoken},
    PowerColumn{"usd_per_mtoken", "USD", "price of a million tokens",
                &PowerFigures::usd_per_mtoken},
};

std::vector<GpuActivity> activity_of(StepResult const& step) {
    std::vector<GpuActivity> all;
    for (std::size_t c = 0; c < step.by_class.size(); ++c) {
        Breakdown const& parts = step.by_class[c];
        double exposed = 0;
        for (Picoseconds const waited : parts.exposed) exposed += to_seconds(waited);
        double const compute = to_seconds(parts.compute);
        double const memory = compute * step.hbm_share[c];
        all.push_back({static_cast<double>(step.graph.classes()[c].multiplicity),
                       {compute - memory, memory, exposed, to_seconds(parts.bubble),
                        to_seconds(parts.idle)}});
    }
    return all;
}

Spread power_spread(PowerCoefficients const& coefficients, std::string const& gpu) {
    auto const& power = coefficients.spread;
    bool const known = std::ranges::find(power.checked, gpu) != power.checked.end();
    auto const& pair = known ? power.known : power.other;
    return {pair[0], pair[1]};
}

PowerBands power_bands(PowerFigures const& figures,
                       PowerSetting const& setting,
                       Spread const& step,
                       Spread const& power,
                       double gpu_hours_per_mtoken) {
    PowerBands bands;
    if (!step.known()) return bands;
    bands.energy = together(step, power);
    if (std::isnan(figures.usd_per_mtoken) || figures.usd_per_mtoken <= 0) return bands;
    // Rent, or what is written off, follows the time alone; electricity what is drawn.
    double const time = cost_usd(setting, gpu_hours_per_mtoken, 0) / figures.usd_per_mtoken;
    bands.usd = {time * step.low + (1 - time) * bands.energy.low,
                 time * step.high + (1 - time) * bands.energy.high};
    return bands;
}

PowerFigures power_figures(PowerSetting const& setting,
                           StepPower const& drawn,
                           double step_s,
                           double tokens,
                           double gpus) {
    PowerFigures figures;
    figures.gpu_w = drawn.gpu_w;
    figures.node_w = drawn.node_w;
    figures.node_peak_w = drawn.node_peak_w;
    figures.unit_w = drawn.unit_w;
    figures.cluster_w = drawn.cluster_w;
    figures.clock = drawn.clock;
    figures.energy_per_step_j = drawn.joules;
    figures.energy_per_token_j = drawn.joules / tokens;
    double const million = 1e6 / tokens;
    figures.carbon_g_per_mtoken = footprint(setting.facility, drawn.joules).carbon_g * million;
    figures.usd_per_mtoken = cost_usd(setting, gpus * step_s / 3600, drawn.joules) * million;
    return figures;
}

}  // namespace nvl72
