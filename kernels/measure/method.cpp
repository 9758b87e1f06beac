#include "kernels/measure/method.hpp"

#include "kernels/measure/errors.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace nvl72::measure {

namespace {

constexpr double gaussian_mad = 1.4826;   // standard deviation / median absolute deviation
constexpr double outlier_deviations = 5;  // one block in two million, if they were Gaussian
constexpr double outlier_share = 0.05;    // blocks that agree this well are never outliers
constexpr std::size_t warmup_group = 3;   // the smallest group whose median forgives one block
constexpr std::int64_t iterations_most = 1000;

void stop_if_asked(Session const& session) {
    if (session.stopped && session.stopped()) throw Interrupted();
}

/// One run, checked: no answer is better than a wrong one.
double timed(Case const& subject, std::int64_t iterations) {
    double const seconds = subject.run(iterations);
    if (!std::isfinite(seconds) || seconds <= 0) {
        throw std::runtime_error(describe(subject.row) + ": time " + std::to_string(seconds) +
                                 " s (expected a positive one; more --iterations may help)");
    }
    return seconds;
}

/// Warms a case up; returns the iterations of its blocks.
std::int64_t prepare(Case const& subject, Method const& method, Session const& session) {
    (void)timed(subject, 1);  // first use sets up connections and pages
    auto const iterations = method.iterations > 0
                                ? method.iterations
                                : iterations_for(timed(subject, 1), method.block_s);
    auto const block = [&] {
        stop_if_asked(session);
        return timed(subject, iterations);
    };
    (void)warm_up(block, method.stable, method.warmup);
    return iterations;
}

void mark_outliers(CaseTimes& times) {
    std::vector<double> seconds;
    seconds.reserve(times.blocks.size());
    for (auto const& block : times.blocks) seconds.push_back(block.time_s);
    auto const far = outliers(seconds);
    for (std::size_t i = 0; i < far.size(); ++i) times.blocks[i].outlier = far[i] ? 1 : 0;
}

}  // namespace

double median(std::vector<double> values) {
    if (values.empty()) throw std::invalid_argument("median of no values");
    std::ranges::sort(values);
    auto const middle = values.size() / 2;
    return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double scaled_deviation(std::span<double const> values) {
    double const centre = median({values.begin(), values.end()});
    std::vector<double> distances;
    distances.reserve(values.size());
    for (double const value : values) distances.push_back(std::abs(value - centre));
    return gaussian_mad * median(std::move(distances));
}

std::vector<bool> outliers(std::span<double const> values) {
    if (values.empty()) return {};
    double const centre = median({values.begin(), values.end()});
    double const limit =
        std::max(outlier_deviations * scaled_deviation(values), outlier_share * std::abs(centre));
    std::vector<bool> far;
    far.reserve(values.size());
    for (double const value : values) far.push_back(std::abs(value - centre) > limit);
    return far;
}

std::int64_t warm_up(std::function<double()> const& block, double stable, std::int64_t most) {
    std::vector<double> group;
    double before = std::numeric_limits<double>::infinity();
    for (std::int64_t ran = 1; ran <= most; ++ran) {
        group.push_back(block());
        if (group.size() < warmup_group) continue;
        double const now = median(std::move(group));
        if (std::abs(now - before) <= stable * before && std::isfinite(before)) return ran;
        before = now;
        group = {};
    }
    return most;
}

std::int64_t iterations_for(double once_s, double block_s) {
    auto const count = std::ceil(block_s / once_s);
    if (!(count > 1)) return 1;
    return count >= static_cast<double>(iterations_most) ? iterations_most
                                                         : static_cast<std::int64_t>(count);
}

std::optional<double> drift_of(std::span<CaseTimes const> cases) {
    constexpr std::size_t cases_least = 8;
    std::vector<std::vector<double>> passes;  // of each, every case's time over its quickest
    for (auto const& one : cases) {
        if (one.blocks.empty()) continue;
        double const best = std::ranges::min(one.blocks, {}, &Timing::time_s).time_s;
        passes.resize(std::max(passes.size(), one.blocks.size()));
        for (std::size_t i = 0; i < one.blocks.size(); ++i) {
            passes[i].push_back(one.blocks[i].time_s / best);
        }
    }
    if (passes.size() < 2 || passes.back().size() < cases_least) return std::nullopt;
    std::vector<double> typical;
    for (auto& pass : passes) typical.push_back(median(std::move(pass)));
    auto const [quickest, slowest] = std::ranges::minmax(typical);
    return slowest / quickest - 1;
}

std::optional<Drift> worst_of(std::span<Drift const> drifts) {
    if (drifts.empty()) return std::nullopt;
    return std::ranges::max(drifts, {}, &Drift::share);
}

std::vector<CaseTimes> time_cases(std::string const& suite,
                                  std::vector<Case> const& cases,
                                  Method const& method,
                                  Session& session) {
    struct Ready {
        Case const* subject;
        std::int64_t iterations;
    };
    std::vector<Ready> ready;
    std::vector<CaseTimes> times;
    std::size_t const all = cases.size() * static_cast<std::size_t>(method.blocks + 1);
    std::size_t done = 0;
    auto const progress = [&] {
        ++done;
        if (session.progress) session.progress(done, all);
    };
    for (auto const& subject : cases) {
        stop_if_asked(session);
        try {
            ready.push_back({&subject, prepare(subject, method, session)});
            times.push_back({subject.row, {}});
        } catch (CaseUnavailable const& why) {
            session.skipped.push_back({suite, describe(subject.row), why.what()});
            done += static_cast<std::size_t>(method.blocks);
        }
        progress();
    }
    std::mt19937_64 random(method.seed);
    std::vector<std::size_t> sequence(ready.size());
    std::iota(sequence.begin(), sequence.end(), std::size_t{0});
    for (std::int64_t block = 0; block < method.blocks; ++block) {
        // Fisher-Yates by hand: std::shuffle differs between standard libraries.
        for (std::size_t i = sequence.size(); i > 1; --i) {
            std::swap(sequence[i - 1], sequence[random() % i]);
        }
        for (auto const i : sequence) {
            stop_if_asked(session);
            auto const& [subject, iterations] = ready[i];
            if (block > 0) (void)timed(*subject, 1);
            times[i].blocks.push_back(
                {block, session.order++, iterations, timed(*subject, iterations), 0});
            progress();
        }
    }
    for (auto& one : times) mark_outliers(one);
    return times;
}

}  // namespace nvl72::measure
