#pragma once

#include "sim/base/error.hpp"
#include "sim/config/quantity.hpp"
#include "sim/config/write.hpp"
#include "sim/study/fit_kernels.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <set>
#include <string>
#include <vector>

/// What the fits of all sections share: knobs on a section, and rows to fit them to.
namespace nvl72::section_fit {

/// A constant of a section that is fitted, and how it is written.
template <class Section>
struct Knob {
    std::string key;
    Dimension dimension = Dimension::number;
    double start = 1, low = 1, high = 1;  ///< SI units
    std::function<double&(Section&)> at;
    std::string in = {};  ///< the map that holds it in the profile: "gemm.precisions.bf16."
};

/// The same knobs of the map `in`.
template <class Section>
std::vector<Knob<Section>> knobs_in(std::string const& in, std::vector<Knob<Section>> knobs) {
    for (auto& knob : knobs) knob.in = in;
    return knobs;
}

/// One measured row: `shape` is equal for the same sizes in other precisions.
template <class Kernel>
struct Row {
    Kernel kernel;
    double seconds = 0;
    std::size_t shape = 0;
    std::size_t edge = 0;  ///< more than 0: of an edge of the measured range, by number
};

constexpr std::size_t folds = 5;

/// `value` to the four significant digits that a profile holds.
double to_four_digits(double value);

template <class Section, class Kernel>
using SecondsOf = std::function<double(Section const&, Kernel const&)>;

template <class Section, class Kernel>
std::vector<double> predict(Section const& section,
                            std::vector<Row<Kernel>> const& rows,
                            SecondsOf<Section, Kernel> const& seconds_of) {
    std::vector<double> times;
    for (auto const& row : rows) times.push_back(seconds_of(section, row.kernel));
    return times;
}

template <class Kernel>
std::vector<double> measured(std::vector<Row<Kernel>> const& rows) {
    std::vector<double> times;
    for (auto const& row : rows) times.push_back(row.seconds);
    return times;
}

/// `section` with its knobs at their best values, to four digits.
template <class Section, class Kernel>
Section fit_section(Section section,
                    std::vector<Knob<Section>> const& knobs,
                    std::vector<Row<Kernel>> const& rows,
                    SecondsOf<Section, Kernel> const& seconds_of) {
    std::vector<FitParameter> parameters;
    for (auto const& knob : knobs) {
        parameters.push_back({knob.key, knob.start, knob.low, knob.high});
    }
    auto const fit =
        fit_log_times(parameters, measured(rows), [&](std::vector<double> const& values) {
            for (std::size_t i = 0; i < knobs.size(); ++i) knobs[i].at(section) = values[i];
            return predict(section, rows, seconds_of);
        });
    for (std::size_t i = 0; i < knobs.size(); ++i) {
        knobs[i].at(section) = to_four_digits(fit.values[i]);
    }
    return section;
}

/// Predictions of rows that the fit had not seen.
struct Unseen {
    std::vector<double> inside;               ///< each fifth of the shapes from the other four
    std::vector<double> outside;              ///< each edge from the rest; 0 for rows of no edge
    std::vector<std::vector<double>> refits;  ///< constants without each fifth, as the knobs
};

template <class Section, class Kernel>
Unseen predict_unseen(Section const& section,
                      std::vector<Knob<Section>> const& knobs,
                      std::vector<Row<Kernel>> const& rows,
                      SecondsOf<Section, Kernel> const& seconds_of) {
    using InGroup = std::function<bool(Row<Kernel> const&)>;
    Unseen unseen{std::vector<double>(rows.size()), std::vector<double>(rows.size()), {}};
    auto const predict_group = [&](std::vector<double>& times, InGroup const& in_group) {
        std::vector<Row<Kernel>> kept;
        for (auto const& row : rows) {
            if (!in_group(row)) kept.push_back(row);
        }
        if (kept.size() == rows.size() || kept.size() < knobs.size()) return;
        auto fitted = fit_section(section, knobs, kept, seconds_of);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            if (in_group(rows[i])) times[i] = seconds_of(fitted, rows[i].kernel);
        }
        if (&times == &unseen.inside) {
            unseen.refits.emplace_back();
            for (auto const& knob : knobs) unseen.refits.back().push_back(knob.at(fitted));
        }
    };
    for (std::size_t fold = 0; fold < folds; ++fold) {
        predict_group(unseen.inside, [fold](auto const& row) { return row.shape % folds == fold; });
    }
    std::set<std::size_t> edges;
    for (auto const& row : rows) edges.insert(row.edge);
    edges.erase(0);
    for (std::size_t const edge : edges) {
        predict_group(unseen.outside, [edge](auto const& row) { return row.edge == edge; });
    }
    return unseen;
}

/// Makes the fifth of the rows with the most work an edge.
template <class Kernel, class WorkOf>
void mark_largest(std::vector<Row<Kernel>>& rows, WorkOf const& work_of) {
    std::vector<double> works;
    for (auto const& row : rows) works.push_back(work_of(row.kernel));
    std::ranges::sort(works);
    double const bound = works[works.size() - 1 - works.size() / folds];
    for (auto& row : rows) row.edge = work_of(row.kernel) > bound ? 1 : 0;
}

/// Adds one row's predictions to those of its part.
template <class Kernel>
void add_unseen(SectionFit& fit, Row<Kernel> const& row, double inside, double outside) {
    if (inside > 0) fit.inside.push_back({row.seconds, inside, row.shape % folds});
    if (outside > 0) {
        fit.outside.push_back({row.seconds, outside, row.shape % folds, row.edge});
    }
}

/// The errors of what was left out once.
FitErrors errors_inside(SectionFit const& fit);

/// The rows of one kernel kind; their shapes numbered in ascending order.
template <class Kernel>
std::vector<Row<Kernel>> rows_of(std::vector<KernelSample> const& samples) {
    auto const shape_of = [](Kernel kernel) {
        kernel.precision = Precision::bf16;
        if constexpr (requires { kernel.kv_precision; }) kernel.kv_precision.reset();
        return kernel;
    };
    std::set<Kernel> shapes;
    for (auto const& sample : samples) {
        if (auto const* kernel = std::get_if<Kernel>(&sample.query))
            shapes.insert(shape_of(*kernel));
    }
    std::vector<Row<Kernel>> rows;
    for (auto const& sample : samples) {
        auto const* kernel = std::get_if<Kernel>(&sample.query);
        if (kernel == nullptr) continue;
        auto const place = shapes.find(shape_of(*kernel));
        rows.push_back({*kernel, sample.seconds,
                        static_cast<std::size_t>(std::distance(shapes.begin(), place)), 0});
    }
    return rows;
}

/// The values that one member takes, ascending, as a profile's grid.
template <class Kernel, class Member>
Value grid_leaf(std::vector<Row<Kernel>> const& rows, Member const& value_of) {
    std::set<std::int64_t> points;
    for (auto const& row : rows) points.insert(value_of(row.kernel));
    std::vector<std::string> texts;
    for (auto const point : points) texts.push_back(std::to_string(point));
    return leaf_list(texts, "derived: the measured shapes");
}

/// "; at its upper bound, so not determined" where a fit ended there, else nothing.
std::string bound_note(double value, double low, double high);

/// Writes the knobs' values.
template <class Section>
void put_knobs(Value& map,
               Section section,
               std::vector<Knob<Section>> const& knobs,
               std::string const& source) {
    for (auto const& knob : knobs) {
        double const value = knob.at(section);
        put(map, knob.key,
            leaf(format_quantity(value, knob.dimension),
                 source + bound_note(value, knob.low, knob.high)));
    }
}

/// Adds a fit to a profile's `draws` (sim/cost/draws.hpp): what the refits without a fifth found
/// for each constant. Those at a bound stay where they are.
template <class Section>
void put_draws(Value& draws,
               std::string const& fit,
               std::vector<Knob<Section>> const& knobs,
               Section section,
               Unseen const& unseen) {
    if (unseen.refits.size() < 2) return;
    Value constants;
    for (std::size_t i = 0; i < knobs.size(); ++i) {
        double const value = knobs[i].at(section);
        if (!bound_note(value, knobs[i].low, knobs[i].high).empty()) continue;
        std::vector<std::string> moves;
        for (auto const& refit : unseen.refits) {
            moves.push_back(fmt::format("{:.4f}", std::log(refit[i] / value)));
        }
        put(constants, knobs[i].in + knobs[i].key,
            leaf_list(moves,
                      fmt::format("derived: logarithm of the constant without a fifth of the "
                                  "rows over that with all, {} refits",
                                  unseen.refits.size())));
    }
    if (constants.is_map()) put(draws, fit, std::move(constants));
}

/// The section's rows of a profile's `spread`; parts of fewer than three rows have none,
/// nor those whose rows lie a factor 100 apart.
void put_spread(Value& spread, SectionFit const& fit);

/// Fails unless there are enough rows to fit so many constants.
void expect_enough(std::string const& section,
                   std::string const& origin,
                   std::size_t rows,
                   std::size_t parameters);

/// "fitted: 600 bf16 rows of gemm-h100.csv, median error 3.3 %, worst 31 % at m 1, n 1024, k 4096"
std::string source_text(SectionFit const& fit);

}  // namespace nvl72::section_fit
