#include "sim/study/findings.hpp"

#include "sim/base/text.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

namespace nvl72 {

std::vector<Field<ClaimSpec>> const& fields_of(ClaimSpec const*) {
    static std::vector<Field<ClaimSpec>> const fields{
        required("what", &ClaimSpec::what, "what is claimed"),
        required("stated", &ClaimSpec::stated, "the number, with its source"),
        required("here", &ClaimSpec::here, "expression: what the run gives for it"),
        optional("unit", &ClaimSpec::unit, "", "of both"),
        optional("tolerance", &ClaimSpec::tolerance, "0.01", "share within which it holds"),
    };
    return fields;
}

std::vector<Field<AxisSpec>> const& fields_of(AxisSpec const*) {
    static std::vector<Field<AxisSpec>> const fields{
        required("title", &AxisSpec::title, "what it shows, and the unit"),
        optional("log", &AxisSpec::log, "false", "logarithmic"),
    };
    return fields;
}

std::vector<Field<SeriesSpec>> const& fields_of(SeriesSpec const*) {
    static std::vector<Field<SeriesSpec>> const fields{
        required("name", &SeriesSpec::name, "label; the GPU's name at its front gives the colour"),
        required("x", &SeriesSpec::x, "expression: numbers, or texts under bars"),
        required("y", &SeriesSpec::y, "expression: as many numbers"),
        optional("low", &SeriesSpec::low, "", "expression: lower end of a band"),
        optional("high", &SeriesSpec::high, "", "expression: upper end of a band"),
        optional("points", &SeriesSpec::points, "false", "markers without a line"),
    };
    return fields;
}

std::vector<Field<MarkSpec>> const& fields_of(MarkSpec const*) {
    static std::vector<Field<MarkSpec>> const fields{
        required("name", &MarkSpec::name, "label"),
        optional("x", &MarkSpec::x, "", "expression: where it stands"),
        optional("y", &MarkSpec::y, "", "expression: where it stands"),
    };
    return fields;
}

std::vector<Field<FigureSpec>> const& fields_of(FigureSpec const*) {
    static std::vector<Field<FigureSpec>> const fields{
        optional("kind", &FigureSpec::kind, "lines", "lines, bars, or bars stacked"),
        required("x", &FigureSpec::x, "the axis: {title, log}"),
        required("y", &FigureSpec::y, "the axis: {title, log}"),
        required("series", &FigureSpec::series, "lines or sets of bars"),
        optional("marks", &FigureSpec::marks, "", "stated numbers as dashed lines"),
    };
    return fields;
}

namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

using Texts = std::vector<std::string>;
using Reals = std::vector<double>;
using Integers = std::vector<std::int64_t>;

/// What the run is told, number by number; each must say where it is from.
Values given_values(Value const& value, Scope const& scope) {
    if (value.is_list()) {
        Reals all;
        for (Value const& item : value.items) {
            auto const one = given_values(item, scope);
            all.insert(all.end(), one.numbers.begin(), one.numbers.end());
        }
        return Values::of(std::move(all));
    }
    if (!value.is_scalar()) fail(value.place, "no number", "a number, or a list of them");
    if (value.source.empty()) {
        fail(value.place, value.scalar,
             fmt::format("{{value: {}, source: \"...\"}}", value.scalar));
    }
    Values const number = evaluate(value.scalar, scope, value.place);
    if (number.is_text) fail(value.place, value.scalar, "a number");
    return number;
}

double one_number(Placed<std::string> const& expression, Scope const& scope) {
    Values const values = evaluate(expression.value, scope, expression.place);
    if (values.is_text || values.size() != 1) {
        fail(expression.place, fmt::format("{} values of \"{}\"", values.size(), expression.value),
             "one number: min(...), last(...) or a narrower choice");
    }
    return values.numbers.front();
}

/// Collects one row for each value of each name.
class ValueRows {
public:
    void add(std::string const& name, Values const& values, std::string const& from) {
        for (std::size_t i = 0; i < values.size(); ++i) {
            names_.push_back(name);
            indices_.push_back(static_cast<std::int64_t>(i));
            numbers_.push_back(values.is_text ? none : values.numbers[i]);
            texts_.push_back(values.is_text ? values.texts[i] : "");
        }
        shown_.add({name, shown(values), from});
    }

    [[nodiscard]] std::optional<Table> table() const {
        return shown_.rows() == 0 ? std::nullopt : std::optional(shown_);
    }

    void move_to(std::vector<ResultTable>& tables) {
        if (names_.empty()) return;
        tables.push_back({"values",
                          {{"name", "", "as the config calls it", std::move(names_)},
                           {"index", "", "of several values", std::move(indices_)},
                           {"number", "", "given or worked out", std::move(numbers_), true},
                           {"text", "", "where it is no number", std::move(texts_)}}});
    }

private:
    static std::string shown(Values const& values) {
        std::vector<std::string> parts;
        for (std::size_t i = 0; i < values.size(); ++i) {
            parts.push_back(values.is_text ? values.texts[i] : significant(values.numbers[i]));
        }
        constexpr std::size_t most = 8;
        if (parts.size() > most) {
            return fmt::format("{}, ... {} ({} values)", join(std::span(parts).first(3)),
                               parts.back(), parts.size());
        }
        return join(parts);
    }

    Texts names_, texts_;
    Integers indices_;
    Reals numbers_;
    Table shown_{{{"name", "worked out"}, {"value", "value"}, {"from", "from"}}};
};

Table claims_table(std::vector<ClaimSpec> const& claims, Scope const& scope, ResultTable& table) {
    Table shown({{"what", "claim"},
                 {"stated", "stated"},
                 {"here", "here"},
                 {"unit", "unit"},
                 {"error_percent", "(here-stated)/stated", 1, "%"},
                 {"verdict", "verdict"},
                 {"source", "stated by"}});
    Texts what, units, sources;
    Reals stated, here;
    Integers holds;
    for (ClaimSpec const& claim : claims) {
        double const found = one_number(claim.here, scope);
        double const error = found / claim.stated.value - 1;
        bool const good = std::abs(error) <= claim.tolerance;
        shown.add({claim.what, claim.stated.value, found, claim.unit.value_or(""), 100 * error,
                   std::string(good ? "holds" : "differs"), claim.stated.source});
        what.push_back(claim.what);
        stated.push_back(claim.stated.value);
        here.push_back(found);
        units.push_back(claim.unit.value_or(""));
        holds.push_back(good ? 1 : 0);
        sources.push_back(claim.stated.source);
    }
    table = {"claims",
             {{"what", "", "what is claimed", std::move(what)},
              {"stated", "", "as stated", std::move(stated)},
              {"here", "", "as the run gives it", std::move(here)},
              {"unit", "", "of both", std::move(units)},
              {"holds", "", "1: within the stated tolerance", std::move(holds)},
              {"source", "", "who states it", std::move(sources)}}};
    return shown;
}

/// Rows of /figure: what is drawn, point by point.
class FigureRows {
public:
    explicit FigureRows(Scope const& scope) : scope_(&scope) {}

    void add(SeriesSpec const& series) {
        Values const x = at(series.x);
        Values const y = numbers(series.y, x.size());
        Values const low = series.low ? numbers(*series.low, x.size()) : Values{};
        Values const high = series.high ? numbers(*series.high, x.size()) : Values{};
        for (std::size_t i = 0; i < x.size(); ++i) {
            row(series.name, series.points ? "points" : "line", x.is_text ? none : x.numbers[i],
                x.is_text ? x.texts[i] : "", y.numbers[i]);
            low_.push_back(series.low ? low.numbers[i] : none);
            high_.push_back(series.high ? high.numbers[i] : none);
        }
    }

    void add(MarkSpec const& mark) {
        row(mark.name, "mark", mark.x ? one_number(*mark.x, *scope_) : none, "",
            mark.y ? one_number(*mark.y, *scope_) : none);
        low_.push_back(none);
        high_.push_back(none);
    }

    void move_to(std::vector<ResultTable>& tables) {
        tables.push_back({"figure",
                          {{"series", "", "name of the line or bars", std::move(series_)},
                           {"kind", "", "line, points or mark", std::move(kinds_)},
                           {"x", "", "where it stands; NaN: at its label", std::move(x_), true},
                           {"label", "", "text under bars", std::move(labels_)},
                           {"y", "", "height", std::move(y_), true},
                           {"low", "", "lower end of its band", std::move(low_), true},
                           {"high", "", "upper end of its band", std::move(high_), true}}});
    }

private:
    [[nodiscard]] Values at(Placed<std::string> const& expression) const {
        return evaluate(expression.value, *scope_, expression.place);
    }

    [[nodiscard]] Values numbers(Placed<std::string> const& expression, std::size_t wanted) const {
        Values values = at(expression);
        if (!values.is_text && values.size() == 1 && wanted > 1)
            values.numbers.resize(wanted, values.numbers.front());
        if (values.is_text || values.size() != wanted) {
            fail(expression.place,
                 fmt::format("{} values of \"{}\"", values.size(), expression.value),
                 fmt::format("{} numbers, as x has", wanted));
        }
        return values;
    }

    void row(std::string const& series, char const* kind, double x, std::string label, double y) {
        series_.push_back(series);
        kinds_.emplace_back(kind);
        x_.push_back(x);
        labels_.push_back(std::move(label));
        y_.push_back(y);
    }

    Scope const* scope_;
    Texts series_, kinds_, labels_;
    Reals x_, y_, low_, high_;
};

ResultTable answer_words(FindingsSpec const& spec, std::string const& answer) {
    Texts keys{"question"}, texts{spec.question};
    auto const add = [&](char const* key, std::string const& text) {
        keys.emplace_back(key);
        texts.push_back(text);
    };
    if (!answer.empty()) add("answer", answer);
    if (spec.figure) {
        add("figure.kind", name_of(spec.figure->kind));
        add("figure.x", spec.figure->x.title);
        add("figure.y", spec.figure->y.title);
        add("figure.log",
            fmt::format("{}{}", spec.figure->x.log ? "x" : "", spec.figure->y.log ? "y" : ""));
    }
    return {"answer",
            {{"key", "", "question, answer, or what belongs to the figure", std::move(keys)},
             {"text", "", "in words", std::move(texts)}}};
}

void check_map(Value const& value, char const* expected) {
    if (value.kind != Value::Kind::null && !value.is_map()) fail(value.place, "no map", expected);
}

}  // namespace

Findings find_out(FindingsSpec const& spec,
                  std::vector<ResultTable> const& tables,
                  std::vector<PointTag> points) {
    Findings found;
    Scope scope(tables, std::move(points));
    ValueRows rows;
    check_map(spec.given, "NAME: {value, source} lines");
    for (auto const& [name, value] : spec.given.entries) {
        Values const given = given_values(value, scope);
        std::string const source = value.is_list() && value.source.empty() && !value.items.empty()
                                       ? value.items.front().source
                                       : value.source;
        rows.add(name, given, source);
        scope.set(name, given);
    }
    check_map(spec.values, "NAME: EXPRESSION lines");
    for (auto const& [name, value] : spec.values.entries) {
        if (!value.is_scalar()) fail(value.place, "no text", "an expression");
        Values const worked = evaluate(value.scalar, scope, value.place);
        if (!std::ranges::all_of(worked.numbers, [](double n) { return std::isfinite(n); })) {
            fail(value.place, fmt::format("{} has no value here", value.scalar),
                 "nothing divided by 0, and no logarithm of 0 or less");
        }
        rows.add(name, worked, value.scalar);
        scope.set(name, worked);
    }
    if (spec.answer) found.answer = fill(spec.answer->value, scope, spec.answer->place);
    ResultTable claims;
    if (!spec.claims.empty()) {
        found.claims = claims_table(spec.claims, scope, claims);
        scope.add(claims);
    }
    found.values = rows.table();
    rows.move_to(found.tables);
    if (spec.figure) {
        FigureRows figure(scope);
        for (auto const& series : spec.figure->series) figure.add(series);
        for (auto const& mark : spec.figure->marks) figure.add(mark);
        figure.move_to(found.tables);
    }
    if (found.claims) found.tables.push_back(std::move(claims));
    if (spec.answer || spec.figure) found.tables.push_back(answer_words(spec, found.answer));
    return found;
}

}  // namespace nvl72
