#pragma once

#include "sim/cost/collective_cost.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace nvl72 {

/// A ring expanded into point-to-point sends: rank r sends `steps` chunks to rank r+1, one after
/// the other; its send k+1 needs what rank r-1 sent as its k-th.
struct RingProgram {
    double chunk = 0;                ///< bytes of one send
    std::int64_t steps = 0;          ///< sends of one rank
    std::vector<double> rate;        ///< of the link from rank r to r+1, bytes per second
    std::vector<Picoseconds> hop;    ///< latency of that link
    std::vector<Picoseconds> start;  ///< when rank r enters; all zero: together
};

/// When the last chunk has arrived. Integer max-plus recurrence over
///   x(r,k+1) = max(x(r,k), x(r-1,k) + hop(r-1)) + chunk/rate(r)
Picoseconds ring_makespan(RingProgram const& program);

/// The same, run on the event engine with one resource a link.
Picoseconds ring_makespan_on_engine(RingProgram const& program);

/// A ring as one activity on the links of its program.
struct RingActivity {
    Picoseconds latency;
    double work = 0;      ///< bytes that one rank sends
    double rate_max = 0;  ///< bytes per second, without the latency

    [[nodiscard]] Picoseconds alone() const { return latency + from_seconds(work / rate_max); }
};

/// The activity of the same links: the longest chain of sends that wait for one another, its hops
/// as latency and its sends as work. All ranks enter together.
RingActivity ring_activity(RingProgram const& program);

/// The sends behind a ring query, built from its branch's link costs (sim/cost/ring_cost.hpp).
/// Ranks stand in domains in order; the last of a domain sends over the network, at the rate of all
/// the NICs that its channels share, and no sooner than its proxy's gap after the last message.
/// Throws ConfigError for algorithms that are no ring.
///   nic_shares  of each domain's NIC rate that its hashed flows keep (ring_ecmp_shares); empty:
///               all keep the shape's network_efficiency, which folds them
RingProgram ring_program(CollectiveSection const& section,
                         Collective const& query,
                         std::span<double const> nic_shares = {});

/// A ring at `fidelity: steps`, and the activity built from the same link costs; each with the
/// branch's base before it.
struct RingTimes {
    Picoseconds steps, activity;
};
RingTimes ring_times(CollectiveSection const& section,
                     Collective const& query,
                     std::span<double const> nic_shares = {});

}  // namespace nvl72
