#include "sim/base/text.hpp"
#include "sim/interchange/measured_collective.hpp"
#include "sim/interchange/nccl_log_parts.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <limits>

namespace nvl72::nccl_log {

namespace {

using Words = std::vector<std::string_view>;
using Columns = std::vector<std::string>;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_with_digit(std::string_view word) { return !word.empty() && is_digit(word.front()); }

std::string normalised(std::string_view name) {
    struct Name {
        std::string_view written, meant;
    };
    constexpr std::array names{Name{"bytes", "size"},   Name{"N", "count"},
                               Name{"op", "redop"},     Name{"cputime", "time"},
                               Name{"res", "error"},    Name{"error", "error"},
                               Name{"#wrong", "wrong"}, Name{"delta", "error"}};
    for (auto const& row : names) {
        if (row.written == name) return std::string(row.meant);
    }
    return std::string(name);
}

bool is_absent(std::string_view word) { return word == "N/A" || word == "n/a" || word == "-"; }

/// Results wrong by the column that counts them, or by that of the largest deviation.
std::optional<double> wrong_of(std::string_view column, double value, std::string_view type) {
    if (column == "wrong") return value;
    auto const* known = element_type(type);
    return known != nullptr && value > known->deviation_max ? value : 0;
}

std::string type_names() {
    std::vector<std::string> names;
    for (auto const& type : element_types()) names.emplace_back(type.name);
    return join(names, " | ");
}

/// Fills a row column by column; the first mistake is kept.
class RowReader {
public:
    RowOrDamage read(Words const& words, Columns const& columns) {
        for (std::size_t i = 0; i < std::min(words.size(), columns.size()); ++i) {
            take(columns[i], words[i]);
            if (!damage_.empty()) return {row_, damage_};
        }
        end_time();
        return {row_, damage_};
    }

private:
    void take(std::string const& column, std::string_view word) {
        if (column == "size") {
            row_.bytes = whole(column, word, buffer_size(word));
        } else if (column == "count") {
            row_.count = whole(column, word, buffer_size(word));
        } else if (column == "type") {
            row_.type = word;
            if (element_type(word) == nullptr) damaged(column, word, type_names());
        } else if (column == "redop") {
            row_.redop = word;
            bool const letter = !word.empty() && word.front() >= 'a' && word.front() <= 'z';
            if (!letter) damaged(column, word, "sum, none ...");
        } else if (column == "root") {
            auto const unsigned_word = word.starts_with('-') ? word.substr(1) : word;
            whole(column, word, whole_number(unsigned_word));
        } else {
            take_of_time(column, word);
        }
    }

    void take_of_time(std::string const& column, std::string_view word) {
        if (column == "time") {
            end_time();
            ++times_;
            if (is_absent(word)) return;
            time_.emplace();
            time_->time_us = number(column, word);
            if (damage_.empty() && time_->time_us.value <= 0) {
                damaged(column, word, "a time above 0");
            }
        } else if (!time_ || is_absent(word)) {
            return;
        } else if (column == "algbw") {
            time_->algbw = number(column, word);
        } else if (column == "busbw") {
            time_->busbw = number(column, word);
        } else if (column == "wrong" || column == "error") {
            while (word.ends_with('*')) word.remove_suffix(1);  // rccl-tests marks what is too much
            time_->wrong = wrong_of(column, number(column, word).value, row_.type);
        }
    }

    void end_time() {
        if (time_) take_time(row_, *time_, times_ == 2);
        time_.reset();
    }

    std::int64_t whole(std::string const& column,
                       std::string_view word,
                       std::optional<std::int64_t> value) {
        if (!value) damaged(column, word, "a whole number");
        return value.value_or(0);
    }
    Printed number(std::string const& column, std::string_view word) {
        auto const value = printed_number(word);
        if (!value || value->value < 0) damaged(column, word, "a number");
        return value.value_or(Printed{});
    }
    void damaged(std::string const& column, std::string_view word, std::string const& expected) {
        damage_ = fmt::format("{} '{}' (expected {})", column, word, expected);
    }

    NcclRow row_;
    std::optional<NcclTime> time_;
    int times_ = 0;
    std::string damage_;
};

/// Where in the columns the second time begins; their number where there is one only.
std::size_t first_time_end(Columns const& columns) {
    auto const first = std::ranges::find(columns, "time");
    if (first == columns.end()) return columns.size();
    auto const second = std::find(first + 1, columns.end(), "time");
    return static_cast<std::size_t>(second - columns.begin());
}

}  // namespace

std::optional<Printed> printed_number(std::string_view text) {
    Printed number;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number.value);
    bool const whole = error == std::errc{} && end == text.data() + text.size();
    if (!whole || !std::isfinite(number.value)) return std::nullopt;
    auto const exponent_at = text.find_first_of("eE");
    auto const mantissa = text.substr(0, exponent_at);
    int exponent = 0;
    if (exponent_at != std::string_view::npos) {
        auto digits = text.substr(exponent_at + 1);
        if (digits.starts_with('+')) digits.remove_prefix(1);
        std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
    }
    auto const dot = mantissa.find('.');
    if (dot != std::string_view::npos) exponent -= static_cast<int>(mantissa.size() - dot - 1);
    number.half_unit = 0.5 * std::pow(10.0, exponent);
    return number;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
    std::int64_t number = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    bool const whole = error == std::errc{} && end == text.data() + text.size();
    return whole && number >= 0 ? std::optional(number) : std::nullopt;
}

std::optional<std::int64_t> buffer_size(std::string_view text) {
    if (text.ends_with("iB")) {
        text.remove_suffix(2);
    } else if (text.ends_with('B')) {
        text.remove_suffix(1);
    }
    constexpr std::string_view suffixes = "KMGT";
    int shift = 0;
    if (!text.empty()) {
        auto const place = suffixes.find(text.back());
        if (place != std::string_view::npos) {
            shift = 10 * static_cast<int>(place + 1);
            text.remove_suffix(1);
        }
    }
    auto const number = whole_number(text);
    if (!number || *number > (std::numeric_limits<std::int64_t>::max() >> shift)) {
        return std::nullopt;
    }
    return *number << shift;
}

Columns columns_of(Words const& words) {
    auto const begin = std::ranges::find_if(words, [](std::string_view word) {
        return word == "size" || word == "bytes" || word == "#size";
    });
    if (begin == words.end() || std::ranges::find(words, "algbw") == words.end()) return {};
    Columns columns{"size"};
    for (auto word = begin + 1; word != words.end(); ++word) columns.push_back(normalised(*word));
    bool const known = std::ranges::count(columns, "time") > 0 && columns.size() > 3 &&
                       columns[1] == "count" && columns[2] == "type";
    return known ? columns : Columns{};
}

Columns columns_by_count(Words const& words) {
    for (bool const wrong : {true, false}) {
        for (bool const root : {true, false}) {
            for (int const times : {2, 1}) {
                Columns columns{"size", "count", "type", "redop"};
                if (root) columns.emplace_back("root");
                for (int time = 0; time < times; ++time) {
                    columns.insert(columns.end(), {"time", "algbw", "busbw"});
                    if (wrong) columns.emplace_back("wrong");
                }
                if (columns.size() != words.size()) continue;
                // Eight words are either a root and no `wrong`, or the reverse.
                if (!root && wrong && words.size() == 8 && whole_number(words[7]) == std::nullopt) {
                    continue;
                }
                return columns;
            }
        }
    }
    return {};
}

std::optional<std::size_t> row_begin(Words const& words, bool in_table) {
    for (std::size_t i = 2; i < words.size(); ++i) {
        if (element_type(words[i]) == nullptr) continue;
        bool const numbers = begins_with_digit(words[i - 2]) && begins_with_digit(words[i - 1]);
        if (numbers || (in_table && i == 2)) return i - 2;
    }
    if (in_table && words.size() >= 3 && begins_with_digit(words[0])) return 0;
    return std::nullopt;
}

bool ends_row(std::size_t words, Columns const& columns) {
    // A timestamp is one column and two words.
    std::size_t const all =
        columns.size() + (!columns.empty() && columns.back() == "timestamp" ? 1 : 0);
    return words == all || words == first_time_end(columns);
}

RowOrDamage read_row(Words const& words, Columns const& columns) {
    if (!ends_row(words.size(), columns)) {
        return {{},
                fmt::format("a row of {} columns (expected {}: {})", words.size(), columns.size(),
                            join(columns, " "))};
    }
    return RowReader().read(words, columns);
}

}  // namespace nvl72::nccl_log
