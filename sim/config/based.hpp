#pragma once

#include "sim/config/value.hpp"

#include <functional>
#include <string>

namespace nvl72 {

/// A file laid over its `base`, that over its own, and so on, key by key. `file_of` turns the value
/// of `base` into a path, or throws at its place. Bases nested beyond four, a circle say, are a
/// ConfigError at the key.
Value load_based(std::string const& path,
                 std::function<std::string(Value const& base)> const& file_of);

}  // namespace nvl72
