#pragma once

#include "sim/config/fields.hpp"
#include "sim/cost/query.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nvl72 {

/// Times between which 80 % of measurements lie, as factors of the predicted time. {1, 1}: nothing
/// is known, and no interval is printed.
struct Spread {
    double low = 1, high = 1;
    [[nodiscard]] bool known() const { return low < high; }
};

/// Independent causes: their distances from 1 add as squares, in logarithms.
Spread together(Spread a, Spread b);

/// How a part was fitted, and how well: errors are of predicted over measured, absolute.
struct FitRecord {
    std::int64_t rows = 0, constants = 0;
    double median = 0, worst = 0;
};
std::vector<Field<FitRecord>> const& fields_of(FitRecord const*);

/// Where measurements lie around one fitted part: measured over predicted, {10th, 90th} percentile,
/// of rows that the fit had not seen.
struct SpreadRow {
    Place place;
    std::vector<double> inside;   ///< within the measured sizes
    std::vector<double> outside;  ///< beyond them; empty: as inside, the distance from 1 doubled
    std::optional<FitRecord> fit{};
    /// Of training: parameters, in billions, of the models whose runs it is of. Another model's lie
    /// as `outside`.
    std::vector<double> models{};
    bool inherited = false;  ///< of another GPU's file, which this one's is scaled from
};

/// By the fitted part: "gemm bf16", "collectives ring-simple across", "training dense".
using SpreadTable = std::vector<std::pair<std::string, SpreadRow>>;

std::vector<Field<SpreadRow>> const& fields_of(SpreadRow const*);
void check(SpreadTable const& table);

/// Name of the fitted part that prices a query.
std::string part_of(Query const& query);

/// The spread of a part's times on a basis: on-grid and interpolated times lie as the row's inside,
/// extrapolated ones as its outside; a datasheet's are wider by the row "datasheet". A part without
/// a row takes the widest row of its section; without any, nothing is known.
Spread spread_at(SpreadTable const& table, std::string_view part, BasisKind basis);

/// The spread of training steps ("training moe") of a model with so many `parameters`. Where rows
/// of the model, its software (`known`) and its GPU were fitted to, it is the row's inside, that
/// of layouts left out; else the outside, that of models and systems left out; on a GPU
/// whose kernels are scaled by the `datasheet` and that has no rows of its own, wider by that.
Spread training_spread(
    SpreadTable const& table, std::string_view part, double parameters, bool known, bool datasheet);

}  // namespace nvl72
