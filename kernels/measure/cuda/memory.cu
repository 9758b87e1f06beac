/// The suite `memory` on GPUs: Thrust's CUDA backend, reductions by CUB, on the first GPU.

#include "kernels/measure/cuda/api.hpp"
#include "kernels/measure/cuda/memory.hpp"
#include "kernels/measure/memory_pass.hpp"

#include <cub/device/device_reduce.cuh>
#include <thrust/system/cuda/execution_policy.h>

namespace nvl72::measure {

namespace {

cudaError_t reduce(void* scratch,
                   std::size_t& scratch_bytes,
                   std::int32_t const* from,
                   std::int32_t* result,
                   std::int64_t count,
                   cudaStream_t stream) {
    return cub::DeviceReduce::Sum(scratch, scratch_bytes, from, result, count, stream);
}

}  // namespace

std::int64_t reduce_scratch_bytes(std::int64_t count) {
    std::size_t bytes = 0;
    cuda_expect(reduce(nullptr, bytes, nullptr, nullptr, count, nullptr), "cub::DeviceReduce");
    return static_cast<std::int64_t>(bytes);
}

void enqueue_memory_pass(std::string const& kind,
                         MemoryOperands const& operands,
                         cudaStream_t stream) {
    auto const* from = reinterpret_cast<std::int32_t const*>(operands.from);
    auto* to = reinterpret_cast<std::int32_t*>(operands.to);
    if (kind == "reduce") {
        // Thrust would wait for the sum on the host each time; CUB leaves it on the GPU.
        auto bytes = static_cast<std::size_t>(operands.scratch_bytes);
        cuda_expect(reduce(operands.scratch, bytes, from, to, operands.count, stream),
                    "cub::DeviceReduce");
        return;
    }
    (void)memory_pass(thrust::cuda::par_nosync.on(stream), kind, const_cast<std::int32_t*>(from),
                      to, operands.count);
}

}  // namespace nvl72::measure
