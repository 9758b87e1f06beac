#pragma once

#include "topology/fabric.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace nvl72 {

/// Traffic from one NIC of a GPU to that of a GPU on the same rail.
struct RailFlow {
    std::int64_t from = 0, to = 0;  ///< GPUs
    int nic = 0;                    ///< of the GPU
};

/// Share of its NIC's rate that each flow keeps under `routing: ecmp`, all under way at once and
/// none folded: a flow that leaves its leaf switch takes one of the spines by a seeded hash of its
/// ends, and shares the links up to that spine and down from it with whom the hash sends there too.
/// A leaf has its ports over the oversubscription as uplinks, each of a NIC's rate. A third tier is
/// not hashed again. Flows within one leaf keep all.
std::vector<double> ecmp_shares(Fabric const& fabric,
                                std::span<RailFlow const> flows,
                                std::uint64_t seed);

/// What the flows of a leaf keep on average when each of its ports sends one to another leaf: of m
/// flows over U uplinks a share (1 - (1 - 1/U)^m) of the uplinks is busy, as of m balls in U bins;
/// 0.64 of 32 over 32. With what adaptive routing keeps of line rate it is the folded factor of
/// ecmp in configs/clusters, for all collectives alike: in an all-to-all every NIC passes many
/// flows. A ring, unfolded, is as slow as its slowest flow.
double ecmp_share_mean(ClusterSpec const& cluster);

/// The same of a ring over the first GPUs, by domain: the slowest flow to the next domain, whose
/// channels carry equal parts, and what adaptive routing keeps of line rate. Every GPU of the
/// smallest share sends to the one in its place.
std::vector<double> ring_ecmp_shares(Fabric const& fabric,
                                     GroupShape const& shape,
                                     std::uint64_t seed);

}  // namespace nvl72
