#pragma once

#include "sim/config/library.hpp"
#include "sim/study/point.hpp"

#include <functional>
#include <string>
#include <vector>

namespace nvl72 {

/// Something of which a system could have more. Times that it sets shrink by the factor.
struct Lever {
    std::string title;  ///< "fp8 tensor-core rate"
    std::function<void(LoadedPoint&, double factor, Library const&)> grow;
};

/// What the point's step can depend on. All of a step's times stand on one of these, so that with
/// twice of each it takes half as long.
std::vector<Lever> levers_of(LoadedPoint const& point);

/// A change that comes whole.
struct Change {
    std::string title;  ///< "one NVLink plane lost"
    std::function<void(ClusterChoice&)> make;
};

/// What may happen to the point's cluster, or be built otherwise.
std::vector<Change> changes_of(LoadedPoint const& point);

/// `point` on its cluster with the choice changed by `make`. Throws ConfigError where it cannot
/// run.
LoadedPoint changed_point(LoadedPoint point,
                          std::function<void(ClusterChoice&)> const& make,
                          Library const& library);

}  // namespace nvl72
