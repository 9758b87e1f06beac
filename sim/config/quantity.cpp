#include "sim/config/quantity.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <limits>

namespace nvl72 {

namespace {

struct Unit {
    Dimension dimension;
    std::string_view name;
    double factor;
};

// The first unit of each size is the one format_quantity writes; larger units come later.
constexpr std::array units{
    Unit{Dimension::bytes, "B", 1},
    Unit{Dimension::bytes, "kB", 1e3},
    Unit{Dimension::bytes, "MB", 1e6},
    Unit{Dimension::bytes, "GB", 1e9},
    Unit{Dimension::bytes, "TB", 1e12},
    Unit{Dimension::bytes, "KiB", 1024},
    Unit{Dimension::bytes, "MiB", 1048576},
    Unit{Dimension::bytes, "GiB", 1073741824},
    Unit{Dimension::bytes, "TiB", 1099511627776.0},
    Unit{Dimension::seconds, "ps", 1e-12},
    Unit{Dimension::seconds, "ns", 1e-9},
    Unit{Dimension::seconds, "us", 1e-6},
    Unit{Dimension::seconds, "ms", 1e-3},
    Unit{Dimension::seconds, "s", 1},
    Unit{Dimension::seconds, "min", 60},
    Unit{Dimension::seconds, "h", 3600},
    Unit{Dimension::seconds, "d", 86400},
    Unit{Dimension::seconds, "day", 86400},
    Unit{Dimension::seconds, "days", 86400},
    Unit{Dimension::bytes_per_second, "B/s", 1},
    Unit{Dimension::bytes_per_second, "kB/s", 1e3},
    Unit{Dimension::bytes_per_second, "MB/s", 1e6},
    Unit{Dimension::bytes_per_second, "GB/s", 1e9},
    Unit{Dimension::bytes_per_second, "TB/s", 1e12},
    Unit{Dimension::bytes_per_second, "Mb/s", 1e6 / 8},
    Unit{Dimension::bytes_per_second, "Gb/s", 1e9 / 8},
    Unit{Dimension::bytes_per_second, "Tb/s", 1e12 / 8},
    Unit{Dimension::bytes_per_second, "GiB/s", 1073741824},
    Unit{Dimension::flops_per_second, "FLOP/s", 1},
    Unit{Dimension::flops_per_second, "GFLOP/s", 1e9},
    Unit{Dimension::flops_per_second, "TFLOP/s", 1e12},
    Unit{Dimension::flops_per_second, "PFLOP/s", 1e15},
    Unit{Dimension::flops_per_second, "EFLOP/s", 1e18},
    Unit{Dimension::watts, "W", 1},
    Unit{Dimension::watts, "kW", 1e3},
    Unit{Dimension::watts, "MW", 1e6},
    Unit{Dimension::hertz, "Hz", 1},
    Unit{Dimension::hertz, "MHz", 1e6},
    Unit{Dimension::hertz, "GHz", 1e9},
};

/// Units that format_quantity writes: decimal bytes, never bits or binary; hours, never days.
bool written(Unit const& unit) {
    return !unit.name.starts_with('d') && unit.name.find('b') == std::string_view::npos &&
           unit.name.find('i') == std::string_view::npos;
}

/// 010 is 8 to YAML and 10 to a person, so it is neither.
bool leads_with_zero(std::string_view text) {
    if (text.starts_with('-')) text.remove_prefix(1);
    return text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9';
}

std::string shown(Value const& value) {
    switch (value.kind) {
        case Value::Kind::scalar: return fmt::format("'{}'", value.scalar);
        case Value::Kind::list: return "a list";
        case Value::Kind::map: return "a map";
        case Value::Kind::null: return "nothing";
    }
    return "nothing";
}

}  // namespace

std::optional<double> parse_quantity(std::string_view text, Dimension dimension) {
    text = trimmed(text);
    if (leads_with_zero(text)) return std::nullopt;
    double number = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || !std::isfinite(number)) return std::nullopt;
    auto const unit_name = trimmed(text.substr(static_cast<std::size_t>(end - text.data())));
    if (dimension == Dimension::number) {
        return unit_name.empty() ? std::optional{number} : std::nullopt;
    }
    for (auto const& unit : units) {
        if (unit.dimension == dimension && unit.name == unit_name) return number * unit.factor;
    }
    return std::nullopt;
}

std::string expected_quantity(Dimension dimension) {
    switch (dimension) {
        case Dimension::bytes: return "a size with its unit, such as 80 GB or 512 MiB";
        case Dimension::seconds: return "a time with its unit, such as 1.1 us, 2 h or 54 days";
        case Dimension::bytes_per_second:
            return "a rate with its unit, such as 400 Gb/s or 50 GB/s";
        case Dimension::flops_per_second: return "a rate with its unit, such as 989 TFLOP/s";
        case Dimension::watts: return "a power with its unit, such as 700 W";
        case Dimension::hertz: return "a frequency with its unit, such as 1.83 GHz";
        case Dimension::number: return "a number";
    }
    return "a number";
}

std::string format_quantity(double value, Dimension dimension) {
    Unit const* best = nullptr;
    for (auto const& unit : units) {
        if (unit.dimension != dimension || !written(unit)) continue;
        if (best == nullptr || std::abs(value) >= unit.factor * 0.9999999) best = &unit;
    }
    if (best == nullptr) return fmt::format("{}", value);
    return fmt::format("{:.12g} {}", value / best->factor, best->name);
}

namespace detail {

double read_quantity(Value const& value, Dimension dimension) {
    auto const parsed =
        value.is_scalar() ? parse_quantity(value.scalar, dimension) : std::optional<double>{};
    if (!parsed) fail(value.place, shown(value), expected_quantity(dimension));
    return *parsed;
}

double read_positive(Value const& value, Dimension dimension) {
    double const number = read_quantity(value, dimension);
    if (number < 0) fail(value.place, shown(value), "0 or more");
    return number;
}

std::int64_t read_integer(Value const& value) {
    std::string_view const text = trimmed(value.scalar);
    std::int64_t number = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (value.is_scalar() && leads_with_zero(text)) {
        fail(value.place, shown(value), "a whole number without leading zeros");
    }
    if (!value.is_scalar() || error != std::errc{} || end != text.data() + text.size()) {
        fail(value.place, shown(value), "a whole number");
    }
    return number;
}

bool read_bool(Value const& value) {
    if (value.is_scalar() && value.scalar == "true") return true;
    if (value.is_scalar() && value.scalar == "false") return false;
    fail(value.place, shown(value), "true or false");
}

std::string read_word(Value const& value) {
    if (!value.is_scalar() || value.scalar.empty()) fail(value.place, shown(value), "a text");
    return value.scalar;
}

std::size_t read_choice(Value const& value, std::vector<std::string> const& words) {
    std::string const word = read_word(value);
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words[i] == word) return i;
    }
    auto const near = nearest_name(word, words);
    fail(value.place,
         fmt::format("'{}'{}", word, near.empty() ? "" : fmt::format(", did you mean {}?", near)),
         join(words, " | "));
}

}  // namespace detail

int ValueType<int>::read(Value const& value) {
    auto const number = detail::read_integer(value);
    if (number < std::numeric_limits<int>::min() || number > std::numeric_limits<int>::max()) {
        fail(value.place, shown(value), "a whole number of at most 2147483647");
    }
    return static_cast<int>(number);
}

Picoseconds ValueType<Picoseconds>::read(Value const& value) {
    double const seconds = detail::read_positive(value, Dimension::seconds);
    if (seconds >= 9.2e6) fail(value.place, shown(value), "less than 9.2e6 s (106 days)");
    return from_seconds(seconds);
}

Bytes ValueType<Bytes>::read(Value const& value) {
    double const bytes = detail::read_positive(value, Dimension::bytes);
    if (bytes >= 9.2e18) fail(value.place, shown(value), "less than 9.2 EB");
    return Bytes{std::llround(bytes)};
}

}  // namespace nvl72
