#pragma once

#include "sim/base/table.hpp"
#include "sim/config/library.hpp"
#include "sim/interchange/measured_collective.hpp"
#include "sim/study/fit_kernels.hpp"

#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// A fabric's profile as YAML (configs/fabrics), and how its rows fare by size: in the fit, and
/// with their whole site (cluster) left out of it.
struct FittedFabric {
    std::string text;
    std::vector<SectionFit> fits;
    std::optional<Table> sites{};  ///< each by the fit without it; none of a fabric with one site
};

/// Fits the constants that measurements/collectives/fabrics.yaml lists for the fabric `name` to the
/// samples over it, of whatever GPU, by the shipped profiles of these. A constant without rows
/// stays as InfiniBand's. "infiniband" has no constants beside the GPUs' own, which are re-fitted
/// where one of its sites is left out; "unknown" are all sites, each by what InfiniBand's others
/// tell. The interval is that of the sites left out; of a fabric with one site its own rows' with
/// InfiniBand's between sites. `origin`: the tables' names. Throws ConfigError without rows.
FittedFabric fit_fabric(std::string const& name,
                        std::vector<CollectiveSample> const& samples,
                        std::string const& origin,
                        Library const& library);

}  // namespace nvl72
