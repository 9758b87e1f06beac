#pragma once

#include "sim/base/table.hpp"
#include "sim/config/library.hpp"
#include "sim/study/point.hpp"
#include "sim/trace/result_file.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace nvl72 {

/// What a step gains or loses by one thing of its cluster or software, all else as it is.
struct Sensitivity {
    std::int64_t point = 0;  ///< row of /sweep
    std::string system;
    std::string what;       ///< "fp8 tensor-core rate", "one NVLink plane lost"
    double elasticity = 0;  ///< d log step / d log resource by Replay; NaN: nothing that comes in %
    double replayed = 0;    ///< step with 10 % more of it over the step, less 1; NaN as above
    double simulated = 0;   ///< the same, simulated again; NaN where it cannot run
    std::string note;       ///< why it cannot run
};

/// Every resource that the step has some of, 10 % more of each, the largest gain first; then what
/// comes whole (a lost plane, half the NICs, another NVLink domain), each simulated again.
/// `progress` is told the finished share.
std::vector<Sensitivity> sensitivities(LoadedPoint const& point,
                                       std::int64_t index,
                                       Library const& library,
                                       std::function<void(double)> const& progress = {});

/// For a person: one system's rows.
Table sensitivity_table(std::vector<Sensitivity> const& rows);

/// "10 % more FP8 GEMM rate: -6.1 %; one NVLink plane lost: +0.9 %": what moves the step most.
std::string sensitivity_sentence(std::vector<Sensitivity> const& rows);

/// /sensitivity of a result file.
ResultTable to_table(std::vector<Sensitivity> const& rows);

}  // namespace nvl72
