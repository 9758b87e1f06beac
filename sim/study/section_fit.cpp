#include "sim/study/section_fit.hpp"

#include <algorithm>
#include <cstdlib>
#include <set>

namespace nvl72::section_fit {

namespace {

/// "; wider by the passes, of which 80 % lie within 1.08 of the quickest"
std::string passes_text(SectionFit const& fit) {
    if (fit.between == 1) return {};
    return fmt::format("; wider by the passes, of which 80 % lie within {:.2f} of the quickest",
                       fit.between);
}

}  // namespace

double to_four_digits(double value) {
    return std::strtod(fmt::format("{:.3e}", value).c_str(), nullptr);
}

FitErrors errors_inside(SectionFit const& fit) {
    std::vector<double> measured, predicted;
    for (auto const& row : fit.inside) {
        measured.push_back(row.measured);
        predicted.push_back(row.predicted);
    }
    return errors_of(measured, predicted);
}

namespace {

bool saw_one_count(SectionFit const& fit) {
    std::set<std::size_t> counts;
    for (auto const& row : fit.outside) counts.insert(row.group);
    return fit.another_count.known() && fit.precision.find(" across") != std::string::npos &&
           counts.size() < 2;
}

}  // namespace

void put_spread(Value& spread, SectionFit const& fit) {
    constexpr std::size_t rows_least = 3;
    if (fit.inside.size() < rows_least && fit.outside.size() < rows_least) return;
    // Beyond the range nothing is surer than inside: the edge left out is one of several sides.
    Spread inside;
    auto const pair = [&inside, &fit](std::vector<UnseenRow> const& rows,
                                      std::string const& source) {
        Spread found = spread_of(rows);
        if (inside.known()) {
            found = {std::min(found.low, inside.low), std::max(found.high, inside.high)};
        }
        inside = found;
        found = widened(found, fit.between);
        constexpr double printed = 0.001;  // a perfect fit keeps a width that its digits show
        if (found.high - found.low < 2 * printed) {
            found.low -= printed;
            found.high += printed;
        }
        return leaf_list({fmt::format("{:.3f}", found.low), fmt::format("{:.3f}", found.high)},
                         source);
    };
    // Few rows, one of them spoilt, give an interval of any width, which tells nothing.
    constexpr double widest = 100;
    for (auto const* rows : {&fit.inside, &fit.outside}) {
        Spread const found = rows->size() >= rows_least ? spread_of(*rows) : Spread{};
        if (found.low < 1 / widest || found.high > widest) return;
    }
    Value row;
    bool const seen = fit.inside.size() >= rows_least;  // else all rows lie beyond what is fitted
    put(row, "inside",
        pair(seen ? fit.inside : fit.outside,
             fmt::format("fitted: measured over predicted of {} rows of {} that the {}, 10th and "
                         "90th percentile{}",
                         (seen ? fit.inside : fit.outside).size(), fit.origin,
                         seen ? "fit had not seen" : "constants were not fitted to",
                         passes_text(fit))));
    if (saw_one_count(fit)) {
        Spread const wider = together(inside, fit.another_count);
        put(row, "outside",
            leaf_list({fmt::format("{:.3f}", wider.low), fmt::format("{:.3f}", wider.high)},
                      fmt::format("derived: the same, and {} to {} of another number of ranks, "
                                  "as the rows are of one",
                                  fit.another_count.low, fit.another_count.high)));
    } else if (seen && fit.outside.size() >= rows_least) {
        put(row, "outside",
            pair(fit.outside, fmt::format("fitted: the same of {} rows beyond the fitted range",
                                          fit.outside.size())));
    }
    if (fit.rows > 0) {
        std::string const source = "derived: by the fit";
        Value record;
        put(record, "rows", leaf(std::to_string(fit.rows), source));
        put(record, "constants", leaf(std::to_string(fit.parameters), source));
        put(record, "median", leaf(fmt::format("{:.4f}", fit.in_sample.median), source));
        put(record, "worst", leaf(fmt::format("{:.4f}", fit.in_sample.worst), source));
        put(row, "fit", std::move(record));
    }
    put(spread, fit.part(), std::move(row));
}

void expect_enough(std::string const& section,
                   std::string const& origin,
                   std::size_t rows,
                   std::size_t parameters) {
    constexpr std::size_t rows_per_parameter = 3;
    if (rows >= rows_per_parameter * parameters) return;
    throw ConfigError(fmt::format("{}: {} {} rows for {} constants (expected at least {})", origin,
                                  rows, section, parameters, rows_per_parameter * parameters));
}

std::string bound_note(double value, double low, double high) {
    constexpr double slack = 1e-3;
    if (value <= low * (1 + slack)) return "; at its lower bound, so not determined";
    if (value >= high * (1 - slack)) return "; at its upper bound, so not determined";
    return {};
}

std::string source_text(SectionFit const& fit) {
    return fmt::format("fitted: {} {} rows of {}, median error {:.1f} %, worst {:.0f} % at {}",
                       fit.rows, fit.precision.empty() ? fit.section : fit.precision, fit.origin,
                       100 * fit.in_sample.median, 100 * fit.in_sample.worst, fit.worst_at);
}

}  // namespace nvl72::section_fit
