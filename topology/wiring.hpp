#pragma once

#include "topology/fabric.hpp"

#include <vector>

namespace nvl72 {

/// GPUs behind NVSwitch chips; a GPU's links spread over the chips as links_per_chip says (5-4-4-5
/// on HGX H100), evenly when it says nothing.
Wiring build_hgx(ClusterSpec const& spec);

/// Racks with one NVSwitch tier: every GPU has exactly one link to every chip, so a chip is a
/// plane.
Wiring build_nvl72(ClusterSpec const& spec);

/// No switch: every GPU wired to every other one of its node.
Wiring build_direct(ClusterSpec const& spec);

/// Threads of one CPU: no wire at all, every rank reads and writes the same memory.
Wiring build_host(ClusterSpec const& spec);

/// Where each link of each GPU goes: [gpu][link] -> chip (or peer).
std::vector<std::vector<int>> link_targets(Wiring const& wiring);

/// Links are used once, ports suffice, everyone reaches everyone.
std::vector<Check> wiring_checks(Wiring const& wiring, ClusterSpec const& spec);

/// Smallest sum over balanced halves of links between them, given the links up of each GPU behind
/// switches, or the links up between each pair of GPUs without.
long long bisection_links(std::vector<int> links_up);
long long bisection_links(std::vector<std::vector<int>> const& pair_links);

}  // namespace nvl72
