#pragma once

#include "sim/base/ids.hpp"
#include "sim/base/units.hpp"

#include <cstdint>
#include <span>

namespace nvl72 {

/// Something happens at an instant. All events of one picosecond are one batch, in canonical
/// order: by kind (finishes, arrivals, starts), then by subject.
struct Event {
    Picoseconds at;
    std::uint32_t kind = 0;  ///< row of the run's function table
    std::uint32_t subject = 0;
};

/// What activities share: a link class, SM pool, HBM, C2C or CPU pool. `capacity` is that of one
/// member, in work units per second; `multiplicity` counts identical members folded into it.
struct Resource {
    double capacity = 0;
    std::uint32_t multiplicity = 1;
};

/// An activity at rate r takes r * per_work of the resource's capacity.
struct Usage {
    ResourceId resource;
    double per_work = 1;
};

/// A latency part, then `work` at a rate of at most `rate_max`. Alone it takes
/// latency + work / rate_max, to the picosecond; where resources are full, max-min sharing slows
/// it. Invariant: sum over activities of multiplicity * rate * per_work <= capacity, and each
/// activity runs at rate_max or crosses a full resource.
struct Activity {
    Picoseconds latency;
    double work = 0;                 ///< any unit; 0 means latency only
    double rate_max = 1;             ///< work units per second
    std::uint32_t multiplicity = 1;  ///< identical activities per member of the resources it uses
    std::span<Usage const> uses;
};

}  // namespace nvl72
