#include "sim/study/expression.hpp"

#include "sim/base/text.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <optional>
#include <string_view>

namespace nvl72 {
namespace {

/// The number at the front of "400 Gb/s"; none in "adaptive".
std::optional<double> leading_number(std::string const& text) {
    double value = 0;
    auto const end = std::from_chars(text.data(), text.data() + text.size(), value);
    if (end.ec != std::errc{}) return std::nullopt;
    return value;
}

struct Selector {
    std::string key;  ///< "": a system's name
    std::string value;
};

class Parser {
public:
    Parser(std::string_view text, Scope const& scope, Place const& place)
        : text_(text), scope_(scope), place_(place) {}

    Values whole() {
        Values result = sum();
        skip();
        if (at_ != text_.size()) {
            refuse(fmt::format("'{}'", text_.substr(at_)), "an operator or the end");
        }
        return result;
    }

private:
    [[noreturn]] void refuse(std::string const& found, std::string const& expected) const {
        fail(place_, fmt::format("{} in \"{}\"", found, text_), expected);
    }

    void skip() {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    }

    bool take(char wanted) {
        skip();
        if (at_ >= text_.size() || text_[at_] != wanted) return false;
        ++at_;
        return true;
    }

    void expect(char wanted) {
        if (take(wanted)) return;
        refuse(at_ < text_.size() ? fmt::format("'{}'", text_[at_]) : "the end",
               fmt::format("'{}'", wanted));
    }

    Values sum() {
        Values left = product();
        for (;;) {
            if (take('+')) {
                left = combine(left, product(), std::plus<>());
            } else if (take('-')) {
                left = combine(left, product(), std::minus<>());
            } else {
                return left;
            }
        }
    }

    Values product() {
        Values left = power();
        for (;;) {
            if (take('*')) {
                left = combine(left, power(), std::multiplies<>());
            } else if (take('/')) {
                left = combine(left, power(), std::divides<>());
            } else {
                return left;
            }
        }
    }

    Values power() {
        if (take('-')) return combine(Values::of(std::vector{-1.0}), power(), std::multiplies<>());
        Values base = primary();
        if (!take('^')) return base;
        return combine(base, power(), [](double a, double b) { return std::pow(a, b); });
    }

    Values combine(Values const& a,
                   Values const& b,
                   std::function<double(double, double)> const& operation) const {
        if (a.is_text || b.is_text) refuse("arithmetic on texts", "numbers");
        std::size_t const n = std::max(a.size(), b.size());
        if ((a.size() != n && a.size() != 1) || (b.size() != n && b.size() != 1)) {
            refuse(fmt::format("{} values beside {}", a.size(), b.size()),
                   "equally many, or one of them");
        }
        std::vector<double> result;
        for (std::size_t i = 0; i < n; ++i) {
            result.push_back(
                operation(a.numbers[a.size() == 1 ? 0 : i], b.numbers[b.size() == 1 ? 0 : i]));
        }
        return Values::of(std::move(result));
    }

    Values primary() {
        if (take('(')) {
            Values inner = sum();
            expect(')');
            return inner;
        }
        if (take('[')) return list();
        skip();
        if (at_ >= text_.size()) refuse("the end", "a number, a name or a column");
        char const first = text_[at_];
        if (std::isdigit(static_cast<unsigned char>(first)) || first == '.') return number();
        if (std::isalpha(static_cast<unsigned char>(first)) || first == '_') return word();
        refuse(fmt::format("'{}'", first), "a number, a name or a column");
    }

    Values number() {
        double value = 0;
        auto const end = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
        if (end.ec != std::errc{}) refuse(fmt::format("'{}'", text_.substr(at_)), "a number");
        at_ = static_cast<std::size_t>(end.ptr - text_.data());
        return Values::of(std::vector{value});
    }

    /// [a, b, c]: the values one after the other.
    Values list() {
        Values all;
        bool first = true;
        do {
            Values const item = sum();
            if (!first && item.is_text != all.is_text) refuse("texts among numbers", "one kind");
            all.is_text = item.is_text;
            all.numbers.insert(all.numbers.end(), item.numbers.begin(), item.numbers.end());
            all.texts.insert(all.texts.end(), item.texts.begin(), item.texts.end());
            first = false;
        } while (take(','));
        expect(']');
        return all;
    }

    std::string name() {
        std::size_t const begin = at_;
        while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) ||
                                      text_[at_] == '_' || text_[at_] == '.')) {
            ++at_;
        }
        return std::string(text_.substr(begin, at_ - begin));
    }

    Values word() {
        std::string const called = name();
        if (take('(')) {
            std::vector<Values> arguments{sum()};
            while (take(',')) arguments.push_back(sum());
            expect(')');
            return call(called, arguments);
        }
        std::vector<Selector> chosen;
        bool const selects = take('[');
        if (selects) chosen = selectors();
        if (!selects) {
            auto const known = scope_.named().find(called);
            if (known != scope_.named().end()) return known->second;
        }
        return column(called, chosen);
    }

    std::vector<Selector> selectors() {
        std::vector<Selector> all;
        while (!take(']')) {
            if (take('\'')) {
                all.push_back({"", quoted()});
                if (!take(',') && (at_ >= text_.size() || text_[at_] != ']')) expect(']');
                continue;
            }
            std::size_t const end = text_.find_first_of(",]", at_);
            if (end == std::string_view::npos) refuse("no ']'", "one after the system's name");
            std::string_view const part = text_.substr(at_, end - at_);
            auto const sign = part.find('=');
            if (sign == std::string_view::npos) {
                all.push_back({"", std::string(trimmed(part))});
            } else {
                all.push_back({std::string(trimmed(part.substr(0, sign))),
                               std::string(trimmed(part.substr(sign + 1)))});
            }
            at_ = text_[end] == ',' ? end + 1 : end;
        }
        return all;
    }

    /// To the second of two quotes; the first is read.
    std::string quoted() {
        std::size_t const end = text_.find('\'', at_);
        if (end == std::string_view::npos) refuse("one quote", "two around a system's name");
        std::string name(text_.substr(at_, end - at_));
        at_ = end + 1;
        return name;
    }

    Values call(std::string const& function, std::vector<Values> const& arguments) const;
    Values column(std::string const& called, std::vector<Selector> const& chosen) const;
    bool matches(ResultTable const& table, std::size_t row, Selector const& selector) const;
    PointTag const* tag_of(ResultTable const& table, std::size_t row) const;

    std::string_view text_;
    Scope const& scope_;
    Place const& place_;
    std::size_t at_ = 0;
};

double median(std::vector<double> values) {
    std::ranges::sort(values);
    std::size_t const half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double sum_of(std::vector<double> const& values) {
    double total = 0;
    for (double const value : values) total += value;
    return total;
}

/// Many numbers to one.
struct Reduction {
    std::string_view name;
    double (*of)(std::vector<double> const&);
};
constexpr std::array reductions{
    Reduction{"min", [](std::vector<double> const& v) { return std::ranges::min(v); }},
    Reduction{"max", [](std::vector<double> const& v) { return std::ranges::max(v); }},
    Reduction{"sum", sum_of},
    Reduction{
        "mean",
        [](std::vector<double> const& v) { return sum_of(v) / static_cast<double>(v.size()); }},
    Reduction{"median", [](std::vector<double> const& v) { return median(v); }},
    Reduction{"count", [](std::vector<double> const& v) { return static_cast<double>(v.size()); }},
};

/// Each number by itself.
struct Elementwise {
    std::string_view name;
    double (*of)(double);
};
constexpr std::array elementwise{
    Elementwise{"abs", [](double x) { return std::abs(x); }},
    Elementwise{"sqrt", [](double x) { return std::sqrt(x); }},
    Elementwise{"log2", [](double x) { return std::log2(x); }},
    Elementwise{"log10", [](double x) { return std::log10(x); }},
    Elementwise{"round", [](double x) { return std::round(x); }},
    Elementwise{"floor", [](double x) { return std::floor(x); }},
    Elementwise{"ceil", [](double x) { return std::ceil(x); }},
};

Values one_of(Values const& values, std::size_t i) {
    if (values.is_text) return Values::of(std::vector{values.texts[i]});
    return Values::of(std::vector{values.numbers[i]});
}

Values Parser::call(std::string const& function, std::vector<Values> const& arguments) const {
    Values const& x = arguments.front();
    bool const two = arguments.size() == 2;
    if (arguments.size() > 2) refuse(fmt::format("{} with more than two", function), "one or two");
    if (x.size() == 0) refuse(fmt::format("{} of nothing", function), "a value");
    if (two && (function == "at_max" || function == "at_min")) {
        auto const& by = arguments[1].numbers;
        if (by.size() != x.size()) refuse("two rows of other lengths", "equally many");
        auto const best =
            function == "at_max" ? std::ranges::max_element(by) : std::ranges::min_element(by);
        return one_of(x, static_cast<std::size_t>(best - by.begin()));
    }
    if (two && (function == "min" || function == "max")) {
        bool const least = function == "min";
        return combine(x, arguments[1],
                       [&](double a, double b) { return least ? std::min(a, b) : std::max(a, b); });
    }
    if (!two && function == "first") return one_of(x, 0);
    if (!two && function == "last") return one_of(x, x.size() - 1);
    if (!two && !x.is_text) {
        for (auto const& row : reductions) {
            if (row.name == function) return Values::of(std::vector{row.of(x.numbers)});
        }
        for (auto const& row : elementwise) {
            if (row.name != function) continue;
            std::vector<double> all;
            for (double const value : x.numbers) all.push_back(row.of(value));
            return Values::of(std::move(all));
        }
    }
    refuse(fmt::format("{} of {} {}", function, arguments.size(), x.is_text ? "texts" : "values"),
           "min, max, sum, mean, median, count, first, last, abs, sqrt, log2, log10, round, floor, "
           "ceil, at_max or at_min");
}

std::string cell_text(ResultColumn const& column, std::size_t row) {
    if (auto const* texts = std::get_if<std::vector<std::string>>(&column.values))
        return (*texts)[row];
    if (auto const* whole = std::get_if<std::vector<std::int64_t>>(&column.values))
        return std::to_string((*whole)[row]);
    return fmt::format("{}", std::get<std::vector<double>>(column.values)[row]);
}

bool same_value(std::string const& a, std::string const& b) {
    if (a == b) return true;
    auto const x = leading_number(a), y = leading_number(b);
    bool const plain = a.find(' ') == std::string::npos && b.find(' ') == std::string::npos;
    return plain && x && y && *x == *y && std::isalpha(static_cast<unsigned char>(a.back())) == 0 &&
           std::isalpha(static_cast<unsigned char>(b.back())) == 0;
}

PointTag const* Parser::tag_of(ResultTable const& table, std::size_t row) const {
    ResultColumn const* point = table.find("point");
    auto const* numbers =
        point != nullptr ? std::get_if<std::vector<std::int64_t>>(&point->values) : nullptr;
    if (numbers == nullptr) return nullptr;
    auto const at = static_cast<std::size_t>((*numbers)[row]);
    return at < scope_.points().size() ? &scope_.points()[at] : nullptr;
}

bool Parser::matches(ResultTable const& table, std::size_t row, Selector const& selector) const {
    PointTag const* tag = tag_of(table, row);
    if (selector.key.empty()) {
        if (tag != nullptr) return tag->name == selector.value;
        ResultColumn const* system = table.find("system");
        return system != nullptr && cell_text(*system, row) == selector.value;
    }
    if (tag != nullptr) {
        for (auto const& [key, value] : tag->swept) {
            if (key == selector.key) return same_value(value, selector.value);
        }
    }
    ResultColumn const* column = table.find(selector.key);
    return column != nullptr && same_value(cell_text(*column, row), selector.value);
}

bool is_swept(Scope const& scope, std::string const& key) {
    for (auto const* table : scope.tables()) {
        if (table->name == "sweep" && table->find(key) != nullptr) return false;
    }
    return std::ranges::any_of(scope.points(), [&](PointTag const& tag) {
        return std::ranges::any_of(tag.swept, [&](auto const& pair) { return pair.first == key; });
    });
}

/// What was swept: numbers where all of them begin with one, "400 Gb/s" too.
Values numbers_or_texts(std::vector<std::string> texts) {
    std::vector<double> numbers;
    for (auto const& text : texts) {
        auto const number = leading_number(text);
        if (!number) return Values::of(std::move(texts));
        numbers.push_back(*number);
    }
    return Values::of(std::move(numbers));
}

/// The names that a mistyped one may have meant.
std::string nearest(Scope const& scope, std::string const& called) {
    std::vector<std::string> names;
    for (auto const& [name, values] : scope.named()) names.push_back(name);
    for (auto const* table : scope.tables()) {
        for (auto const& column : table->columns) {
            names.push_back(table->name == "sweep" ? column.name : table->name + "." + column.name);
        }
    }
    auto const near = nearest_name(called, names);
    return near.empty() ? "a value above it, or a column of the run's tables"
                        : fmt::format("did you mean {}?", near);
}

Values Parser::column(std::string const& called, std::vector<Selector> const& chosen) const {
    std::string table_name = "sweep", column_name = called;
    bool const swept = is_swept(scope_, called);  // a column of that name goes before
    if (auto const dot = called.find('.'); dot != std::string::npos && !swept) {
        table_name = called.substr(0, dot);
        column_name = called.substr(dot + 1);
    }
    auto const found =
        std::ranges::find_if(scope_.tables(), [&](auto const* t) { return t->name == table_name; });
    ResultTable const* table = found != scope_.tables().end() ? *found : nullptr;
    ResultColumn const* column =
        table != nullptr ? table->find(swept ? "point" : column_name) : nullptr;
    if (column == nullptr) refuse(fmt::format("unknown '{}'", called), nearest(scope_, called));

    bool const asks_kind =
        std::ranges::any_of(chosen, [](Selector const& s) { return s.key == "kind"; });
    ResultColumn const* kind = asks_kind ? nullptr : table->find("kind");
    Values result;
    result.is_text = !swept && std::holds_alternative<std::vector<std::string>>(column->values);
    for (std::size_t row = 0; row < column->rows(); ++row) {
        bool const measured = kind != nullptr && cell_text(*kind, row) == "measured";
        auto const fits = [&](Selector const& s) { return matches(*table, row, s); };
        if (measured || !std::ranges::all_of(chosen, fits)) continue;
        if (result.is_text) {
            result.texts.push_back(cell_text(*column, row));
        } else if (!swept) {
            auto const* whole = std::get_if<std::vector<std::int64_t>>(&column->values);
            result.numbers.push_back(whole != nullptr
                                         ? static_cast<double>((*whole)[row])
                                         : std::get<std::vector<double>>(column->values)[row]);
        } else {
            for (auto const& [key, value] : tag_of(*table, row)->swept) {
                if (key == called) result.texts.push_back(value);
            }
        }
    }
    if (swept) result = numbers_or_texts(std::move(result.texts));
    if (result.size() == 0) {
        refuse(fmt::format("no row of {} that it selects", called),
               "names of systems, columns and swept keys as the run has them");
    }
    return result;
}

std::string with_thousands(std::string const& number) {
    std::size_t const end = std::min(number.find('.'), number.size());
    std::size_t const begin = number.starts_with('-') ? 1 : 0;
    std::string result = number;
    for (std::size_t at = end; at > begin + 3;) {
        at -= 3;
        result.insert(at, ",");
    }
    return result;
}

std::string formatted(double value, std::string format, Place const& place) {
    bool const thousands = format.starts_with(',');
    bool const share = format.ends_with('%');
    if (thousands) format.erase(0, 1);
    if (share) format.back() = 'f';
    try {
        std::string text =
            fmt::format(fmt::runtime("{:" + format + "}"), share ? 100 * value : value);
        if (thousands) text = with_thousands(text);
        return share ? text + " %" : text;
    } catch (fmt::format_error const&) {
        fail(place, fmt::format("format '{}'", format), "one such as .2f, ,.0f or .1%");
    }
}

}  // namespace

Values evaluate(std::string const& expression, Scope const& scope, Place const& place) {
    return Parser(expression, scope, place).whole();
}

std::string fill(std::string const& text, Scope const& scope, Place const& place) {
    std::string filled;
    for (std::size_t at = 0; at < text.size();) {
        char const here = text[at];
        bool const twice = at + 1 < text.size() && text[at + 1] == here;
        if ((here == '{' || here == '}') && twice) {
            filled += here;
            at += 2;
            continue;
        }
        if (here == '}') fail(place, "a '}' of its own", "{name}, or }} for a brace");
        if (here != '{') {
            filled += here;
            ++at;
            continue;
        }
        std::size_t const end = text.find('}', at);
        if (end == std::string::npos) fail(place, "a '{' without '}'", "{name} or {name:.2f}");
        std::string const inside = text.substr(at + 1, end - at - 1);
        std::size_t const colon = std::min(inside.find(':'), inside.size());
        Values const values = evaluate(inside.substr(0, colon), scope, place);
        std::string const format = colon < inside.size() ? inside.substr(colon + 1) : ".3g";
        for (std::size_t i = 0; i < values.size(); ++i) {
            if (i > 0) filled += i + 1 == values.size() ? " and " : ", ";
            filled +=
                values.is_text ? values.texts[i] : formatted(values.numbers[i], format, place);
        }
        at = end + 1;
    }
    return filled;
}

}  // namespace nvl72
