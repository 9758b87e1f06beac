#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

namespace nvl72 {

/// Whole numbers at which costs of kernels are asked for: all to 16, then eight an octave.
class SizeGrid {
public:
    /// Between points `index` and `index + 1`, `part` of the way.
    struct Spot {
        std::size_t index = 0;
        double part = 0;
    };

    static std::int64_t point(std::size_t index) {
        if (index <= exact) return static_cast<std::int64_t>(index);
        return std::llround(exact * std::exp2(static_cast<double>(index - exact) / octave));
    }

    static Spot spot(double x) {
        if (x < exact) {
            auto const low = static_cast<std::size_t>(x);
            return {low, x - static_cast<double>(low)};
        }
        auto index = exact + static_cast<std::size_t>(std::log2(x / exact) * octave);
        if (static_cast<double>(point(index)) > x) --index;
        if (static_cast<double>(point(index + 1)) <= x) ++index;
        auto const low = static_cast<double>(point(index));
        auto const high = static_cast<double>(point(index + 1));
        return {index, (x - low) / (high - low)};
    }

private:
    static constexpr std::size_t exact = 16;
    static constexpr double octave = 8;
};

/// A function of a size, 0 at 0, asked for once at each point of the grid and straight between.
class Curve {
public:
    using Function = std::function<double(std::int64_t)>;
    explicit Curve(Function function) : function_(std::move(function)) {}

    double operator()(double x) {
        auto const [index, part] = SizeGrid::spot(x);
        double const low = index == 0 ? 0 : at(index);
        return part == 0 ? low : low + part * (at(index + 1) - low);
    }

private:
    double at(std::size_t index) {
        if (index >= values_.size()) {
            values_.resize(index + 1, std::numeric_limits<double>::quiet_NaN());
        }
        double& value = values_[index];
        if (std::isnan(value)) value = function_(SizeGrid::point(index));
        return value;
    }

    Function function_;
    std::vector<double> values_;
};

/// The same of two sizes, neither below 1.
class Surface {
public:
    using Function = std::function<double(std::int64_t, std::int64_t)>;
    explicit Surface(Function function) : function_(std::move(function)) {}

    double operator()(double x, double y) {
        auto const [index, part] = SizeGrid::spot(std::max(1.0, x));
        double const below = std::max(1.0, y);
        double const low = column(index)(below);
        return part == 0 ? low : low + part * (column(index + 1)(below) - low);
    }

private:
    Curve& column(std::size_t index) {
        while (columns_.size() <= index) {
            std::int64_t const x = SizeGrid::point(columns_.size());
            columns_.emplace_back([f = function_, x](std::int64_t y) { return f(x, y); });
        }
        return columns_[index];
    }

    Function function_;
    std::vector<Curve> columns_;
};

}  // namespace nvl72
