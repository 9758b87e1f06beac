#pragma once

#include "kernels/measure/rows.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace nvl72::measure {

/// Something to time. `run(iterations)` does the operation that often and returns seconds per
/// operation; it throws CaseUnavailable when this machine cannot do it.
struct Case {
    CaseRow row;
    std::function<double(std::int64_t iterations)> run;
};

/// How cases are timed (`nvl72-measure --help` names the options).
struct Method {
    std::int64_t blocks = 5;
    std::int64_t warmup = 20;     ///< blocks at most, before the first timed one
    std::int64_t iterations = 0;  ///< per block; 0: as many as last `block_s`
    std::uint64_t seed = 1;       ///< of the order
    double block_s = 0.005;       ///< aimed at when iterations is 0
    double stable = 0.02;         ///< change of block medians that ends the warm-up
};

/// Middle of the sorted values, mean of the two middle ones when their number is even. Not of none.
double median(std::vector<double> values);

/// 1.4826 x the median distance from the median: a Gaussian's standard deviation, deaf to outliers.
double scaled_deviation(std::span<double const> values);

/// Which values lie further than 5 scaled deviations, and than 5 %, from the median.
std::vector<bool> outliers(std::span<double const> values);

/// Runs `block` (returns a time) until the medians of two successive groups of three differ by
/// less than `stable`, relative; at most `most` times. Returns how often it ran.
std::int64_t warm_up(std::function<double()> const& block, double stable, std::int64_t most);

/// Iterations that last about `block_s` when one takes `once_s`: 1 to 1000.
std::int64_t iterations_for(double once_s, double block_s);

/// How much the speed of the machine changed while a batch was timed.
struct Drift {
    std::string batch;
    double share = 0;  ///< slowest pass over the quickest, less 1
};

/// A pass is one block of every case; how slow it was is the median, over the cases, of its time
/// over the case's quickest. Returns the slowest pass over the quickest, less 1; none where there
/// are fewer than two passes, or fewer than eight cases, of which no pass is typical.
std::optional<double> drift_of(std::span<CaseTimes const> cases);

/// The largest of them; none of no batch.
std::optional<Drift> worst_of(std::span<Drift const> drifts);

/// What one run of the program shares between its batches.
struct Session {
    std::int64_t order = 0;         ///< next running number
    std::function<bool()> stopped;  ///< a signal came; may be empty
    std::vector<SkippedRow> skipped = {};
    std::vector<Drift> drifts = {};  ///< of the batches large enough to tell
    std::function<void(std::size_t done, std::size_t all)>
        progress;  ///< timed blocks; may be empty
};

/// Times all cases: each warmed up, then `blocks` rounds over all of them, each round in an order
/// of its own drawn from the seed. Unavailable ones go to session.skipped under `suite`. Throws
/// Interrupted when session.stopped says so, std::runtime_error for a time that is not positive.
std::vector<CaseTimes> time_cases(std::string const& suite,
                                  std::vector<Case> const& cases,
                                  Method const& method,
                                  Session& session);

}  // namespace nvl72::measure
