#pragma once

#include "sim/config/library.hpp"
#include "sim/cost/query.hpp"
#include "sim/interchange/training_table.hpp"
#include "sim/study/experiment.hpp"

#include <cstdint>
#include <set>
#include <string>
#include <tuple>

namespace nvl72 {

/// What the shipped profiles were fitted to: rows and published runs of configs/measurements.
class SeenRows {
public:
    explicit SeenRows(Library const& library);

    /// A measured time of a query on a GPU, whichever file shows it.
    [[nodiscard]] bool holds(std::string const& gpu, Query const& query, double seconds) const;
    /// A published run, whichever experiment shows it: its job and its figure.
    [[nodiscard]] bool holds(Point const& run) const;
    [[nodiscard]] bool holds(MeasuredTraining const& run) const;

private:
    using Row = std::tuple<std::string, Query, std::int64_t>;
    /// GPUs, sequences a step (0: not told) and the figure, in thousandths.
    using Run = std::tuple<std::int64_t, std::int64_t, std::int64_t>;
    static Row row_of(std::string const& gpu, Query const& query, double seconds);
    static Run run_of(Point const& point);
    static Run run_of(MeasuredTraining const& run);

    std::set<Row> rows_;
    std::set<Run> runs_;
};

}  // namespace nvl72
