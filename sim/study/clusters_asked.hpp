#pragma once

#include "sim/collective/sweep.hpp"
#include "sim/config/fields.hpp"
#include "sim/cost/query.hpp"
#include "sim/study/loaded_configs.hpp"
#include "sim/trace/result_file.hpp"
#include "topology/cluster.hpp"

#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// A cluster whose facts an experiment asks for.
struct ClusterAsked {
    std::optional<std::string> label;
    ClusterChoice cluster;

    [[nodiscard]] std::string name() const { return label.value_or(cluster.name); }
};
std::vector<Field<ClusterAsked>> const& fields_of(ClusterAsked const*);

/// A collective on all GPUs of a cluster, by size, as `nvl72sim collective` times it.
struct CollectiveAsked {
    Place place;
    std::optional<std::string> label;
    ClusterChoice cluster;
    std::optional<Placed<std::string>> fabric;
    CollectiveOp op{};
    std::optional<std::string> algorithm;
    std::vector<Bytes> sizes;  ///< of the buffer; of one GPU's tokens where experts are given
    std::optional<int> experts, top_k;
    double zipf = 0;
    MoeDedup dedup = MoeDedup::gpu;
    std::optional<MoeTransport> kernel;  ///< that moves tokens, in place of NCCL's all-to-all
    std::optional<std::int64_t> hidden;  ///< values of a token, in BF16; goes with kernel

    [[nodiscard]] std::string name() const { return label.value_or(cluster.name); }
};
std::vector<Field<CollectiveAsked>> const& fields_of(CollectiveAsked const*);

/// Throws ConfigError where keys contradict each other.
void check(CollectiveAsked const& asked);

/// /facts: a row a fact of each cluster; numbers only.
ResultTable facts_table(std::vector<ClusterAsked> const& asked, Library const& library);

/// /collectives: a row a size of each.
ResultTable collectives_table(std::vector<CollectiveAsked> const& asked,
                              Library const& library,
                              GivenProfiles const& given);

}  // namespace nvl72
