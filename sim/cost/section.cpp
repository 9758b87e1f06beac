#include "sim/cost/section.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace nvl72::section {

namespace {

Place below(Place place, std::string_view key) {
    place.key = place.key.empty() ? std::string(key) : fmt::format("{}.{}", place.key, key);
    return place;
}

}  // namespace

Basis basis_of(std::string_view name,
               std::vector<AxisPoint> const& points,
               std::string const& scaled) {
    std::string outside;
    bool on_grid = true;
    for (auto const& point : points) {
        Grid const& grid = *point.grid;
        bool const under = point.value < grid.front();
        bool const over = point.value > grid.back();
        if (under || over) {
            outside += fmt::format("{}{} {} {}", outside.empty() ? "" : ", ", point.axis,
                                   under ? "below" : "above", under ? grid.front() : grid.back());
        }
        on_grid = on_grid && std::ranges::binary_search(grid, point.value);
    }
    if (!scaled.empty())
        return {BasisKind::datasheet, fmt::format("{} scaled from {}", name, scaled)};
    if (!outside.empty()) return {BasisKind::extrapolated, fmt::format("{} {}", name, outside)};
    return {on_grid ? BasisKind::on_grid : BasisKind::interpolated, ""};
}

Cost rounded(Time time, Basis basis) {
    NVL72_EXPECT(std::isfinite(time.rest) && time.latency >= 0 && time.rest > 0,
                 "a kernel takes a positive, finite time");
    return {from_seconds(time.latency + time.rest), from_seconds(time.rest), std::move(basis)};
}

void check_positive(Place const& place, std::string_view key, double value) {
    if (!std::isfinite(value) || value <= 0) {
        fail(below(place, key), fmt::format("{}", value), "more than 0");
    }
}

void check_grid(Place const& place, std::string_view key, Grid const& grid) {
    auto const place_of_key = below(place, key);
    if (grid.empty()) fail(place_of_key, "an empty list", "the measured points of this axis");
    if (grid.front() < 1)
        fail(place_of_key, fmt::format("{}", grid.front()), "points of at least 1");
    if (std::ranges::adjacent_find(grid, std::greater_equal<>()) != grid.end()) {
        fail(place_of_key, "points out of order", "ascending points, each once");
    }
}

}  // namespace nvl72::section
