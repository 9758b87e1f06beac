#pragma once

#include "sim/parallel/placement.hpp"
#include "topology/fabric.hpp"

#include <cstdint>
#include <vector>

namespace nvl72 {

/// The links of some replicas of the model on one stage: the slowest of each kind.
struct StageLinks {
    GroupShape tp, cp, ep, fsdp;
    GroupShape next;  ///< a rank and its like on the next stage (of the last: on the first)
    BytesPerSecond nvlink, nic;
    friend auto operator<=>(StageLinks const&, StageLinks const&) = default;
};

/// Replicas of the model that are wired alike on every stage: they take the same time, and fold
/// into one class a stage.
struct ReplicaColumn {
    std::int64_t first = 0;  ///< its first rank on the first stage
    std::int64_t ranks = 0;  ///< on one stage
    std::vector<StageLinks> stages;
};

/// Where a job's groups lie on a fabric. Ranks that talk within a turn are looked at together, in
/// blocks; what joins blocks are gradients and parameters alone.
class Seating {
public:
    Seating(Parallel const& parallel, Fabric const& fabric);

    /// Blocks wired alike, together; `fold` false: every block for itself. Where more than
    /// `columns_max` differ, one column that has the slowest of all on each stage.
    [[nodiscard]] std::vector<ReplicaColumn> columns(bool fold) const;
    static constexpr std::size_t columns_max = 16;

    /// The slowest group of `pattern` on the stage, joined with its likes on the mirror stage where
    /// that holds a copy of the model.
    [[nodiscard]] GroupShape shards(int stage, GroupPattern const& pattern) const;
    [[nodiscard]] std::int64_t ranks_per_stage() const { return parallel_.gpus / parallel_.pp; }

private:
    [[nodiscard]] StageLinks of(int stage, std::int64_t begin, std::int64_t ranks) const;
    [[nodiscard]] GroupShape slowest(int stage,
                                     GroupPattern const& pattern,
                                     std::int64_t begin,
                                     std::int64_t ranks) const;
    [[nodiscard]] GroupShape slowest_link(int stage, std::int64_t begin, std::int64_t ranks) const;

    Parallel const& parallel_;
    Fabric const& fabric_;
    ProcessGroups groups_;
};

}  // namespace nvl72
