#pragma once

#include "sim/study/plan_goal.hpp"
#include "sim/study/plan_search.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

struct PlanOptions {
    std::optional<PlanGoal> goal;
    std::vector<std::int64_t> gpus;  ///< sizes to look at; none: the job's own
    FixedAxes fixed;
    PlanScope scope = PlanScope::layouts;
    int threads = 1;
    std::function<void(double)> progress;
};

/// A layout of the answer. `best`: what the goal asks for. `front`: on the Pareto front of time,
/// memory and GPUs. `instead`: the best with one choice changed. `as_written`: the config's own.
enum class PlanRowKind : std::uint8_t { best, front, instead, as_written };
template <>
struct EnumNames<PlanRowKind> {
    static constexpr std::array words{"best", "front", "instead", "as_written"};
};
struct PlanRow {
    PlanRowKind kind = PlanRowKind::best;
    std::int64_t gpus = 0;
    std::optional<LayoutPoint> layout;  ///< none: nothing was found
    std::optional<SweepRow> row;        ///< none: it does not fit
    double bound_s = 0;
    double memory_gib = 0;
    std::string changed;  ///< "tp 4": what was chosen instead
    std::string reason;   ///< why it is not the best
};

/// What came of the goal's tokens; NaN: not known.
struct PlanRun {
    double days = 0, usd = 0, mwh = 0;
};
PlanRun run_of(SweepRow const& row, double tokens);

/// The answer for one system.
struct SystemPlan {
    PlanJob job;                ///< of the best layout's size
    std::vector<PlanRow> rows;  ///< the best first
    PlanCounts counts;
    double bound_seconds = 0, simulate_seconds = 0;
    std::vector<std::string> notes;  ///< what other sizes came to
};

/// Searches layouts for a system, whose own layout is kept beside where it `has_layout`. Throws
/// ConfigError where no layout divides, DoesNotFit with the closest where none fits.
SystemPlan plan_system(Point const& point,
                       bool has_layout,
                       LoadedConfigs& configs,
                       PlanOptions const& options);

/// Sizes that a goal looks at up to `gpus`: halves of it, and three quarters of those.
std::vector<std::int64_t> goal_sizes(std::int64_t gpus);

}  // namespace nvl72
