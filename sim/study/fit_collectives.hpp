#pragma once

#include "sim/cost/collective_cost.hpp"
#include "sim/interchange/measured_collective.hpp"
#include "sim/study/fit_kernels.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// What a collective section is fitted from, besides the samples.
struct CollectiveSetting {
    std::string gpu;
    Value given;         ///< what no row tells: a partial section, with sources
    Value shipped;       ///< a whole section for what neither rows nor `given` hold; may be null
    std::string origin;  ///< the tables' names
    Spread another_count{};  ///< SectionFit's
};

/// True for a row that a GPU's constants may be fitted to: of one domain, or over InfiniBand. Other
/// fabrics take what their software makes of them, and have profiles of their own
/// (configs/fabrics); their rows only show how far times lie where the fabric is not told.
bool fitted_to(Collective const& query, std::string const& fabric);

/// Seconds on the query's branch; an all-to-all takes the quicker protocol, as its tuner does.
double seconds_on_branch(CollectiveSection const& section, Collective const& query);

/// A fitted section, and the branches that had too few rows and stay as shipped.
struct FittedCollectives {
    FittedSection section;
    std::vector<std::string> kept;
};

/// Fits the branches that ran (forced, or the tuner's choice for the rows), in two steps: all of
/// one NVLink domain together, then what domains add. A branch is fitted where it has three rows a
/// constant.
FittedCollectives fit_collectives(std::vector<CollectiveSample> const& samples,
                                  CollectiveSetting const& setting);

}  // namespace nvl72
