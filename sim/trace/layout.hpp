#pragma once

#include "sim/trace/result_file.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// The bytes of the HDF5 file that holds `result` (already checked). Built in memory, so that a
/// full disk is met by plain write() and not inside the library, which cannot recover from it.
std::vector<char> result_image(ResultFile const& result);

/// The way back. `path` names the file in errors; `digest` gets what the root attribute says.
ResultFile result_from_image(std::vector<char> const& bytes,
                             std::string const& path,
                             std::string& digest);

}  // namespace nvl72
