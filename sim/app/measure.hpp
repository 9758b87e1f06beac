#pragma once

#include <string>

namespace nvl72 {

/// Starts nvl72-measure (of $NVL72_MEASURE, beside this program, or in PATH) on `device` with the
/// words of `arguments`, into the samples file `samples`. Returns its exit code; its table
/// of medians is left out, as the fit says them better. Throws ConfigError that names how to build
/// it where there is none.
int measure_machine(std::string const& device,
                    std::string const& arguments,
                    std::string const& samples);

}  // namespace nvl72
