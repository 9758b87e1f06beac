#pragma once

#include <functional>
#include <string>
#include <vector>

namespace nvl72 {

/// A positive constant to be fitted, with its bounds.
struct FitParameter {
    std::string name;
    double start = 1;
    double low = 1;
    double high = 1;
};

/// Seconds of every row for given parameter values.
using Predict = std::function<std::vector<double>(std::vector<double> const&)>;

struct Fit {
    std::vector<double> values;
    double loss = 0;
    int iterations = 0;
};

/// Least squares on the logarithm of time, robust (a residual counts by its square below 10 %,
/// linearly above), over the logarithms of the parameters: Levenberg-Marquardt with bounds.
/// Deterministic: no random starts.
Fit fit_log_times(std::vector<FitParameter> const& parameters,
                  std::vector<double> const& measured,
                  Predict const& predict);

/// Relative errors of time, predicted / measured - 1, summarised.
struct FitErrors {
    double median = 0, p95 = 0, worst = 0;  ///< absolute
    std::size_t worst_row = 0;
};
FitErrors errors_of(std::vector<double> const& measured, std::vector<double> const& predicted);

}  // namespace nvl72
