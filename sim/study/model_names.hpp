#pragma once

#include "sim/config/library.hpp"

#include <string>

namespace nvl72 {

/// The shipped model that a table's words stand for: "meta-llama/Llama-3.1-70B-Instruct", "Qwen3
/// 235B A22B". Owner, and what says how it was tuned or stored, count for nothing; family and size
/// must agree, and of versions with one first number the nearest is taken (3 for 3.1). A .yaml or
/// .json is itself. Throws ConfigError at `asked`, with the nearest names, for what is unknown or
/// could be several.
std::string model_named(std::string const& words, Library const& library, Place const& asked);

}  // namespace nvl72
