#pragma once

#include "sim/base/units.hpp"
#include "sim/graph/executor.hpp"
#include "sim/graph/task_graph.hpp"

#include <array>

namespace nvl72 {

/// Where one class's step went. The instants of its compute stream are partitioned into compute;
/// else waiting for a running communication of dimension d (exposed d); else waiting for a
/// pipeline peer (bubble); else idle. The parts sum to the step, to the picosecond.
struct Breakdown {
    Picoseconds compute;
    std::array<Picoseconds, parallel_dimensions> exposed{};  ///< by ParallelDimension
    Picoseconds bubble;
    Picoseconds idle;

    [[nodiscard]] Picoseconds total() const;
};

/// One breakdown per class of the graph.
std::vector<Breakdown> breakdown(TaskGraph const& graph, Execution const& execution);

}  // namespace nvl72
