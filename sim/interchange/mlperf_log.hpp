#pragma once

#include "sim/interchange/foreign_job.hpp"

namespace nvl72 {

/// What a result log of MLPerf Training says of its run.
struct MlperfLog {
    ForeignSetting benchmark;              ///< submission_benchmark
    std::vector<ForeignSetting> settings;  ///< by Megatron's names: global_batch_size, seq_length
    std::vector<double> steps_s;           ///< of training steps, in the log's order
    int unreadable = 0;                    ///< lines that are no JSON
};

/// Reads the `:::MLLOG {...}` lines of a text, wherever in the line they begin.
MlperfLog read_mlperf_log(std::string_view text, std::string const& file);

}  // namespace nvl72
