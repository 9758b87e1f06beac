#include "sim/config/fields.hpp"

#include "sim/base/text.hpp"

#include <fmt/format.h>

namespace nvl72::detail {

void fail_unknown_key(Value const& entry,
                      std::string const& name,
                      std::vector<std::string> const& known) {
    auto const near = nearest_name(name, known);
    fail(entry.place,
         near.empty() ? std::string("unknown key")
                      : fmt::format("unknown key, did you mean {}?", near),
         join(known));
}

void fail_missing_key(Value const& map, std::string const& key, std::string const& expects) {
    Place place = map.place;
    place.key = place.key.empty() ? key : fmt::format("{}.{}", place.key, key);
    fail(place, "missing", expects);
}

void record(Trail* trail, Value const& value, std::string const& text) {
    if (trail == nullptr) return;
    bool const is_default = value.place.file.empty();
    Place from = value.place;
    from.key.clear();
    trail->push_back({value.place.key, text, is_default ? "default" : value.source,
                      is_default ? "default" : from.text()});
}

Value fallback_value(Value const& map, std::string const& key, std::string const& text) {
    Value value;
    if (!text.empty()) {
        value = parse_yaml("fallback: " + text, "default").entries.at(0).value;
    }
    value.place = {"", 0, map.place.key.empty() ? key : fmt::format("{}.{}", map.place.key, key)};
    for (auto& item : value.items) item.place = value.place;
    for (auto& entry : value.entries) entry.value.place = value.place;
    return value;
}

}  // namespace nvl72::detail
