#pragma once

#include "sim/base/table.hpp"
#include "sim/collective/algorithms.hpp"
#include "sim/cost/moe_routing.hpp"
#include "sim/cost/profile.hpp"
#include "topology/fabric.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// "512M" -> bytes, K, M, G and T binary as in nccl-tests; throws ConfigError naming `option`.
Bytes parse_test_size(std::string_view option, std::string const& text);

/// An element type, by nccl-tests' name.
struct TestType {
    std::string name;
    int bytes = 0;
};
TestType parse_test_type(std::string const& text);

/// What nccl-tests' command line says.
struct CollectiveSweep {
    CollectiveOp op = CollectiveOp::all_reduce;
    std::string algorithm;  ///< "": the tuner's choice; also pairwise | hierarchical of alltoall
    Bytes begin{}, end{};
    std::int64_t factor = 2;
    Bytes step{};  ///< more than 0: adds instead of multiplying
    TestType type{"float", 4};
    bool steps = false;  ///< fidelity: steps
    Launch launch{};
    std::uint64_t seed = 1;  ///< of hashed flows
    /// An alltoall that dispatches (or combines) tokens to experts: sizes are the bytes of one
    /// GPU's tokens, and busbw is what the busiest GPU sends or gets.
    std::optional<MoeRouting> moe{};
    MoeDedup dedup = MoeDedup::gpu;
    bool explain = false;  ///< notes of what the tuner weighed, a line each
};

struct CollectiveSweepRow {
    Bytes size;
    std::int64_t count = 0;  ///< elements, of one rank where nccl-tests counts so
    Picoseconds time;
    double algbw = 0;  ///< GB/s
    double busbw = 0;
    std::string algorithm;
    Basis basis;
    Spread spread;  ///< 80 % of measurements lie between these factors of the time
    /// At fidelity steps: what an activity built from the same link costs takes, and what the
    /// branch is calibrated to.
    struct Beside {
        Picoseconds activity, calibrated;
        std::string why;  ///< "": the calibrated branch is a sum of its links too
    };
    std::optional<Beside> beside{};
    std::string bound_by{};  ///< of the calibrated branch (sim/cost/bound.hpp); "": not told
};

struct SweepAnswer {
    CollectiveSweep sweep;
    std::string cluster, gpu;  ///< names
    GroupShape shape;
    std::vector<CollectiveSweepRow> rows;
    std::vector<std::string> notes;  ///< algorithms, basis, what was left out
};

/// One row a size, on all GPUs of the fabric. Sizes are rounded down as nccl-tests rounds them;
/// those that leave a rank less than 16 bytes are left out with a note.
SweepAnswer run_sweep(CollectiveSweep const& sweep, Profile const& profile, Fabric const& fabric);

/// nccl-tests' own layout, which its parsers read; in-place equals out-of-place, #wrong is N/A.
std::string nccl_tests_text(SweepAnswer const& answer);

/// The same with stable names, for csv and json.
Table table_of(SweepAnswer const& answer);

}  // namespace nvl72
