/// A build without the CUDA Toolkit: no GPU, and it says so.

#include "kernels/measure/cuda/device.hpp"

#include "kernels/measure/errors.hpp"

namespace nvl72::measure {

CudaFound find_cuda() {
    return {0, "this build is without CUDA (install the CUDA Toolkit and build again)"};
}

Machine cuda_machine() { throw InputError(find_cuda().why_none); }

std::vector<ClockRow> read_clocks(std::int64_t /*order*/) { return {}; }

std::string nccl_version() { return {}; }
std::string cublaslt_version() { return {}; }

}  // namespace nvl72::measure
