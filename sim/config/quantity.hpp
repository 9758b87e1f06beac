#pragma once

#include "sim/base/units.hpp"
#include "sim/config/value.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// What a number with a unit measures.
enum class Dimension { bytes, seconds, bytes_per_second, flops_per_second, watts, hertz, number };

/// "80 GB" -> 8e10; nothing when the text is not a finite number with a unit of that dimension.
std::optional<double> parse_quantity(std::string_view text, Dimension dimension);

/// "a rate such as 400 Gb/s or 50 GB/s", for messages and the reference.
std::string expected_quantity(Dimension dimension);

/// Readable with a unit that reads back: 8e10, bytes -> "80 GB".
std::string format_quantity(double value, Dimension dimension);

/// How a C++ type is read from a Value, named in messages and written by `show`. Rooms add their
/// enums by specialising EnumNames (below), specs by a `fields_of` overload (fields.hpp).
template <class T>
struct ValueType;

namespace detail {
double read_quantity(Value const& value, Dimension dimension);
double read_positive(Value const& value, Dimension dimension);
std::int64_t read_integer(Value const& value);
bool read_bool(Value const& value);
std::string read_word(Value const& value);
}  // namespace detail

template <>
struct ValueType<double> {
    static std::string expects() { return "a number"; }
    static double read(Value const& value) {
        return detail::read_quantity(value, Dimension::number);
    }
    static std::string write(double value) { return format_quantity(value, Dimension::number); }
};
template <>
struct ValueType<int> {
    static std::string expects() { return "a whole number"; }
    static int read(Value const& value);
    static std::string write(int value) { return std::to_string(value); }
};
template <>
struct ValueType<std::int64_t> {
    static std::string expects() { return "a whole number"; }
    static std::int64_t read(Value const& value) { return detail::read_integer(value); }
    static std::string write(std::int64_t value) { return std::to_string(value); }
};
template <>
struct ValueType<bool> {
    static std::string expects() { return "true or false"; }
    static bool read(Value const& value) { return detail::read_bool(value); }
    static std::string write(bool value) { return value ? "true" : "false"; }
};
template <>
struct ValueType<std::string> {
    static std::string expects() { return "a text"; }
    static std::string read(Value const& value) { return detail::read_word(value); }
    static std::string write(std::string const& value) { return value; }
};

template <class Unit, Dimension dimension>
struct RealQuantityType {
    static std::string expects() { return expected_quantity(dimension); }
    static Unit read(Value const& value) { return Unit{detail::read_positive(value, dimension)}; }
    static std::string write(Unit value) { return format_quantity(value.count, dimension); }
};
template <>
struct ValueType<BytesPerSecond> : RealQuantityType<BytesPerSecond, Dimension::bytes_per_second> {};
template <>
struct ValueType<FlopsPerSecond> : RealQuantityType<FlopsPerSecond, Dimension::flops_per_second> {};
template <>
struct ValueType<Watts> : RealQuantityType<Watts, Dimension::watts> {};
template <>
struct ValueType<Bytes> {
    static std::string expects() { return expected_quantity(Dimension::bytes); }
    static Bytes read(Value const& value);
    static std::string write(Bytes value) {
        return format_quantity(static_cast<double>(value.count), Dimension::bytes);
    }
};
template <>
struct ValueType<Picoseconds> {
    static std::string expects() { return expected_quantity(Dimension::seconds); }
    static Picoseconds read(Value const& value);
    static std::string write(Picoseconds value) {
        return format_quantity(to_seconds(value), Dimension::seconds);
    }
};

/// Specialise for an enum whose config words are `words`, in the order of its values from 0:
///   template <> struct EnumNames<Routing> { static constexpr std::array words{"adaptive", "ecmp"};
///   };
template <class Enum>
struct EnumNames;

namespace detail {
std::size_t read_choice(Value const& value, std::vector<std::string> const& words);
}

template <class Enum>
    requires requires { EnumNames<Enum>::words; }
struct ValueType<Enum> {
    static std::vector<std::string> words() {
        return {std::begin(EnumNames<Enum>::words), std::end(EnumNames<Enum>::words)};
    }
    static std::string expects() {
        std::string out;
        for (auto const& word : words()) out += (out.empty() ? "" : " | ") + word;
        return out;
    }
    static Enum read(Value const& value) {
        return static_cast<Enum>(detail::read_choice(value, words()));
    }
    static std::string write(Enum value) { return words().at(static_cast<std::size_t>(value)); }
};

/// The config word of an enum value.
template <class Enum>
    requires requires { EnumNames<Enum>::words; }
std::string name_of(Enum value) {
    return ValueType<Enum>::write(value);
}

}  // namespace nvl72
