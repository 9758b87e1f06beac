#pragma once

#include "sim/base/units.hpp"
#include "sim/graph/executor.hpp"
#include "sim/graph/task_graph.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace nvl72 {

/// A run that can be done again with other task times, without the solver: its tasks in the order
/// in which they started, what each waits for, and by how much sharing stretched its work.
struct Replay {
    struct Step {
        CostId cost;
        std::uint32_t needs_end = 0;  ///< in `needs`; they begin where those of the step before end
        double stretch = 1;           ///< 1: it had its resources alone
    };
    std::vector<Step> steps;
    std::vector<std::uint32_t> needs;  ///< earlier steps, the one before in the stream among them
};

/// Of an execution of `graph` with `times`, which are indexed by CostId.
Replay record(TaskGraph const& graph, std::span<TaskTime const> times, Execution const& execution);

/// The makespans with other times, one of each set, by longest-path passes in the recorded order.
/// With the recorded times it is the recorded makespan. Right as long as no more and no less is
/// shared than in the recorded run.
std::vector<Picoseconds> replay(Replay const& recorded,
                                std::span<std::vector<TaskTime> const> sets);

}  // namespace nvl72
