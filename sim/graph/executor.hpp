#pragma once

#include "sim/base/units.hpp"
#include "sim/graph/task_graph.hpp"

#include <functional>
#include <span>
#include <vector>

namespace nvl72 {

/// How long a task takes alone: `latency`, then `work` (the bandwidth part) which shares.
struct TaskTime {
    Picoseconds latency;
    Picoseconds work;
};

/// When every task started and finished; times count from the start of the step.
struct Execution {
    std::vector<Picoseconds> start;
    std::vector<Picoseconds> finish;
    Picoseconds makespan;
    std::vector<double> carried;  ///< by resource: traffic amount moved by one member
};

/// Runs the graph: a task starts when it heads its stream and everything it needs has finished.
/// `times` is indexed by CostId. `progress` is told the finished share now and then; it may throw
/// to stop the run. Throws NoProgress naming the ranks that wait, and for which resource, where one
/// has no capacity left (a graph's own cycles were refused when it was built).
Execution execute(TaskGraph const& graph,
                  std::span<TaskTime const> times,
                  std::function<void(double)> const& progress = {});

}  // namespace nvl72
