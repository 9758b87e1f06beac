#pragma once

#include "sim/interchange/csv.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// One training run of a published or own table, as written; what a cell leaves blank is empty
/// here.
struct MeasuredTraining {
    std::string source;  ///< file
    int line = 0;
    std::string unreadable;  ///< what is wrong with a cell; then those after it are missing too
    std::string software;    ///< that the table's kind implies
    std::string release;     ///< "26.06", or the round of a benchmark
    bool release_missing = false;  ///< tables of its kind tell it, and this row does not
    std::string gpu, model, precision, note, task;  ///< in the table's words
    std::string aside;                              ///< why it is not to be scored; "": it is
    std::string schedule;   ///< "", or as its software calls it: "1F1B", "DualPipe"
    std::string recompute;  ///< "", "full", "selective"
    std::optional<std::int64_t> gpus, sequence;
    std::optional<std::int64_t> global_batch;   ///< sequences
    std::optional<std::int64_t> local_batch;    ///< sequences a data-parallel rank
    std::optional<std::int64_t> micro_batch;    ///< sequences
    std::optional<std::int64_t> micro_batches;  ///< of a step and data-parallel rank
    std::optional<std::int64_t> tp, pp, cp, vp, ep, fsdp;
    bool compiled = true;     ///< kernels fused and launches few
    bool async_tp = true;     ///< tensor-parallel collectives under their GEMM
    bool step_asked = false;  ///< the table's figure is a step's time, not a rate
    std::optional<double> tokens_per_s_per_gpu, step_s, memory_gib;  ///< measured
};

/// Has the columns of a table of training runs: ours (with its software), Megatron-Bridge's
/// performance summaries, MLPerf result logs, or TorchTitan's benchmarks.
bool is_training_table(CsvTable const& table);

/// Rows in order; one with a cell that is no number says so and leaves the others alone.
std::vector<MeasuredTraining> read_training_table(CsvTable const& table);

}  // namespace nvl72
