#pragma once

#include "sim/cost/moe_routing.hpp"
#include "sim/cost/profile.hpp"

#include <vector>

namespace nvl72 {

/// All-to-alls done one after the other, as queries, and what the busiest GPU sends in all.
struct ExchangePlan {
    std::vector<Collective> phases;
    LinkLoad load;
};

/// Everybody to everybody at once: NCCL's all-to-all.
///   size  the full buffer, as nccl-tests counts it
ExchangePlan pairwise_alltoall(Profile const& profile, Bytes size, GroupShape const& shape);

/// Two levels: every GPU sends what is for another domain to the GPU in its place there, then the
/// GPUs of each domain exchange among themselves. As many bytes leave a domain, in N - 1 messages a
/// GPU instead of n - L; NVLink carries more. Throws ConfigError where domains have unequal shares;
/// inside one domain it is pairwise.
ExchangePlan hierarchical_alltoall(Profile const& profile, Bytes size, GroupShape const& shape);

/// One dispatch (or combine) of `bytes` of tokens a GPU: pairwise for dedup none and gpu, in two
/// levels for dedup domain. Each phase is the all-to-all whose busiest link carries as much as that
/// of the busiest GPU here, so that skewed routing takes the time of who gets most.
ExchangePlan moe_exchange(Profile const& profile,
                          MoeRouting const& routing,
                          MoeDedup dedup,
                          Bytes bytes,
                          GroupShape const& shape);

/// Their times, one after the other, on the worst basis of them.
Cost exchange_cost(Profile const& profile, ExchangePlan const& plan);

}  // namespace nvl72
