#pragma once

#include "sim/cost/profile.hpp"

#include <string>

namespace nvl72 {

/// What would speed the collective up most: "NIC", "NVLink", "latency" (steps, messages, start-up),
/// "launch" (a host thread that launches for several GPUs), or "channels" (what the software uses
/// of its links). By how its time answers to a little more of each.
std::string bound_by(CollectiveSection const& section, Collective const& query);

}  // namespace nvl72
