#pragma once

#include "sim/study/workload_stages.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace nvl72 {

/// A phase with its stages' oracles.
struct BuiltPhase {
    PhaseChoice const* choice = nullptr;
    PhasePlan plan;
    std::vector<BuiltStage> stages;
    std::vector<std::size_t> pools;  ///< of each stage; none where elsewhere
};

/// A point's workload: its pools and links, and its phases with their oracles. `plan` lacks the
/// phases yet: those of `phases` that are no control loops run in it.
struct BuiltWorkload {
    WorkloadPlan plan;
    std::vector<BuiltPhase> phases;
};

/// Builds what a point asks for; everything that does not agree is a ConfigError at its place. The
/// point outlives it.
BuiltWorkload build_workload(WorkloadPoint const& point,
                             Library const& library,
                             GivenProfiles const& given,
                             std::uint64_t seed);

}  // namespace nvl72
