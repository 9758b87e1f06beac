#include "sim/study/fit.hpp"

#include "sim/base/error.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

namespace nvl72 {

namespace {

using Eigen::ArrayXd;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double residual_scale = 0.1;  // where the loss turns from square to linear
constexpr double derivative_step = 1e-4;
constexpr int iterations_max = 100;
constexpr int damping_tries = 12;
constexpr double loss_drop_least = 1e-7;
constexpr int quiet_iterations = 3;  // this many small drops in a row end the fit

/// log(predicted / measured) of every row.
class Residuals {
public:
    Residuals(std::vector<double> const& measured, Predict const& predict)
        : measured_(measured), predict_(predict) {}

    VectorXd operator()(VectorXd const& logs) const {
        ArrayXd const values = logs.array().exp();
        auto const predicted = predict_({values.data(), values.data() + values.size()});
        NVL72_EXPECT(predicted.size() == measured_.size(), "a prediction for every row");
        VectorXd out(static_cast<Eigen::Index>(measured_.size()));
        for (std::size_t i = 0; i < measured_.size(); ++i) {
            NVL72_EXPECT(predicted[i] > 0 && std::isfinite(predicted[i]), "times are positive");
            out[static_cast<Eigen::Index>(i)] = std::log(predicted[i] / measured_[i]);
        }
        return out;
    }

private:
    std::vector<double> const& measured_;
    Predict const& predict_;
};

double loss_of(VectorXd const& residuals) {
    ArrayXd const scaled = residuals.array() / residual_scale;
    return ((1 + scaled.square()).sqrt() - 1).sum() * 2 * residual_scale * residual_scale;
}

MatrixXd jacobian(Residuals const& residuals,
                  VectorXd const& at,
                  VectorXd const& here,
                  VectorXd const& high) {
    MatrixXd columns(here.size(), at.size());
    for (Eigen::Index j = 0; j < at.size(); ++j) {
        double const step = at[j] + derivative_step <= high[j] ? derivative_step : -derivative_step;
        VectorXd moved = at;
        moved[j] += step;
        columns.col(j) = (residuals(moved) - here) / step;
    }
    return columns;
}

/// The damped step over the parameters not held at a bound.
VectorXd step_of(MatrixXd normal,
                 VectorXd const& gradient,
                 std::vector<bool> const& held,
                 double damping) {
    double const floor = std::max(1e-6 * normal.diagonal().maxCoeff(), 1e-18);
    VectorXd right = -gradient;
    for (Eigen::Index j = 0; j < gradient.size(); ++j) {
        normal(j, j) += damping * std::max(normal(j, j), floor);
        if (!held[static_cast<std::size_t>(j)]) continue;
        normal.row(j).setZero();
        normal.col(j).setZero();
        normal(j, j) = 1;
        right[j] = 0;
    }
    VectorXd const step = normal.ldlt().solve(right);
    return step.cwiseMax(-1.0).cwiseMin(1.0);
}

}  // namespace

Fit fit_log_times(std::vector<FitParameter> const& parameters,
                  std::vector<double> const& measured,
                  Predict const& predict) {
    auto const size = static_cast<Eigen::Index>(parameters.size());
    VectorXd at(size), low(size), high(size);
    for (Eigen::Index j = 0; j < size; ++j) {
        auto const& parameter = parameters[static_cast<std::size_t>(j)];
        NVL72_EXPECT(0 < parameter.low && parameter.low <= parameter.start &&
                         parameter.start <= parameter.high,
                     "bounds hold the start of " + parameter.name);
        at[j] = std::log(parameter.start);
        low[j] = std::log(parameter.low);
        high[j] = std::log(parameter.high);
    }
    Residuals const residuals(measured, predict);
    VectorXd here = residuals(at);
    double loss = loss_of(here);
    double damping = 1e-2;
    int iteration = 0;
    for (int quiet = 0; iteration < iterations_max && quiet < quiet_iterations; ++iteration) {
        MatrixXd const slope = jacobian(residuals, at, here, high);
        VectorXd const weight = (1 + (here.array() / residual_scale).square()).sqrt().inverse();
        MatrixXd const normal = slope.transpose() * weight.asDiagonal() * slope;
        VectorXd const gradient = slope.transpose() * (weight.array() * here.array()).matrix();
        std::vector<bool> held;
        for (Eigen::Index j = 0; j < size; ++j) {
            held.push_back((at[j] <= low[j] && gradient[j] > 0) ||
                           (at[j] >= high[j] && gradient[j] < 0));
        }
        double const before = loss;
        for (int tries = 0; tries < damping_tries && loss >= before; ++tries) {
            VectorXd const next =
                (at + step_of(normal, gradient, held, damping)).cwiseMax(low).cwiseMin(high);
            VectorXd const there = residuals(next);
            double const loss_there = loss_of(there);
            if (loss_there < loss) {
                at = next;
                here = there;
                loss = loss_there;
                damping = std::max(damping / 5, 1e-9);
            } else {
                damping *= 4;
            }
        }
        if (loss >= before) break;  // no damping helps: at a kink or at the optimum
        quiet = (before - loss) / before < loss_drop_least ? quiet + 1 : 0;
    }
    ArrayXd const values = at.array().exp();
    return {{values.data(), values.data() + values.size()}, loss, iteration};
}

FitErrors errors_of(std::vector<double> const& measured, std::vector<double> const& predicted) {
    NVL72_EXPECT(!measured.empty() && measured.size() == predicted.size(), "rows to judge");
    FitErrors errors;
    std::vector<double> sizes;
    for (std::size_t i = 0; i < measured.size(); ++i) {
        double const size = std::abs(predicted[i] / measured[i] - 1);
        if (size > errors.worst) {
            errors.worst = size;
            errors.worst_row = i;
        }
        sizes.push_back(size);
    }
    std::ranges::sort(sizes);
    errors.median = sizes[(sizes.size() - 1) / 2];
    errors.p95 = sizes[(sizes.size() - 1) * 95 / 100];
    return errors;
}

}  // namespace nvl72
