#pragma once

#include "sim/config/value.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// Every combination of the sweep's lists, first key slowest; after those of `before`.
///   keys joined by commas ("cluster.gpus, global_batch") move together, a list of values each
std::vector<std::vector<NamedValue>> combinations(Value const& sweep,
                                                  std::vector<std::vector<NamedValue>> before = {
                                                      {}});

/// Takes `key` out of a map; nothing when it is not there.
std::optional<Value> take(Value& map, std::string const& key);

/// `system` with the dotted keys of `values` replaced.
Value with(Value system, std::vector<NamedValue> const& values);

/// Of each list of a sweep the first and the last value.
Value ends_of(Value sweep);

/// `below` with the entries of `above` over it, map by map.
Value merged(Value below, Value const& above);

/// " layout.tp=8": what tells points of a sweep apart, but for keys that have a column of their
/// own.
std::string swept_label(std::vector<NamedValue> const& values,
                        std::vector<std::string_view> const& with_column);

/// A file as it was written.
std::string file_text(std::string const& file);

}  // namespace nvl72
