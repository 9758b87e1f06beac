#pragma once

#include "sim/config/library.hpp"
#include "sim/interchange/log_folder.hpp"

#include <boost/program_options.hpp>

namespace nvl72 {

/// The options that say of a log of collectives what neither it nor an INDEX.csv does.
void describe_given_facts(boost::program_options::options_description& options);

/// Reads them; throws ConfigError for a value that no job can have.
GivenFacts given_facts(boost::program_options::variables_map const& options,
                       Library const& library);

}  // namespace nvl72
