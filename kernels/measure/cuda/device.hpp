#pragma once

#include "kernels/measure/machine.hpp"
#include "kernels/measure/rows.hpp"

#include <string>
#include <vector>

namespace nvl72::measure {

/// What this machine has of CUDA, asked once and before anything else of CUDA is.
struct CudaFound {
    int devices = 0;
    std::string why_none;  ///< one line, when devices is 0: no driver, too old, no GPU, not built
};
CudaFound find_cuda();

/// The first GPU, the number of GPUs, the versions; the host's own facts as host_machine says.
/// Throws InputError when the GPUs are of several kinds.
Machine cuda_machine();

/// Clocks, power and temperature of every GPU now, by NVML when it can be opened, else nothing.
std::vector<ClockRow> read_clocks(std::int64_t order);

/// NCCL's and cuBLASLt's own versions, `2.28.9`, `13.1.0`; empty when they cannot be opened.
std::string nccl_version();
std::string cublaslt_version();

}  // namespace nvl72::measure
