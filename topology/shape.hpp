#pragma once

#include "sim/base/units.hpp"

#include <compare>
#include <cstdint>

namespace nvl72 {

/// What a collective needs to know of the wiring under a set of GPUs. Plain and hashable: two
/// groups with equal shapes cost the same.
struct GroupShape {
    std::int64_t ranks = 1;
    std::int64_t domains = 1;           ///< NVLink domains the group touches
    std::int64_t ranks_per_domain = 1;  ///< largest share of one domain
    /// Of the domain with the fewest; 0: all but one hold ranks_per_domain, that one the rest.
    std::int64_t ranks_smallest = 0;
    int planes = 0;                 ///< NVLink planes (switch chips) as built
    int planes_up = 0;              ///< planes still working for the worst member
    BytesPerSecond in_domain;       ///< one GPU into NVLink, one direction, faults included
    BytesPerSecond per_gpu_nic;     ///< line rate of NICs per GPU, one direction, faults included
    int rails = 0;                  ///< NICs per domain reachable in parallel
    int network_tiers = 0;          ///< switch tiers crossed between the farthest members
    double network_efficiency = 1;  ///< routing factor (adaptive 0.95, ecmp 0.60 when folded)

    friend auto operator<=>(GroupShape const&, GroupShape const&) = default;
};

}  // namespace nvl72
