#pragma once

#include "sim/app/command.hpp"

namespace nvl72 {

/// `validate --table claims`: every claim of a table beside what its experiment computes.
int validate_claims(Context const& context, boost::program_options::variables_map const& options);

}  // namespace nvl72
