#include "sim/study/unseen.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

namespace nvl72 {

namespace {

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[(values.size() - 1) / 2];
}

constexpr std::size_t rows_least = 19;  // two of them lie beyond each end

Spread few_rows_spread(std::vector<UnseenRow> const& rows) {
    double squares = 0;
    for (auto const& row : rows) {
        double const log = std::log(row.measured / row.predicted);
        squares += log * log;
    }
    auto const n = static_cast<double>(rows.size());
    // Cornish and Fisher's expansion of Student's 90th percentile around the normal's.
    constexpr double z = 1.2816;
    double const t = z + (z * z * z + z) / (4 * n);
    double const side = t * std::sqrt(squares / n * (1 + 1 / n));
    return {std::exp(-side), std::exp(side)};
}

}  // namespace

Spread spread_of(std::vector<UnseenRow> const& rows) {
    NVL72_EXPECT(!rows.empty(), "rows to take a spread of");
    if (rows.size() < rows_least) return few_rows_spread(rows);
    std::vector<double> ratios;
    for (auto const& row : rows) ratios.push_back(row.measured / row.predicted);
    std::ranges::sort(ratios);
    // A new row falls below the k-th of n with probability k / (n + 1).
    auto const below = (ratios.size() + 1) / 10;
    return {ratios[below - 1], ratios[ratios.size() - below]};
}

void Coverage::add(Coverage const& other) {
    judged += other.judged;
    covered += other.covered;
    widths.insert(widths.end(), other.widths.begin(), other.widths.end());
    errors.insert(errors.end(), other.errors.begin(), other.errors.end());
}

double Coverage::share() const {
    NVL72_EXPECT(judged > 0, "rows to judge");
    return static_cast<double>(covered) / static_cast<double>(judged);
}

double Coverage::error_median() const {
    NVL72_EXPECT(judged > 0, "rows to judge");
    return median(errors);
}

double Coverage::width_over_error() const {
    double const error = error_median();
    return error > 0 ? median(widths) / error : 0;
}

Coverage coverage_of(std::vector<UnseenRow> const& rows) {
    std::map<std::size_t, std::optional<Spread>> by_fold;
    for (auto const& row : rows) by_fold[row.fold];
    for (auto& fold : by_fold) {
        std::vector<UnseenRow> others;
        for (auto const& row : rows) {
            if (row.fold != fold.first) others.push_back(row);
        }
        if (!others.empty()) fold.second = spread_of(others);
    }
    Coverage coverage;
    for (auto const& row : rows) {
        auto const& spread = by_fold[row.fold];
        if (!spread) continue;
        double const ratio = row.measured / row.predicted;
        coverage.covered += spread->low <= ratio && ratio <= spread->high ? 1 : 0;
        ++coverage.judged;
        coverage.widths.push_back(spread->high - spread->low);
        coverage.errors.push_back(std::abs(row.predicted / row.measured - 1));
    }
    return coverage;
}

}  // namespace nvl72
