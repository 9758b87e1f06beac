#include "sim/base/text.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>

namespace nvl72 {

namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            std::size_t const substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
        }
    }
    return row.back();
}

}  // namespace

std::string nearest_name(std::string_view name, std::span<std::string const> candidates) {
    std::string best;
    std::size_t best_distance = std::max<std::size_t>(2, name.size() / 3) + 1;
    for (auto const& candidate : candidates) {
        auto const distance = edit_distance(name, candidate);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidate;
        }
    }
    return best;
}

std::string join(std::span<std::string const> parts, std::string_view separator) {
    std::string joined;
    for (auto const& part : parts) {
        if (!joined.empty()) joined += separator;
        joined += part;
    }
    return joined;
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    std::size_t begin = 0;
    while (true) {
        auto const end = text.find(separator, begin);
        parts.emplace_back(text.substr(begin, end - begin));
        if (end == std::string_view::npos) return parts;
        begin = end + 1;
    }
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    auto const begin = text.find_first_not_of(blanks);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

std::string significant(double value, int digits) {
    if (value == 0 || !std::isfinite(value)) return fmt::format("{}", value);
    int const exponent = static_cast<int>(std::floor(std::log10(std::abs(value))));
    if (exponent < -5 || exponent > 14) return fmt::format("{:.{}g}", value, digits);
    return fmt::format("{:.{}f}", value, std::max(0, digits - 1 - exponent));
}

std::string with_commas(long long value) {
    std::string digits = std::to_string(value < 0 ? -value : value);
    for (auto place = static_cast<std::ptrdiff_t>(digits.size()) - 3; place > 0; place -= 3) {
        digits.insert(static_cast<std::size_t>(place), ",");
    }
    return value < 0 ? "-" + digits : digits;
}

void Digest::add(void const* data, std::size_t size) {
    auto const* bytes = static_cast<unsigned char const*>(data);
    for (std::size_t i = 0; i < size; ++i) {
        state_ = (state_ ^ bytes[i]) * 1099511628211ULL;
    }
}

void Digest::add(std::string_view bytes) {
    auto const size = bytes.size();
    add(&size, sizeof size);
    add(bytes.data(), size);
}

std::string Digest::hex() const { return fmt::format("{:016x}", state_); }

}  // namespace nvl72
