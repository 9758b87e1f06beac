#pragma once

#include "sim/base/table.hpp"
#include "sim/config/fields.hpp"
#include "sim/study/expression.hpp"

#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// A number that somebody states, to stand beside what the run gives for it. Never read by it.
struct ClaimSpec {
    Place place;
    std::string what;
    Placed<double> stated;
    Placed<std::string> here;  ///< expression
    std::optional<std::string> unit;
    double tolerance = 0;  ///< relative; within it the claim holds
};
std::vector<Field<ClaimSpec>> const& fields_of(ClaimSpec const*);

enum class FigureKind : std::uint8_t { lines, bars, stacked };
template <>
struct EnumNames<FigureKind> {
    static constexpr std::array words{"lines", "bars", "stacked"};
};

struct AxisSpec {
    std::string title;
    bool log = false;
};
std::vector<Field<AxisSpec>> const& fields_of(AxisSpec const*);

/// One line or set of bars: expressions.
struct SeriesSpec {
    Place place;
    std::string name;
    Placed<std::string> x;
    Placed<std::string> y;
    std::optional<Placed<std::string>> low, high;  ///< ends of a band, or of error bars
    bool points = false;                           ///< markers only, as measurements have them
};
std::vector<Field<SeriesSpec>> const& fields_of(SeriesSpec const*);

/// A dashed line across the figure at a stated number.
struct MarkSpec {
    std::string name;
    std::optional<Placed<std::string>> x, y;
};
std::vector<Field<MarkSpec>> const& fields_of(MarkSpec const*);

struct FigureSpec {
    FigureKind kind{};
    AxisSpec x, y;
    std::vector<SeriesSpec> series;
    std::vector<MarkSpec> marks;
};
std::vector<Field<FigureSpec>> const& fields_of(FigureSpec const*);

/// What an experiment says it will answer with.
struct FindingsSpec {
    std::string question;
    Value given;   ///< name: number or list of numbers, each with its source
    Value values;  ///< name: expression, worked out in order
    std::optional<Placed<std::string>> answer;
    std::vector<ClaimSpec> claims;
    std::optional<FigureSpec> figure;
};

/// What it came to.
struct Findings {
    std::string answer;           ///< a sentence; "" where none was asked for
    std::optional<Table> values;  ///< what was given and worked out
    std::optional<Table> claims;
    std::vector<ResultTable> tables;  ///< /answer, /values, /claims and /figure of the result file
};

/// Works the values out over the run's `tables`, and fills the answer in.
Findings find_out(FindingsSpec const& spec,
                  std::vector<ResultTable> const& tables,
                  std::vector<PointTag> points);

}  // namespace nvl72
