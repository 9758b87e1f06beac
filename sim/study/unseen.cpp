#include "sim/study/unseen.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace nvl72 {

namespace {

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[(values.size() - 1) / 2];
}

constexpr std::size_t rows_least = 19;  // two of them lie beyond each end

constexpr double normal_90 = 1.2816;  // the normal's 90th percentile

/// Student's 90th percentile of `count` looks at a spread around a known middle, by Cornish and
/// Fisher's expansion around the normal's.
double student_90(std::size_t count) {
    constexpr double z = normal_90;
    return z + (z * z * z + z) / (4 * static_cast<double>(count));
}

/// Student's interval around 1, with the rows' root mean square.
Spread few_rows_spread(std::vector<UnseenRow> const& rows) {
    double squares = 0;
    for (auto const& row : rows) {
        double const log = std::log(row.measured / row.predicted);
        squares += log * log;
    }
    double const side =
        student_90(rows.size()) * std::sqrt(squares / static_cast<double>(rows.size()));
    return {std::exp(-side), std::exp(side)};
}

Spread of_rows(std::vector<UnseenRow> const& rows) {
    if (rows.size() < rows_least) return few_rows_spread(rows);
    std::vector<double> ratios;
    for (auto const& row : rows) ratios.push_back(row.measured / row.predicted);
    std::ranges::sort(ratios);
    // A new row falls below the k-th of n with probability k / (n + 1).
    auto const below = (ratios.size() + 1) / 10;
    return {ratios[below - 1], ratios[ratios.size() - below]};
}

/// Around 1, as far as the rows' 80th percentile of distances by weight, wider as Student's
/// interval of so many groups is than the normal's: rows of a group err alike, and their sign tells
/// nothing.
Spread of_groups(std::vector<UnseenRow> const& rows, std::size_t groups) {
    std::vector<std::pair<double, double>> distances;
    double weight = 0;
    for (auto const& row : rows) {
        distances.emplace_back(std::abs(std::log(row.measured / row.predicted)), row.weight);
        weight += row.weight;
    }
    std::ranges::sort(distances);
    // A new row lies within the k-th of n distances with probability k / (n + 1).
    constexpr double rounding = 1e-9;
    auto const count = static_cast<double>(rows.size());
    double const wanted = std::floor((count + 1) * 4 / 5 + rounding) / count * weight;
    double most = distances.front().first, sum = 0;
    for (auto const& [distance, own] : distances) {
        if (sum + rounding * weight >= wanted) break;
        sum += own;
        most = distance;
    }
    double const side = most * student_90(groups) / normal_90;
    return {std::exp(-side), std::exp(side)};
}

/// Numbers of the groups; none where all rows are of one.
std::set<std::size_t> groups_of(std::vector<UnseenRow> const& rows) {
    std::set<std::size_t> groups;
    for (auto const& row : rows) groups.insert(row.group);
    if (groups.size() == 1) groups.clear();
    return groups;
}

}  // namespace

Spread spread_of(std::vector<UnseenRow> const& rows) {
    NVL72_EXPECT(!rows.empty(), "rows to take a spread of");
    auto const groups = groups_of(rows).size();
    return groups == 0 ? of_rows(rows) : of_groups(rows, groups);
}

Spread widened(Spread fit, double between) {
    double const more = std::log(between);
    auto const moved = [&](double end, double outward) {
        double const distance = outward * std::log(end);
        // An end on the wrong side of 1 moves by all of `between`.
        return std::exp(outward * (distance > 0 ? std::hypot(distance, more) : distance + more));
    };
    return {moved(fit.low, -1), moved(fit.high, 1)};
}

double between_passes(std::vector<double> over_quickest) {
    if (over_quickest.empty()) return 1;
    std::ranges::sort(over_quickest);
    // A new one lies below the k-th of n with probability k / (n + 1).
    auto const most = std::max<std::size_t>(1, (over_quickest.size() + 1) * 4 / 5) - 1;
    return over_quickest[most];
}

void Coverage::add(Coverage const& other) {
    judged += other.judged;
    covered += other.covered;
    weight += other.weight;
    covered_weight += other.covered_weight;
    widths.insert(widths.end(), other.widths.begin(), other.widths.end());
    errors.insert(errors.end(), other.errors.begin(), other.errors.end());
}

double Coverage::share() const {
    NVL72_EXPECT(judged > 0, "rows to judge");
    return covered_weight / weight;
}

double Coverage::error_median() const {
    NVL72_EXPECT(judged > 0, "rows to judge");
    return median(errors);
}

double Coverage::width_over_error() const {
    double const error = error_median();
    return error > 0 ? median(widths) / error : 0;
}

void weigh_groups_alike(std::vector<UnseenRow>& rows) {
    std::map<std::size_t, std::size_t> sizes;
    for (auto const& row : rows) ++sizes[row.group];
    auto const mean = static_cast<double>(rows.size()) / static_cast<double>(sizes.size());
    for (auto& row : rows) row.weight = mean / static_cast<double>(sizes.at(row.group));
}

Coverage coverage_of(std::vector<UnseenRow> const& rows) {
    bool const grouped = !groups_of(rows).empty();
    auto const fold_of = [&](UnseenRow const& row) { return grouped ? row.group : row.fold; };
    std::map<std::size_t, std::optional<Spread>> by_fold;
    for (auto const& row : rows) by_fold[fold_of(row)];
    for (auto& fold : by_fold) {
        std::vector<UnseenRow> others;
        for (auto const& row : rows) {
            if (fold_of(row) != fold.first) others.push_back(row);
        }
        if (!others.empty()) fold.second = spread_of(others);
    }
    Coverage coverage;
    for (auto const& row : rows) {
        auto const& spread = by_fold[fold_of(row)];
        if (!spread) continue;
        double const ratio = row.measured / row.predicted;
        bool const inside = spread->low <= ratio && ratio <= spread->high;
        coverage.covered += inside ? 1 : 0;
        coverage.covered_weight += inside ? row.weight : 0;
        ++coverage.judged;
        coverage.weight += row.weight;
        coverage.widths.push_back(spread->high - spread->low);
        coverage.errors.push_back(std::abs(row.predicted / row.measured - 1));
    }
    return coverage;
}

}  // namespace nvl72
