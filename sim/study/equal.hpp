#pragma once

#include "sim/study/experiment.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// Gives every point with `equal` its GPUs: as many as the other system's power, rent or peak buys
/// (rated power of racks and boxes, the site's rent, dense BF16), cut to whole replicas; and the
/// batch nearest to its own that these replicas divide. Returns what it did, a line a point.
std::vector<std::string> make_equal(std::vector<Point>& points, Library const& library);

}  // namespace nvl72
