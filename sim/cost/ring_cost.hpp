#pragma once

#include "sim/cost/collective_cost.hpp"

namespace nvl72 {

/// What one buffer costs a ring on its links: the one source of its calibrated time, of its single
/// sends (sim/collective/steps.hpp), and of the activity that stands for these. Seconds.
struct RingLinkCosts {
    double base = 0;         ///< before the first send
    double hop_empty = 0;    ///< of a step inside a domain, for an empty buffer
    double hop = 0;          ///< the same for this one
    double network_hop = 0;  ///< of a step between two domains
    double gap = 0;          ///< least time from one message to the next between two domains
    double inside = 0;       ///< a GPU's sends, all of them, over NVLink
    double network = 0;  ///< a domain's sends over the NICs of the ring's channels; one domain: 0
    double norm = 1;     ///< p, where it is above the section's overlap_norm

    /// Of one of `steps` sends.
    [[nodiscard]] double send_inside(std::int64_t steps) const;
    [[nodiscard]] double send_between(std::int64_t steps) const;
};

/// Throws ConfigError for algorithms that are no ring.
RingLinkCosts ring_link_costs(CollectiveSection const& section, Collective const& query);

/// A ring as its logs calibrate it: the steps that NCCL counts, then the bytes of the slowest link.
CollectiveTerms ring_terms(CollectiveSection const& section, Collective const& query);

}  // namespace nvl72
