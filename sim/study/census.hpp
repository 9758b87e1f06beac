#pragma once

#include "sim/base/table.hpp"
#include "sim/config/library.hpp"

#include <map>
#include <string>
#include <vector>

namespace nvl72 {

/// Numbers of one file whose source is `fitted`.
struct FittedCount {
    std::string file;                             ///< below configs: "calibration/h100.yaml"
    std::map<std::string, std::size_t> sections;  ///< by key at the top, or GPU in a given.yaml
    std::size_t determined = 0;
    std::size_t at_bound = 0;  ///< the source says that their rows do not determine them
    std::size_t shared = 0;    ///< of a fit that a file above holds too: B200 and GB200 share one
};

/// Every fitted number in the configs, wherever it stands, and in `files` (profiles of a user's
/// own, under their own paths); files without one are left out. What several of the configs hold of
/// one fit counts in the first.
std::vector<FittedCount> fitted_census(Library const& library,
                                       std::vector<std::string> const& files = {});

/// One line a file, and all together.
Table census_table(std::vector<FittedCount> const& census);

}  // namespace nvl72
