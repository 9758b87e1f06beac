#pragma once

#include "sim/config/value.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// A leaf, and a list of leaves, with their source ("" for none).
Value leaf(std::string text, std::string source = {});
Value leaf_list(std::vector<std::string> const& texts, std::string source = {});

/// Adds an entry to a map (a null Value becomes one).
void put(Value& map, std::string name, Value value);

/// The tree as YAML that load_yaml reads back to the same tree, sources included: a source that
/// several leaves of a map share stands once, on the map.
std::string yaml_text(Value const& root);

}  // namespace nvl72
