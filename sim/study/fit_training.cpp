#include "sim/study/fit_training.hpp"

#include "sim/base/error.hpp"
#include "sim/config/write.hpp"

#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <map>

namespace nvl72 {

namespace {

// The factor in hundredths: three significant digits between 1 and 2.
constexpr int least = 100;
constexpr int most = 200;

/// Tokens/s/GPU of all runs by factor, each factor simulated once.
class Predictions {
public:
    explicit Predictions(std::vector<LoadedPoint> runs) : runs_(std::move(runs)) {
        published_.resize(runs_.size());
    }

    std::vector<double> const& at(int hundredths) {
        auto const known = by_factor_.find(hundredths);
        if (known != by_factor_.end()) return known->second;
        std::vector<double> rates;
        for (std::size_t i = 0; i < runs_.size(); ++i) {
            runs_[i].profile.sustained = hundredths / 100.0;
            SweepRow const row = simulate_point(runs_[i], 0).row;
            NVL72_EXPECT(row.published_tokens_per_s_per_gpu > 0, "every run has a published rate");
            published_[i] = row.published_tokens_per_s_per_gpu;
            rates.push_back(row.tokens_per_s_per_gpu);
        }
        return by_factor_.emplace(hundredths, std::move(rates)).first->second;
    }
    /// Known once a factor was asked for.
    [[nodiscard]] std::vector<double> const& published() const { return published_; }

private:
    std::vector<LoadedPoint> runs_;
    std::vector<double> published_;
    std::map<int, std::vector<double>> by_factor_;
};

/// Sum of squared log errors, run `without` aside.
double loss_of(Predictions& predictions, int hundredths, std::size_t without) {
    auto const& rates = predictions.at(hundredths);
    double sum = 0;
    for (std::size_t i = 0; i < rates.size(); ++i) {
        double const error = std::log(rates[i] / predictions.published()[i]);
        if (i != without) sum += error * error;
    }
    return sum;
}

/// The lowest point of a function with one valley: golden section over whole numbers.
int lowest(int low, int high, std::function<double(int)> const& value_at) {
    while (high - low > 4) {  // below, the two points inside would be one
        int const step = static_cast<int>(std::lround(0.381966 * (high - low)));
        if (value_at(low + step) <= value_at(high - step)) {
            high -= step;
        } else {
            low += step;
        }
    }
    int best = low;
    for (int i = low + 1; i <= high; ++i) {
        if (value_at(i) < value_at(best)) best = i;
    }
    return best;
}

int best_factor(Predictions& predictions, std::size_t without) {
    return lowest(least, most, [&](int at) { return loss_of(predictions, at, without); });
}

}  // namespace

FittedTraining fit_sustained(std::vector<LoadedPoint> const& runs, std::string const& origin) {
    NVL72_EXPECT(runs.size() >= 2, "runs to fit to, one of them left out");
    Predictions predictions(runs);
    std::size_t const all = runs.size();
    int const best = best_factor(predictions, all);
    FittedTraining fitted;
    SectionFit& fit = fitted.fit;
    fit.section = "training";
    fit.precision = "dense";
    fit.origin = origin;
    fit.rows = runs.size();
    fit.parameters = 1;
    fit.in_sample = errors_of(predictions.published(), predictions.at(best));
    LoadedPoint const& worst = runs[fit.in_sample.worst_row];
    fit.worst_at = fmt::format("{}, {} GPUs", worst.system.name, worst.parallel.gpus);
    double const rms =
        std::sqrt(loss_of(predictions, best, all) / static_cast<double>(runs.size()));
    auto const source = fmt::format(
        "fitted: least squares of log throughput over {} published dense runs ({}), RMS error "
        "{:.1f} %, worst {:.1f} %",
        fit.rows, origin, 100 * rms, 100 * fit.in_sample.worst);
    fitted.yaml = leaf(fmt::format("{:.2f}", best / 100.0), source);
    std::vector<double> others;
    std::vector<std::string> moves;
    for (std::size_t i = 0; i < all; ++i) {
        int const refit = best_factor(predictions, i);
        moves.push_back(fmt::format("{:.4f}", std::log(static_cast<double>(refit) / best)));
        others.push_back(predictions.at(refit)[i]);
        // As times, which are what spreads are of.
        fit.inside.push_back({1 / predictions.published()[i], 1 / others[i], i});
    }
    fit.left_out = errors_of(predictions.published(), others);
    Value constants;
    put(constants, "sustained",
        leaf_list(moves, fmt::format("derived: logarithm of the factor without one run over that "
                                     "with all, {} refits",
                                     all)));
    put(fitted.draws, "training", std::move(constants));
    return fitted;
}

}  // namespace nvl72
