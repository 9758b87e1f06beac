#pragma once

#include "sim/collective/collective.hpp"
#include "sim/cost/profile.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// What the tuner looks at.
struct Choice {
    Profile const& profile;
    CollectiveOp op{};
    Bytes size;
    GroupShape const& shape;
    int bytes_per_element = 2;
    Launch launch{};

    /// NCCL's branches; rows that look at them are asked only where the profile has some.
    [[nodiscard]] CollectiveSection const& section() const { return *profile.collectives; }
};

/// Seconds that NCCL's tuner expects. It chooses by them, good or bad as they are.
using TunerEstimate = double (*)(Choice const&);

/// One algorithm with one protocol.
struct AlgorithmRow {
    std::string_view name;
    std::string_view family;  ///< what --algorithm also accepts: the tuner chooses among its rows
    std::string_view summary;
    CollectiveAlgorithm branch;
    /// "" when it can run, else why not.
    std::string (*obstacle)(Choice const&);
    /// None: NCCL's tuner has no row, and the calibrated time decides.
    TunerEstimate estimate;
    /// True when NCCL takes it without being asked.
    bool (*by_default)(Choice const&);
};

/// The row's index is `Collective::algorithm`.
std::span<AlgorithmRow const> collective_algorithms();

/// One row as the tuner saw it.
struct CollectiveCandidate {
    AlgorithmRow const* row = nullptr;
    std::string obstacle;            ///< why it cannot run, or is not taken unasked; "": it may
    std::optional<double> estimate;  ///< seconds that the tuner expects, where it has a row
    std::optional<Cost> cost;        ///< as calibrated, of all that could run
    bool chosen = false;
};

/// Every row for this collective, as plan_collective weighs them; microkernels only where the
/// profile has some.
std::vector<CollectiveCandidate> collective_candidates(Profile const& profile,
                                                       CollectivePlan const& plan);

/// The operation by nccl-tests' name or an obvious alias ("allreduce", "all_reduce_perf",
/// "all_to_all"); throws ConfigError with the nearest name.
CollectiveOp parse_collective_op(std::string_view text);

/// Bus bandwidth over algorithm bandwidth, as nccl-tests defines it.
double bus_factor(CollectiveOp op, std::int64_t ranks);

}  // namespace nvl72
