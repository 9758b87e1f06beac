#pragma once

#include "sim/cost/spread.hpp"

#include <cstddef>
#include <vector>

namespace nvl72 {

/// A measured time and what a fit that had not seen it predicts.
struct UnseenRow {
    double measured = 0, predicted = 0;  ///< seconds
    std::size_t fold = 0;                ///< rows of one fold were left out together
    std::size_t group = 0;               ///< more than 0: of one number of ranks, which err alike
    double weight = 1;                   ///< where its group is to count as much as others
};

/// Measured over predicted, 10th and 90th percentile. Fewer than 19 rows do not show their tails:
/// theirs is Student's interval around 1 with the rows' root mean square. So is that of rows in
/// groups, which are worth as many looks as there are groups.
Spread spread_of(std::vector<UnseenRow> const& rows);

/// The 80 % interval of what errs by `fit` and, independently, by a factor up to `between` either
/// way: the distances from 1 add as squares, of logarithms.
Spread widened(Spread fit, double between);

/// Factor within which 80 % of a CPU's blocks lie of the quickest of their case; 1 of none.
double between_passes(std::vector<double> over_quickest);

/// How honest such a spread is: each fold's rows against the spread of the other folds; each
/// group's against that of the other groups, where there are several.
struct Coverage {
    std::size_t judged = 0;   ///< rows; 0: all of one fold
    std::size_t covered = 0;  ///< of them inside; 80 % is meant
    double weight = 0, covered_weight = 0;
    std::vector<double> widths;  ///< of the intervals, over the predicted time
    std::vector<double> errors;  ///< absolute

    void add(Coverage const& other);
    /// Of the rows' weight, inside.
    [[nodiscard]] double share() const;
    [[nodiscard]] double error_median() const;
    /// Median width over median error; a Gaussian's is 3.8.
    [[nodiscard]] double width_over_error() const;
};
Coverage coverage_of(std::vector<UnseenRow> const& rows);

/// Gives each group the same weight, all together the number of rows.
void weigh_groups_alike(std::vector<UnseenRow>& rows);

}  // namespace nvl72
