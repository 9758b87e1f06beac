#pragma once

#include "sim/base/table.hpp"
#include "sim/interchange/samples.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// What a machine's samples hold besides kernels and collectives.
struct MachineTimes {
    std::vector<SampledLaunch> launches;
    std::vector<SampledCopy> copies;
    std::vector<SampledOverlap> overlaps;

    void add(MachineTimes const& more);
};

/// What the simulator reckons with where MachineTimes has its like.
struct ReckonedTimes {
    int sms = 0;                             ///< of one GPU; 0: a CPU
    std::string gemm_launch, memory_launch;  ///< as the profile writes them; "": it has none
};

/// Launches, copies and slowdowns that no prediction uses yet: one line each, measured beside what
/// the simulator reckons with instead. Copies of one direction and engine are one line, at their
/// largest size; from and to are the slowest and quickest block, of copies the slowest and
/// quickest pair. A GEMM beside a collective that may hold s of S SMs loses s/S of its
/// rate in the simulator, for as long as both run (slow_gemm in sim/training/turn_cost.cpp); the
/// collective loses nothing.
Table table_of(MachineTimes const& times, ReckonedTimes const& reckoned);

}  // namespace nvl72
