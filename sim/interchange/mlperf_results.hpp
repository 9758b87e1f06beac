#pragma once

#include "sim/interchange/foreign_job.hpp"

#include <map>

namespace nvl72 {

/// True for a config_*.sh of NVIDIA's MLPerf submissions, which others build on.
bool is_mlperf_config(std::string_view text);
/// True for a log with `:::MLLOG` lines.
bool is_mlperf_log(std::string_view text);

/// A run of MLPerf Training from a folder with its parts: result logs (`:::MLLOG` lines), the
/// config_*.sh it was started with, with the files that sources, and the system's JSON. A folder of
/// a submission (.../results/SYSTEM/BENCHMARK) finds the others where the rules put them
/// (../../../systems, ../../../benchmarks). A lone config is a job without a measurement.
ForeignJob read_mlperf_results(std::string const& path,
                               std::map<std::string, std::string> const& environment);

}  // namespace nvl72
