#pragma once

#include "sim/config/library.hpp"
#include "sim/interchange/kernel_table.hpp"
#include "sim/interchange/measured_collective.hpp"
#include "sim/interchange/samples.hpp"
#include "sim/study/machine_times.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// A samples file in the terms of the fits.
struct MachineSamples {
    std::string gpu;                    ///< localhost for a CPU
    std::string device, date;           ///< as the file says
    std::string nvlink;                 ///< one GPU into it as its cluster says; "" on a CPU
    std::vector<KernelSample> kernels;  ///< GEMMs
    std::vector<CollectiveSample> collectives;  ///< of NCCL, by its own choice or a forced one
    std::vector<SampledCollective> microkernels;
    std::vector<SampledMemory> memory;
    MachineTimes times;
    std::vector<std::string> notes;  ///< what was left aside, for stderr
};

/// `gpu` names the GPU; "" takes the one that the file names, if configs/gpus has it. Of cases
/// measured both eagerly and in a CUDA graph, collectives count eagerly, as nccl-tests measures,
/// and GEMMs in the graph, as kernel tables are. Ranks on several nodes stand in the NVLink domains
/// that the GPU's first cluster in configs/clusters has. A row that NCCL was told to run by ring,
/// tree or NVLS names the row of collective_algorithms; what is none of them is counted in a note,
/// as is what that row could not run on such a group. Throws ConfigError for a GPU unknown here.
MachineSamples machine_samples(Samples const& samples,
                               Library const& library,
                               std::string const& gpu);

}  // namespace nvl72
