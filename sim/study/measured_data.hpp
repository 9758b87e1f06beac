#pragma once

#include "sim/config/library.hpp"
#include "sim/interchange/kernel_table.hpp"
#include "sim/interchange/log_folder.hpp"
#include "sim/interchange/measured_collective.hpp"
#include "sim/interchange/samples.hpp"
#include "sim/study/machine_times.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// Measurements and where they come from.
struct MeasuredData {
    std::string gpu;
    std::vector<KernelSample> samples;  ///< all of `gpu`
    /// Names of the files, for the sources.
    std::string gemm_origin, attention_origin, generation_origin, moe_origin;
    std::vector<CollectiveSample> collectives;  ///< of any GPU: a family is fitted together
    std::string collective_origin;
    std::string logs;                             ///< of these the user's own nccl-tests logs
    std::vector<SampledCollective> microkernels;  ///< of our own program, on this machine
    std::string microkernel_origin;
    std::vector<SampledMemory> memory;
    std::string memory_origin;
    MachineTimes times;        ///< what no prediction uses
    std::string nvlink;        ///< of one GPU of the machine; "" on a CPU
    std::string device, date;  ///< of the last samples file: "NVIDIA GB200", "2026-11-24"
    std::vector<std::string> experiments;  ///< files whose published runs `sustained` is fitted to
    std::vector<std::string> notes;        ///< what was left aside, for stderr
};

/// Reads the tables and samples in files and folders, and notes the experiments there: YAML with
/// `systems`, or with `experiments`, which names some of the library. `gpu` chooses where they hold
/// several, and names the GPU of tables without the column; `given` says of logs what they do not.
/// Throws ConfigError when there is no row to fit, with the reasons.
MeasuredData read_measured_data(std::vector<std::string> const& paths,
                                Library const& library,
                                std::string const& gpu,
                                GivenFacts given = {});

/// GPUs with kernel tables of their own among the shipped measurements.
std::vector<std::string> fitted_gpus(Library const& library);

}  // namespace nvl72
