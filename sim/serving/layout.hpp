#pragma once

#include "sim/config/fields.hpp"
#include "sim/model/architecture.hpp"
#include "topology/fabric.hpp"

#include <cstdint>
#include <vector>

namespace nvl72 {

/// How one replica of a server cuts its model. Attention runs on `attention_dp` groups of `tp`
/// ranks, each with its own requests; the experts of a layer are spread over all of them, cut
/// `expert_tp` ways inside and `expert_ep` ways by expert.
struct ServingLayout {
    Place place;
    int tp = 1;
    int pp = 1;
    int attention_dp = 1;
    int expert_tp = 0;  ///< 0: what expert_ep leaves
    int expert_ep = 0;  ///< 0: 1, or what expert_tp leaves

    /// GPUs of one pipeline stage, and of a replica.
    [[nodiscard]] int stage_gpus() const { return tp * attention_dp; }
    [[nodiscard]] int gpus() const { return stage_gpus() * pp; }
};
std::vector<Field<ServingLayout>> const& fields_of(ServingLayout const*);

/// The layout with its zeros filled in; a ConfigError says what does not divide.
ServingLayout checked(ServingLayout layout, Architecture const& model);

/// The wiring under a replica's groups.
struct ServingGroups {
    GroupShape tp;       ///< ranks that share attention
    GroupShape stage;    ///< all ranks of a stage, which share the experts
    GroupShape next;     ///< two ranks of neighbouring stages
    BytesPerSecond nic;  ///< of one GPU, one direction
};
ServingGroups groups_of(ServingLayout const& layout, Fabric const& fabric);

}  // namespace nvl72
