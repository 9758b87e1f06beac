#pragma once

#include "sim/base/error.hpp"
#include "sim/config/quantity.hpp"
#include "sim/config/write.hpp"
#include "sim/study/fit_kernels.hpp"

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
    Dimension dimension;
    double start, low, high;  ///< SI units
    std::function<double&(Section&)> at;
};

/// One measured row: `shape` is equal for the same sizes in other precisions.
template <class Kernel>
struct Row {
    Kernel kernel;
    double seconds = 0;
    std::size_t shape = 0;
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

/// Times of all rows, each predicted from the rows of the other four fifths of the shapes.
template <class Section, class Kernel>
std::vector<double> predict_left_out(Section const& section,
                                     std::vector<Knob<Section>> const& knobs,
                                     std::vector<Row<Kernel>> const& rows,
                                     SecondsOf<Section, Kernel> const& seconds_of) {
    std::vector<double> times(rows.size());
    for (std::size_t fold = 0; fold < folds; ++fold) {
        std::vector<Row<Kernel>> kept;
        for (auto const& row : rows) {
            if (row.shape % folds != fold) kept.push_back(row);
        }
        auto const fitted = fit_section(section, knobs, kept, seconds_of);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            if (rows[i].shape % folds == fold) times[i] = seconds_of(fitted, rows[i].kernel);
        }
    }
    return times;
}

/// The rows of one kernel kind; their shapes numbered in ascending order.
template <class Kernel>
std::vector<Row<Kernel>> rows_of(std::vector<KernelSample> const& samples) {
    auto const shape_of = [](Kernel kernel) {
        kernel.precision = Precision::bf16;
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
                        static_cast<std::size_t>(std::distance(shapes.begin(), place))});
    }
    return rows;
}

/// The values that one member takes, ascending, as a profile's grid.
template <class Kernel, class Value_>
Value grid_leaf(std::vector<Row<Kernel>> const& rows, Value_ const& value_of) {
    std::set<std::int64_t> points;
    for (auto const& row : rows) points.insert(value_of(row.kernel));
    std::vector<std::string> texts;
    for (auto const point : points) texts.push_back(std::to_string(point));
    return leaf_list(texts, "derived: the measured shapes");
}

/// Writes the knobs' values.
template <class Section>
void put_knobs(Value& map,
               Section section,
               std::vector<Knob<Section>> const& knobs,
               std::string const& source) {
    for (auto const& knob : knobs) {
        put(map, knob.key, leaf(format_quantity(knob.at(section), knob.dimension), source));
    }
}

/// Fails unless there are enough rows to fit so many constants.
void expect_enough(std::string const& section,
                   std::string const& origin,
                   std::size_t rows,
                   std::size_t parameters);

/// "fitted: 600 bf16 rows of gemm-h100.csv, median error 3.3 %, worst 31 % at m 1, n 1024, k 4096"
std::string source_text(SectionFit const& fit, std::string const& origin);

}  // namespace nvl72::section_fit
