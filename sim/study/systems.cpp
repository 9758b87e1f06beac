#include "sim/study/systems.hpp"

#include "sim/base/text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <sstream>

namespace nvl72 {

namespace {

/// "cluster.gpus, global_batch": [[256, 512], [512, 1024]] sweeps its keys together.
std::vector<NamedValue> swept_together(std::string const& keys, Value const& value) {
    auto const names = split(keys, ',');
    if (names.size() == 1) return {{keys, value}};
    if (!value.is_list() || value.items.size() != names.size()) {
        fail(value.place, "no list of as many values",
             fmt::format("one value for each of {}", keys));
    }
    std::vector<NamedValue> values;
    for (std::size_t i = 0; i < names.size(); ++i) {
        values.push_back({std::string(trimmed(names[i])), value.items[i]});
    }
    return values;
}

}  // namespace

std::vector<std::vector<NamedValue>> combinations(Value const& sweep,
                                                  std::vector<std::vector<NamedValue>> before) {
    auto all = std::move(before);
    if (sweep.kind == Value::Kind::null) return all;
    if (!sweep.is_map()) fail(sweep.place, "no map", "KEY: [VALUE, ...]");
    for (auto const& [key, values] : sweep.entries) {
        if (!values.is_list() || values.items.empty()) {
            fail(values.place, "no values", "a list such as [256, 512]");
        }
        std::vector<std::vector<NamedValue>> next;
        for (auto const& chosen : all) {
            for (Value const& value : values.items) {
                next.push_back(chosen);
                auto const together = swept_together(key, value);
                next.back().insert(next.back().end(), together.begin(), together.end());
            }
        }
        all = std::move(next);
    }
    return all;
}

std::optional<Value> take(Value& map, std::string const& key) {
    auto const found = std::ranges::find_if(
        map.entries, [&](NamedValue const& entry) { return entry.name == key; });
    if (found == map.entries.end()) return std::nullopt;
    Value taken = std::move(found->value);
    map.entries.erase(found);
    return taken;
}

Value with(Value system, std::vector<NamedValue> const& values) {
    for (auto const& [key, value] : values) set_value(system, key, value);
    return system;
}

Value ends_of(Value sweep) {
    for (auto& [key, values] : sweep.entries) {
        if (values.items.size() > 2)
            values.items.erase(values.items.begin() + 1, values.items.end() - 1);
    }
    return sweep;
}

Value merged(Value below, Value const& above) {
    if (!below.is_map() || !above.is_map()) return above;
    for (auto const& [name, value] : above.entries) {
        auto const known = std::ranges::find_if(
            below.entries, [&](NamedValue const& entry) { return entry.name == name; });
        if (known == below.entries.end()) {
            below.entries.push_back({name, value});
        } else {
            known->value = merged(std::move(known->value), value);
        }
    }
    below.place = above.place;
    return below;
}

namespace {

/// "8", "tp=8 attention_dp=9": a value in a label.
std::string short_text(Value const& value) {
    if (value.is_scalar()) return value.scalar;
    std::string text;
    for (auto const& [name, entry] : value.entries) {
        if (entry.is_scalar())
            text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, entry.scalar);
    }
    return text;
}

}  // namespace

std::string swept_label(std::vector<NamedValue> const& values,
                        std::vector<std::string_view> const& with_column) {
    std::string label;
    for (auto const& [key, value] : values) {
        bool const has_column = std::ranges::find(with_column, key) != with_column.end();
        std::string const text = short_text(value);
        if (has_column || text.empty()) continue;
        label += value.is_scalar() ? fmt::format(" {}={}", key, text) : fmt::format(" {}", text);
    }
    return label;
}

std::string file_text(std::string const& file) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

}  // namespace nvl72
