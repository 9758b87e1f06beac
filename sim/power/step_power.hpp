#pragma once

#include "sim/power/choice.hpp"
#include "topology/fabric.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// What a GPU may be doing, each with a draw of its own.
enum class GpuState : std::uint8_t { compute, memory, exposed, bubble, idle };
template <>
struct EnumNames<GpuState> {
    static constexpr std::array words{"compute", "memory", "exposed", "bubble", "idle"};
};
inline constexpr std::size_t gpu_states = 5;

/// How long GPUs that behave alike spend in each state of one step, or phase.
struct GpuActivity {
    double gpus = 0;
    std::array<double, gpu_states> seconds{};
};

/// One component of the job in one state: `count` of them, for `share` of the time. Of fans and
/// conversion, which follow the others, `each_w` is all that is drawn.
struct PowerPart {
    std::string component;  ///< gpu, cpu, dram, nvswitch, nic, other, fans, conversion, network
    std::string state;      ///< a GpuState; "training" or "idle"; "on"
    double count = 0, share = 0, each_w = 0;
    double joules = 0;  ///< of the whole job in one step
};

/// What a step draws: of one GPU, of one node (box or compute tray), of one unit (rack or box, the
/// NVLink switches included), of the job (and of its part of the network's switches).
struct StepPower {
    std::vector<PowerPart> parts;  ///< they sum to `joules`
    double clock = 1;              ///< of the GPUs, over what they sustain without a limit
    double gpu_w = 0, node_w = 0, unit_w = 0, cluster_w = 0;
    double node_peak_w = 0;  ///< all GPUs in tensor-core kernels at once
    double joules = 0;       ///< of the job in one step
};

/// A GPU's draw in a state at a clock, its limit kept.
double gpu_watts(GpuPower const& power, Watts tdp, GpuState state, double clock, double limit_w);

/// `activity` is every GPU of the fabric, `step_s` long each; `clock` as it was simulated with.
StepPower step_power(PowerSetting const& setting,
                     Fabric const& fabric,
                     std::vector<GpuActivity> const& activity,
                     double step_s,
                     double clock);

/// What the same machines draw with nothing to do.
double idle_watts(PowerSetting const& setting, Fabric const& fabric);

/// The clock at which a GPU's limit holds in tensor-core kernels; 1 where it never binds.
double clock_of_gpu_cap(PowerSetting const& setting, Watts tdp);

/// The clock at which `drawn`, simulated at its own clock, would keep the unit's limit if the step
/// were divided as before; 1 where it does not bind. Throws ConfigError at `asked` for a limit that
/// the unit exceeds with idle GPUs.
double clock_of_unit_cap(PowerSetting const& setting,
                         Fabric const& fabric,
                         StepPower const& drawn,
                         Place const& asked);

}  // namespace nvl72
