#include "sim/config/write.hpp"

#include "sim/base/text.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>

namespace nvl72 {

namespace {

bool is_number(std::string const& text) {
    char* end = nullptr;
    std::strtod(text.c_str(), &end);
    return end == text.c_str() + text.size();
}

/// Quoted where a plain YAML scalar would not read back as the same text.
std::string scalar_text(std::string const& text) {
    bool const plain =
        !text.empty() && text.find_first_of(":#\"'\\{}[],&*!|>%@`\n") == std::string::npos &&
        text.front() != ' ' && text.back() != ' ' && (text.front() != '-' || is_number(text)) &&
        text.front() != '?' && text != "null" && text != "~";
    if (plain) return text;
    std::string quoted = "\"";
    for (char const c : text) {
        if (c == '"' || c == '\\') quoted += '\\';
        quoted += c;
    }
    return quoted + '"';
}

/// A leaf or a list, on one line; a map in a list has no sources of its own.
std::string inline_text(Value const& value) {
    if (value.is_scalar()) return scalar_text(value.scalar);
    std::vector<std::string> items;
    if (value.is_map()) {
        for (auto const& entry : value.entries) {
            items.push_back(entry.name + ": " + inline_text(entry.value));
        }
        return "{" + join(items) + "}";
    }
    for (auto const& item : value.items) items.push_back(inline_text(item));
    return "[" + join(items) + "]";
}

bool every_leaf_has_a_source(Value const& value) {
    if (!value.is_map()) return !value.source.empty();
    return std::ranges::all_of(value.entries, [](NamedValue const& entry) {
        return every_leaf_has_a_source(entry.value);
    });
}

/// The source that most of a map's own leaves have, to stand on the map; "" where it may not.
std::string shared_source(Value const& map) {
    if (!every_leaf_has_a_source(map)) return "";
    std::vector<std::string> sources;
    for (auto const& entry : map.entries) {
        if (!entry.value.is_map()) sources.push_back(entry.value.source);
    }
    std::string best;
    std::ptrdiff_t most = 1;
    for (auto const& source : sources) {
        auto const count = std::ranges::count(sources, source);
        if (count > most) best = source;
        most = std::max(most, count);
    }
    return best;
}

void write_map(std::string& out,
               Value const& map,
               std::string const& indent,
               std::string inherited) {
    auto const shared = shared_source(map);
    if (!shared.empty() && shared != inherited) {
        out += fmt::format("{}source: {}\n", indent, scalar_text(shared));
        inherited = shared;
    }
    for (auto const& entry : map.entries) {
        Value const& value = entry.value;
        if (value.is_map()) {
            out += fmt::format("{}{}:\n", indent, entry.name);
            write_map(out, value, indent + "  ", inherited);
        } else if (value.source.empty() || value.source == inherited) {
            out += fmt::format("{}{}: {}\n", indent, entry.name, inline_text(value));
        } else {
            out += fmt::format("{}{}: {{value: {}, source: {}}}\n", indent, entry.name,
                               inline_text(value), scalar_text(value.source));
        }
    }
}

}  // namespace

Value leaf(std::string text, std::string source) {
    Value value;
    value.kind = Value::Kind::scalar;
    value.scalar = std::move(text);
    value.source = std::move(source);
    return value;
}

Value leaf_list(std::vector<std::string> const& texts, std::string source) {
    Value value;
    value.kind = Value::Kind::list;
    for (auto const& text : texts) value.items.push_back(leaf(text, source));
    value.source = std::move(source);
    return value;
}

void put(Value& map, std::string name, Value value) {
    map.kind = Value::Kind::map;
    map.entries.push_back({std::move(name), std::move(value)});
}

std::string yaml_text(Value const& root) {
    std::string out;
    write_map(out, root, "", "");
    return out;
}

}  // namespace nvl72
