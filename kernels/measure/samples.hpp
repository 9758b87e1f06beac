#pragma once

#include "kernels/measure/machine.hpp"
#include "kernels/measure/method.hpp"
#include "kernels/measure/rows.hpp"

#include <string>
#include <vector>

namespace nvl72::measure {

/// All that a samples file holds (kernels/SAMPLES.md).
struct Samples {
    Machine machine;
    Method method;
    std::string command;
    std::vector<CaseTimes> cases;
    std::vector<ClockRow> clocks;
    std::vector<SkippedRow> skipped;
    Drift drift = {};  ///< the worst batch; "" where none could tell
};

/// Throws InputError unless a file could be written at `path`: asked before hours of measuring.
void check_writable(std::string const& path);

/// Writes `path`, whole or not at all: beside it first, then renamed. Throws InputError when the
/// place does not take it, std::runtime_error when there is nothing to write.
void write_samples(std::string const& path, Samples const& samples);

}  // namespace nvl72::measure
