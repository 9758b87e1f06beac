#include "sim/power/step_power.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

namespace nvl72 {

namespace {

constexpr double no_limit = std::numeric_limits<double>::infinity();
constexpr double clock_least = 0.05;  // below this no GPU runs
constexpr double bytes_per_gb = 1e9;

double limit_of(PowerSetting const& setting) {
    return setting.gpu_cap ? setting.gpu_cap->count : no_limit;
}

/// One kind of host or network part: how many a node, a unit's own part, and the job hold.
struct HostPart {
    char const* component;
    char const* state;
    double per_node = 0;  ///< in each box or compute tray
    double per_unit = 0;  ///< in each rack besides its nodes
    double each_w = 0;
};

std::vector<HostPart> host_parts(PowerCoefficients const& power,
                                 ClusterSpec const& cluster,
                                 bool busy) {
    HostSpec const& host = cluster.host;
    bool const on_board = cluster.nvlink.chips_per_tray == 0;
    double const chips = cluster.nvlink.switch_chips;
    double const gb = static_cast<double>(host.memory.count) / bytes_per_gb;
    double const trays = cluster.gpus_per_unit / static_cast<double>(cluster.gpus_per_tray);
    return {
        {"cpu", busy ? "training" : "idle", static_cast<double>(host.cpus), 0,
         busy ? power.cpu.training.count : power.cpu.idle.count},
        {"dram", "on", static_cast<double>(host.cpus), 0, power.dram_w_per_gb * gb},
        {"nvswitch", "on", on_board ? chips / trays : 0, on_board ? 0 : chips,
         power.nvswitch.count},
        {"nic", "on", static_cast<double>(cluster.nics.per_gpu) * cluster.gpus_per_tray, 0,
         power.nic.count},
        {"other", "on", 1, 0, power.other.count},
    };
}

/// Ports of network switches that each NIC of the job keeps: one at its leaf, and a pair for every
/// further tier. None where no network is crossed.
double ports_per_nic(Fabric const& fabric) {
    NetworkSpec const& network = fabric.cluster().network;
    if (fabric.domains() == 1) return 0;
    if (fabric.units() <= network.units_per_leaf) return 1;
    return fabric.units() <= network.units_per_spine ? 3 : 5;
}

/// What is drawn where so much arrives at the parts.
struct Fed {
    double fans = 0, conversion = 0;
    [[nodiscard]] double over(double parts) const { return parts + fans + conversion; }
};

Fed feed(PowerSetting const& setting, double parts_w) {
    Fed fed;
    fed.fans = parts_w * setting.coefficients.fan_share(setting.cooling);
    double const arrives = parts_w + fed.fans;
    fed.conversion = arrives / setting.coefficients.conversion_share(setting.feed) - arrives;
    return fed;
}

double mean_gpu_watts(PowerSetting const& setting,
                      Watts tdp,
                      std::array<double, gpu_states> const& shares,
                      double clock) {
    double watts = 0;
    for (std::size_t s = 0; s < gpu_states; ++s) {
        watts += shares.at(s) * gpu_watts(setting.coefficients.gpu, tdp, static_cast<GpuState>(s),
                                          clock, limit_of(setting));
    }
    return watts;
}

/// What one node and one unit draw at the wall where each GPU draws so much.
struct NodeAndUnit {
    double node = 0, unit = 0;
};

NodeAndUnit at_wall(PowerSetting const& setting,
                    ClusterSpec const& cluster,
                    double gpu_w,
                    bool busy) {
    double node = gpu_w * cluster.gpus_per_tray;
    double beside = 0;
    for (auto const& part : host_parts(setting.coefficients, cluster, busy)) {
        node += part.per_node * part.each_w;
        beside += part.per_unit * part.each_w;
    }
    double const nodes = cluster.gpus_per_unit / static_cast<double>(cluster.gpus_per_tray);
    double const unit = nodes * node + beside;
    return {feed(setting, node).over(node), feed(setting, unit).over(unit)};
}

std::array<double, gpu_states> mean_shares(std::vector<GpuActivity> const& activity,
                                           double step_s) {
    std::array<double, gpu_states> shares{};
    double gpus = 0;
    for (auto const& same : activity) {
        gpus += same.gpus;
        for (std::size_t s = 0; s < gpu_states; ++s)
            shares.at(s) += same.gpus * same.seconds.at(s) / step_s;
    }
    NVL72_EXPECT(gpus > 0, "a job has GPUs");
    for (double& share : shares) share /= gpus;
    return shares;
}

}  // namespace

double gpu_watts(GpuPower const& power, Watts tdp, GpuState state, double clock, double limit_w) {
    std::array<double, gpu_states> const shares{power.compute, power.memory, power.exposed,
                                                power.bubble, power.idle};
    double const above = shares.at(static_cast<std::size_t>(state)) - power.idle;
    double const drawn = tdp.count * (power.idle + above * std::pow(clock, power.clock_exponent));
    return std::min(drawn, limit_w);
}

StepPower step_power(PowerSetting const& setting,
                     Fabric const& fabric,
                     std::vector<GpuActivity> const& activity,
                     double step_s,
                     double clock) {
    NVL72_EXPECT(step_s > 0 && clock > 0, "a step takes time, at some clock");
    PowerCoefficients const& power = setting.coefficients;
    ClusterSpec const& cluster = fabric.cluster();
    Watts const tdp = fabric.gpu().tdp;
    auto const gpus = static_cast<double>(fabric.gpus());
    double const nodes = gpus / cluster.gpus_per_tray;
    double const units = gpus / cluster.gpus_per_unit;
    auto const shares = mean_shares(activity, step_s);

    StepPower result;
    result.clock = clock;
    double parts_w = 0;
    auto const add = [&](std::string component, std::string state, double count, double share,
                         double each_w) {
        double const watts = count * share * each_w;
        result.parts.push_back(
            {std::move(component), std::move(state), count, share, each_w, watts * step_s});
        return watts;
    };
    for (std::size_t s = 0; s < gpu_states; ++s) {
        auto const state = static_cast<GpuState>(s);
        parts_w += add("gpu", name_of(state), gpus, shares.at(s),
                       gpu_watts(power.gpu, tdp, state, clock, limit_of(setting)));
    }
    result.gpu_w = mean_gpu_watts(setting, tdp, shares, clock);
    for (auto const& part : host_parts(power, cluster, true)) {
        parts_w += add(part.component, part.state, part.per_node * nodes + part.per_unit * units, 1,
                       part.each_w);
    }
    Fed const fed = feed(setting, parts_w);
    double const ports = ports_per_nic(fabric) * gpus * static_cast<double>(cluster.nics.per_gpu);
    result.cluster_w = parts_w + add("fans", "on", 1, 1, fed.fans) +
                       add("conversion", "on", 1, 1, fed.conversion) +
                       add("network", "on", ports, 1, power.network_port.count);
    result.joules = result.cluster_w * step_s;
    auto const mean = at_wall(setting, cluster, result.gpu_w, true);
    result.node_w = mean.node;
    result.unit_w = mean.unit;
    double const most = gpu_watts(power.gpu, tdp, GpuState::compute, clock, limit_of(setting));
    result.node_peak_w = at_wall(setting, cluster, most, true).node;
    return result;
}

double idle_watts(PowerSetting const& setting, Fabric const& fabric) {
    ClusterSpec const& cluster = fabric.cluster();
    double const gpu = setting.coefficients.gpu.idle * fabric.gpu().tdp.count;
    double const units = static_cast<double>(fabric.gpus()) / cluster.gpus_per_unit;
    double const ports = ports_per_nic(fabric) * static_cast<double>(fabric.gpus()) *
                         static_cast<double>(cluster.nics.per_gpu);
    return at_wall(setting, cluster, gpu, false).unit * units +
           ports * setting.coefficients.network_port.count;
}

double clock_of_gpu_cap(PowerSetting const& setting, Watts tdp) {
    if (!setting.gpu_cap) return 1;
    GpuPower const& gpu = setting.coefficients.gpu;
    double const left = setting.gpu_cap->count / tdp.count - gpu.idle;
    double const whole = gpu.compute - gpu.idle;
    if (left >= whole) return 1;
    return std::max(clock_least, std::pow(left / whole, 1 / gpu.clock_exponent));
}

double clock_of_unit_cap(PowerSetting const& setting,
                         Fabric const& fabric,
                         StepPower const& drawn,
                         Place const& asked) {
    if (!setting.unit_cap) return 1;
    ClusterSpec const& cluster = fabric.cluster();
    Watts const tdp = fabric.gpu().tdp;
    std::array<double, gpu_states> shares{};
    for (std::size_t s = 0; s < gpu_states; ++s) shares.at(s) = drawn.parts.at(s).share;
    auto const unit_at = [&](double clock) {
        return at_wall(setting, cluster, mean_gpu_watts(setting, tdp, shares, clock), true).unit;
    };
    double const cap = setting.unit_cap->count;
    if (unit_at(1) <= cap) return 1;
    if (unit_at(clock_least) > cap) {
        fail(asked, fmt::format("a limit of {:.1f} kW", cap / 1e3),
             fmt::format("more than the {:.1f} kW that a {} draws beside its GPUs' work",
                         unit_at(clock_least) / 1e3, cluster.unit));
    }
    double low = clock_least;
    double high = 1;
    for (int i = 0; i < 60; ++i) {
        double const middle = (low + high) / 2;
        (unit_at(middle) <= cap ? low : high) = middle;
    }
    return low;
}

}  // namespace nvl72
