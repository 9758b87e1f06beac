#pragma once

#include "sim/config/quantity.hpp"
#include "sim/config/value.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// One resolved value: what `show` prints and the result file keeps.
struct ResolvedValue {
    std::string key;
    std::string value;
    std::string source;  ///< as the file states it, or "default"
    std::string from;    ///< file:line, "command line" or "default"
};

/// Every value as it was read, in reading order.
using Trail = std::vector<ResolvedValue>;

/// A row of a spec's field table; it serves reading, errors, `--help` and the reference.
template <class Spec>
struct Field {
    std::string key;
    std::string expects;                  ///< "a rate with its unit, such as 400 Gb/s"
    std::optional<std::string> fallback;  ///< as it would be written; none: the key is required
    std::string help;
    std::function<void(Spec&, Value const&, Trail*)> read;
    bool left_to_check = false;  ///< see detail::left_to_check
};

/// A value that remembers where it was written and what its source is.
template <class T>
struct Placed {
    T value{};
    Place place;
    std::string source;
};

/// True for a spec with a field table: `std::vector<Field<Spec>> const& fields_of(Spec const*)`.
template <class Spec>
concept HasFields = requires(Spec const* spec) { fields_of(spec); };

template <class Spec>
Spec read_spec(Value const& value, Trail* trail);

namespace detail {

[[noreturn]] void fail_unknown_key(Value const& entry,
                                   std::string const& name,
                                   std::vector<std::string> const& known);
[[noreturn]] void fail_missing_key(Value const& map,
                                   std::string const& key,
                                   std::string const& expects);
void record(Trail* trail, Value const& value, std::string const& text);
Value fallback_value(Value const& map, std::string const& key, std::string const& text);

template <class T>
struct Reader {
    static std::string expects() {
        if constexpr (HasFields<T>) {
            return "a map";
        } else {
            return ValueType<T>::expects();
        }
    }
    static T read(Value const& value, Trail* trail) {
        if constexpr (HasFields<T>) {
            return read_spec<T>(value, trail);
        } else {
            T const result = ValueType<T>::read(value);
            record(trail, value, ValueType<T>::write(result));
            return result;
        }
    }
};
template <class T>
struct Reader<std::optional<T>> {
    static std::string expects() { return Reader<T>::expects(); }
    static std::optional<T> read(Value const& value, Trail* trail) {
        if (value.kind == Value::Kind::null) return std::nullopt;
        return Reader<T>::read(value, trail);
    }
};
template <class T>
struct Reader<std::vector<T>> {
    static std::string expects() { return "a list, each " + Reader<T>::expects(); }
    static std::vector<T> read(Value const& value, Trail* trail) {
        std::vector<T> items;
        if (value.kind == Value::Kind::null) return items;
        if (!value.is_list()) fail(value.place, "no list", expects());
        for (auto const& item : value.items) items.push_back(Reader<T>::read(item, trail));
        return items;
    }
};
template <class T>
struct Reader<std::vector<std::pair<std::string, T>>> {
    static std::string expects() { return "a map of names, each " + Reader<T>::expects(); }
    static std::vector<std::pair<std::string, T>> read(Value const& value, Trail* trail) {
        std::vector<std::pair<std::string, T>> items;
        if (value.kind == Value::Kind::null) return items;
        if (!value.is_map()) fail(value.place, "no map", expects());
        for (auto const& [name, entry] : value.entries) {
            items.emplace_back(name, Reader<T>::read(entry, trail));
        }
        return items;
    }
};
template <class T>
struct Reader<Placed<T>> {
    static std::string expects() { return Reader<T>::expects(); }
    static Placed<T> read(Value const& value, Trail* trail) {
        return {Reader<T>::read(value, trail), value.place, value.source};
    }
};
/// The YAML itself, for keys whose meaning the owner works out (overrides, sweeps).
template <>
struct Reader<Value> {
    static std::string expects() { return "any value"; }
    static Value read(Value const& value, Trail*) { return value; }
};

}  // namespace detail

/// Field for a member that must be given.
template <class Spec, class T>
Field<Spec> required(std::string key, T Spec::* member, std::string help) {
    return {std::move(key), detail::Reader<T>::expects(), std::nullopt, std::move(help),
            [member](Spec& spec, Value const& value, Trail* trail) {
                spec.*member = detail::Reader<T>::read(value, trail);
            }};
}

/// Field for a member with a default, written as in a file; "" leaves optionals and lists empty.
template <class Spec, class T>
Field<Spec> optional(std::string key, T Spec::* member, std::string fallback, std::string help) {
    return {std::move(key), detail::Reader<T>::expects(), std::move(fallback), std::move(help),
            [member](Spec& spec, Value const& value, Trail* trail) {
                spec.*member = detail::Reader<T>::read(value, trail);
            }};
}

namespace detail {

/// Field whose key some kinds of a spec must have and others cannot: reading takes it or leaves it,
/// and check_left, which knows the kind, judges.
template <class Spec, class T>
Field<Spec> left_to_check(std::string key, T Spec::* member, std::string help) {
    auto field = required(std::move(key), member, std::move(help));
    field.fallback = "";
    field.left_to_check = true;
    field.read = [read = field.read](Spec& spec, Value const& value, Trail* trail) {
        if (value.kind != Value::Kind::null) read(spec, value, trail);
    };
    return field;
}

/// Every key left to check must be there (`wanted`), or none may be: `why` says so.
template <class Spec>
void check_left(Value const& map, bool wanted, std::string const& why) {
    for (auto const& field : fields_of(static_cast<Spec const*>(nullptr))) {
        if (!field.left_to_check) continue;
        Value const* given = map.find(field.key);
        if (wanted && given == nullptr) fail_missing_key(map, field.key, field.expects);
        if (!wanted && given != nullptr) fail(given->place, field.key, "nothing: " + why);
    }
}

}  // namespace detail

/// Reads a map as `Spec` by its field table: unknown keys, missing keys and wrong kinds are errors
/// that name file, line and key. A `Place place` member, if the spec has one, is filled in.
template <class Spec>
Spec read_spec(Value const& value, Trail* trail) {
    auto const& fields = fields_of(static_cast<Spec const*>(nullptr));
    if (!value.is_map() && value.kind != Value::Kind::null)
        fail(value.place, "no map", "key: value lines");
    std::vector<std::string> known;
    known.reserve(fields.size());
    for (auto const& field : fields) known.push_back(field.key);
    for (auto const& [name, entry] : value.entries) {
        bool found = false;
        for (auto const& key : known) found = found || key == name;
        if (!found) detail::fail_unknown_key(entry, name, known);
    }
    Spec spec{};
    if constexpr (requires { spec.place = value.place; }) spec.place = value.place;
    for (auto const& field : fields) {
        Value const* given = value.find(field.key);
        if (given == nullptr && !field.fallback) {
            detail::fail_missing_key(value, field.key, field.expects);
        }
        if (given != nullptr && given->kind == Value::Kind::null) {
            fail(given->place, "nothing", field.expects);
        }
        field.read(
            spec,
            given != nullptr ? *given : detail::fallback_value(value, field.key, *field.fallback),
            trail);
    }
    return spec;
}

/// Reads a whole file as `Spec`.
template <class Spec>
Spec load_spec(std::string const& path, Trail* trail = nullptr) {
    return read_spec<Spec>(load_yaml(path), trail);
}

}  // namespace nvl72
