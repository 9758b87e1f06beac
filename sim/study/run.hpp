#pragma once

#include "sim/base/table.hpp"
#include "sim/config/library.hpp"
#include "sim/cost/profile.hpp"
#include "sim/study/experiment.hpp"
#include "sim/study/sensitivity.hpp"
#include "sim/study/sweep_row.hpp"
#include "sim/study/unfit_point.hpp"
#include "sim/trace/result_file.hpp"

#include <functional>
#include <string>
#include <vector>

namespace nvl72 {

/// How much of a run is kept: `summary` leaves tables per class, `ops` every task of the points of
/// kind system.
enum class TraceLevel : std::uint8_t { none, summary, ops };
template <>
struct EnumNames<TraceLevel> {
    static constexpr std::array words{"none", "summary", "ops"};
};

struct RunOptions {
    TraceLevel trace = TraceLevel::ops;
    bool sensitivity = false;  ///< of every system: what would help
    int threads = 1;
    GivenProfiles calibrations;
    std::string program_version;
    /// Told the finished share of all points; called from one thread at a time.
    std::function<void(double)> progress;
};

/// What an experiment came to.
struct RunResult {
    std::vector<SweepRow> rows;     ///< one per point that fits, in the experiment's order
    std::vector<PointTag> tags;     ///< of the rows, for expressions
    std::vector<UnfitPoint> unfit;  ///< the others
    std::vector<Table> memory;      ///< who owns each GiB, by point
    std::vector<std::vector<Sensitivity>> sensitivities;  ///< by system, where they were asked for
    Findings findings;               ///< the answer, with what it was worked out from
    std::vector<std::string> notes;  ///< what the numbers rest on, one line per system
    ResultFile file;
};

/// Simulates every point. Points are independent: the result is the same for any thread count.
/// Points that do not fit are told apart, and the others run; throws DoesNotFit where that leaves
/// none. Throws the first point's other error, in point order.
RunResult run_experiment(Experiment const& experiment,
                         Library const& library,
                         RunOptions const& options);

}  // namespace nvl72
