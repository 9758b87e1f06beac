#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// Where a value stands: errors begin with `file:line: key:`.
struct Place {
    std::string file;
    int line = 0;     ///< 0: not from a file (command line, built-in default)
    std::string key;  ///< full path from the file's root: "systems[0].cluster.gpus"

    [[nodiscard]] std::string text() const;
};

struct NamedValue;

/// One YAML value, free of YAML's traps: unique keys, one document, bounded depth, no cycles.
/// A leaf may be written `{value: 80 GB, source: "published: ..."}`; `source` on a map holds for
/// every leaf in it that names none of its own. Sources start with one of source_kinds.
struct Value {
    enum class Kind { scalar, list, map, null };

    Kind kind = Kind::null;
    Place place;
    std::string scalar;
    std::string source;  ///< "" where the file states none
    std::vector<Value> items;
    std::vector<NamedValue> entries;

    [[nodiscard]] Value const* find(std::string_view key) const;
    [[nodiscard]] bool is_map() const { return kind == Kind::map; }
    [[nodiscard]] bool is_list() const { return kind == Kind::list; }
    [[nodiscard]] bool is_scalar() const { return kind == Kind::scalar; }
};

/// One entry of a map.
struct NamedValue {
    std::string name;
    Value value;
};

/// Equal content, wherever it was written and whatever its source.
bool same_content(Value const& a, Value const& b);

/// `place: found (expected)`, thrown as ConfigError.
[[noreturn]] void fail(Place const& place, std::string const& found, std::string const& expected);

/// Reads one YAML file; every mistake is a ConfigError naming file, line and key.
Value load_yaml(std::string const& path);

/// The same from text, named `file` in errors.
Value parse_yaml(std::string const& text, std::string const& file);

/// Applies `KEY=VALUE` (KEY a dotted path, list items by number: systems.0.cluster.gpus=512).
void apply_override(Value& root, std::string const& assignment);

/// The same with a value at hand: `path` is dotted, `value` keeps its place.
void set_value(Value& root, std::string const& path, Value value);

/// What `source` must begin with.
inline constexpr std::string_view source_kinds[] = {"measured", "published", "fitted", "assumed",
                                                    "derived"};

}  // namespace nvl72
