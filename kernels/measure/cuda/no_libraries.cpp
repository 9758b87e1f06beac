/// A build whose toolkit lacks the headers of NCCL or cuBLASLt: those suites are not in the table.

#include "kernels/measure/cuda/device.hpp"

namespace nvl72::measure {

std::string nccl_version() { return {}; }
std::string cublaslt_version() { return {}; }

}  // namespace nvl72::measure
