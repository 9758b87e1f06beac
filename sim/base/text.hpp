#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// The candidate nearest to `name` by edit distance; empty when none is near enough to suggest.
std::string nearest_name(std::string_view name, std::span<std::string const> candidates);

/// "a, b, c"
std::string join(std::span<std::string const> parts, std::string_view separator = ", ");

std::vector<std::string> split(std::string_view text, char separator);
std::string_view trimmed(std::string_view text);

/// `value` to `digits` significant digits without an exponent where that is readable: 1234, 0.0123.
std::string significant(double value, int digits = 4);

/// 1,234,567
std::string with_commas(long long value);

/// Content digest of our files: 64-bit FNV-1a, as 16 hexadecimal digits. Not for security.
class Digest {
public:
    void add(std::string_view bytes);
    void add(void const* data, std::size_t size);
    [[nodiscard]] std::string hex() const;

private:
    unsigned long long state_ = 14695981039346656037ULL;
};

}  // namespace nvl72
