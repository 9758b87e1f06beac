#pragma once

#include "sim/study/fit_kernels.hpp"
#include "sim/study/point.hpp"

#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// `sustained` as it is written to a profile, and how well it fits.
struct FittedTraining {
    Value yaml;
    SectionFit fit;
    Value draws = {};  ///< of the factor, as a profile's `draws`
};

/// Least squares of log throughput over runs with published figures: one factor in [1, 2], to three
/// significant digits. `origin` names the experiments. Each run is also predicted
/// with the factor of the others. Expects two runs or more.
FittedTraining fit_sustained(std::vector<LoadedPoint> const& runs, std::string const& origin);

}  // namespace nvl72
