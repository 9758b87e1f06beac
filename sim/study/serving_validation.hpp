#pragma once

#include "sim/study/serving_rows.hpp"
#include "sim/study/validation_row.hpp"

#include <map>
#include <string>
#include <vector>

namespace nvl72 {

/// Rows of tables of served requests beside their predictions.
class ServingValidator {
public:
    ServingValidator(Library const& library, std::vector<std::string> const& calibrations);

    /// A line for each row and metric, in the table's order.
    std::vector<ValidationRow> rows_of(std::string const& path);

private:
    std::vector<ValidationRow> rows_of(MeasuredServing const& run);
    void read_seen();

    Library const& library_;
    ServingPredictor predictor_;
    /// Rows of the shipped tables by what was asked and measured, and why one is not scored.
    std::map<std::string, std::string> seen_;
};

}  // namespace nvl72
