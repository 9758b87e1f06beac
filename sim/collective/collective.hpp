#pragma once

#include "sim/cost/collective_traffic.hpp"
#include "sim/cost/query.hpp"

#include <string_view>

namespace nvl72 {

struct Profile;

/// A collective ready to run: the branch the tuner chose, what it puts on links and the SMs it
/// holds on every rank while it moves data.
struct CollectivePlan {
    Collective query;
    LinkLoad load;
    int sms = 0;
};

/// Chooses algorithm and protocol as NCCL's tuner would, or takes the `forced` algorithm; throws
/// ConfigError when it does not exist for this operation and shape.
///   size   the full buffer in bytes, as nccl-tests counts it (all_gather: ranks x what each sends)
///   shape  the wiring under the group, from Fabric::shape_of
///   launch who starts its kernels
CollectivePlan plan_collective(Profile const& profile,
                               CollectiveOp op,
                               Bytes size,
                               GroupShape const& shape,
                               int bytes_per_element = 2,
                               std::string_view forced = {},
                               Launch launch = {});

}  // namespace nvl72
