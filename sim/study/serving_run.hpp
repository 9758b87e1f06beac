#pragma once

#include "sim/study/run.hpp"
#include "sim/study/serving_experiment.hpp"
#include "sim/study/serving_row.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// What a serving experiment came to.
struct ServingResult {
    std::vector<ServingRow> rows;     ///< one per point that fits, in the experiment's order
    std::vector<std::string> notes;   ///< what fits not, hits by layer, what the numbers rest on
    std::vector<std::string> answer;  ///< its sentences, the ratio of two systems first
    ResultFile file;
};

/// Serves every point. Points are independent: the result is the same for any thread count. A point
/// of a sweep that does not fit is left out and told; a system that does not fit is an error.
ServingResult run_serving_experiment(ServingExperiment const& experiment,
                                     Library const& library,
                                     RunOptions const& options);

}  // namespace nvl72
