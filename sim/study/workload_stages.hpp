#pragma once

#include "sim/study/workload_experiment.hpp"
#include "sim/workload/control_loop.hpp"
#include "sim/workload/phase.hpp"
#include "topology/fabric.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace nvl72 {

/// What building a stage may look at.
struct StageContext {
    Library const& library;
    GivenProfiles const& given;
    WorkloadSystem const& system;
    PoolChoice const* pool = nullptr;  ///< none: it runs elsewhere
    std::uint64_t seed = 1;
};

/// A stage with its oracle. `compute_share`: of its GPUs' time in tensor-core kernels; the rest
/// reads memory.
struct BuiltStage {
    PhaseStage plan;
    double compute_share = 1;
    std::string basis, profile;          ///< what its time stands on
    std::optional<ControlPlan> control;  ///< of robots: it is a process of its own
    double servers = 1;                  ///< that share the control plan's robots
};

/// A row per kind of phase. `machine` is what its pool must be.
enum class Machine : std::uint8_t { gpus, cores, link, elsewhere };
struct PhaseKind {
    std::string_view name, summary;
    Machine machine;
    BuiltStage (*build)(Value const& own, StageContext const&);  ///< none: `search`, of stages
};
std::span<PhaseKind const> phase_kinds();

/// The kind of that name; throws ConfigError with the nearest.
PhaseKind const& phase_kind(Placed<std::string> const& name);

}  // namespace nvl72
