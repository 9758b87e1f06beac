#pragma once

#include "sim/base/table.hpp"
#include "sim/study/fit_kernels.hpp"
#include "sim/study/run_predictor.hpp"

#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// The training constants fitted to runs, all together.
struct FittedRuns {
    std::vector<TrainingConstant> constants;
    std::vector<double> values;
    std::vector<double> slopes;     ///< of the loss by each constant's logarithm, at the values
    std::vector<RunRow> rows;       ///< the predictor's
    std::vector<double> predicted;  ///< seconds of each row's step
    /// The same by fits without the row's layout, model, system, release.
    std::vector<double> layout_out, model_out, system_out, release_out;
    std::vector<SectionFit> fits;  ///< training dense, training moe: inside without the layout,
                                   ///< outside without the model or the system
    std::vector<std::string> notes;
};

/// Fits by least squares of log time, robust, over all rows but those apart.
FittedRuns fit_runs(std::vector<MeasuredTraining> const& runs,
                    std::string const& origin,
                    Library const& library);

/// The constants with their values and what is known of them.
Table constants_table(FittedRuns const& fitted);
/// MAPE by kind and model: in the fit, and with the layout, model, system or release left out.
Table left_out_table(FittedRuns const& fitted);

/// The config files that hold a constant or the interval of the rows, by name below configs, with
/// the fitted values and their sources; all else in them stays.
std::vector<std::pair<std::string, std::string>> fitted_files(FittedRuns const& fitted,
                                                              Library const& library);

}  // namespace nvl72
