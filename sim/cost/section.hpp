#pragma once

#include "sim/cost/query.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// A time that is fitted and multiplied before the one rounding to picoseconds.
using Seconds = Quantity<struct SecondsTag, double>;
template <>
struct ValueType<Seconds> : RealQuantityType<Seconds, Dimension::seconds> {};

/// How hot the GPU runs: alone for a moment, as the kernel tables were measured, or for hours.
enum class Load : std::uint8_t { burst, sustained };

/// What every section of a calibration profile shares.
namespace section {

/// The measured points of one axis, ascending.
using Grid = std::vector<std::int64_t>;

/// A query's position on one axis of a section's grid.
struct AxisPoint {
    std::string_view axis;
    std::int64_t value;
    Grid const* grid;
};

/// On-grid, interpolated or extrapolated ("gemm m above 16384, n below 1024"); datasheet when
/// `scaled` says from what the section was scaled.
Basis basis_of(std::string_view name,
               std::vector<AxisPoint> const& points,
               std::string const& scaled);

/// Seconds split as a Cost splits them: what does not scale with the work, and what does.
struct Time {
    double latency = 0;
    double rest = 0;
};

/// The one rounding.
Cost rounded(Time time, Basis basis);

/// Fails at `place` unless `value` is a positive finite number.
void check_positive(Place const& place, std::string_view key, double value);

/// Fails at `place` unless the grid ascends and holds something.
void check_grid(Place const& place, std::string_view key, Grid const& grid);

}  // namespace section

}  // namespace nvl72
