#pragma once

#include "sim/cost/profile.hpp"
#include "sim/serving/serve.hpp"
#include "sim/study/serving_experiment.hpp"
#include "sim/study/serving_row.hpp"
#include "topology/fabric.hpp"

#include <memory>
#include <optional>
#include <string>

namespace nvl72 {

/// A point's servers, complete. It owns the costs that its deployment refers to.
struct LoadedServing {
    ServingPoint point;
    Fabric fabric;
    std::string profile_name, engine_name;
    std::unique_ptr<StepCost> decode, prefill;
    Deployment deployment;
    std::optional<PowerSetting> power;
};

/// Loads what a point names, and puts its servers on its GPUs. Throws DoesNotFit where weights
/// leave no room, ConfigError where servers and GPUs do not agree.
LoadedServing load_serving(ServingPoint const& point,
                           Library const& library,
                           GivenProfiles const& given,
                           Trail* trail = nullptr);

/// What the servers draw over a run of `span_s`, its GPU-seconds in prompts, decoding and idle.
struct ServedPower {
    double gpu_w = 0, unit_w = 0, cluster_w = 0, joules = 0;
};
std::optional<ServedPower> served_power(LoadedServing const& loaded, ServingMetrics const& metrics);

/// A point served: its row of /sweep, its requests, and hits by layer of their prompts.
struct ServedPoint {
    ServingRow row;
    Requests requests;
    ServingRun run;
};
ServedPoint simulate_serving(LoadedServing& loaded, std::int64_t index, std::uint64_t seed);

}  // namespace nvl72
