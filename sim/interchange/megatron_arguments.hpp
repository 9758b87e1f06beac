#pragma once

#include "sim/interchange/foreign_job.hpp"

#include <map>

namespace nvl72 {

/// True for a text with Megatron's argument dump (`name ........ value`).
bool has_megatron_dump(std::string_view text);
/// True for a text with Megatron's arguments as they are typed.
bool has_megatron_arguments(std::string_view text);

/// The dump that Megatron prints at its start, wherever in a log it stands.
ForeignJob read_megatron_dump(std::string_view text, std::string const& file);

/// An argument line, or the script around it. `environment` gives variables that it sets nowhere.
ForeignJob read_megatron_arguments(std::string_view text,
                                   std::string const& file,
                                   std::map<std::string, std::string> const& environment);

}  // namespace nvl72
