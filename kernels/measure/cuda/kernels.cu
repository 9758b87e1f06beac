#include "kernels/measure/cuda/api.hpp"
#include "kernels/measure/cuda/kernels.hpp"

#include <algorithm>

namespace nvl72::measure {

namespace {

constexpr int copy_lanes = 1024;
constexpr int fill_lanes = 256;

__global__ void empty_kernel() {}

/// Four loads are on the way before the first store waits.
__global__ void copy_kernel(uint4* to, uint4 const* from, std::int64_t count) {
    auto const step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
    auto i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    for (; i + 3 * step < count; i += 4 * step) {
        uint4 const a = from[i];
        uint4 const b = from[i + step];
        uint4 const c = from[i + 2 * step];
        uint4 const d = from[i + 3 * step];
        to[i] = a;
        to[i + step] = b;
        to[i + 2 * step] = c;
        to[i + 3 * step] = d;
    }
    for (; i < count; i += step) to[i] = from[i];
}

/// The finaliser of MurmurHash3.
__device__ std::uint32_t hash(std::uint32_t x) {
    x = (x ^ (x >> 16)) * 0x85ebca6bU;
    x = (x ^ (x >> 13)) * 0xc2b2ae35U;
    return x ^ (x >> 16);
}

__global__ void fill_kernel(std::uint32_t* to,
                            std::int64_t count,
                            std::uint32_t keep,
                            std::uint32_t set) {
    auto const step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
    auto i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    for (; i < count; i += step) {
        to[i] = (hash(static_cast<std::uint32_t>(i)) & keep) | set;
    }
}

/// The most shared memory that a block of the current GPU may take.
int shared_bytes_most() {
    int device = 0;
    int bytes = 0;
    cuda_expect(cudaGetDevice(&device), "cudaGetDevice");
    cuda_expect(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
                "cudaDeviceGetAttribute");
    return bytes;
}

}  // namespace

void launch_empty(cudaStream_t stream) {
    empty_kernel<<<1, 1, 0, stream>>>();
    cuda_expect(cudaGetLastError(), "launch of an empty kernel");
}

void launch_copy(void* to,
                 void const* from,
                 std::int64_t bytes,
                 int blocks,
                 bool whole_sm,
                 cudaStream_t stream) {
    int shared = 0;
    if (whole_sm) {
        shared = shared_bytes_most();
        cuda_expect(
            cudaFuncSetAttribute(copy_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared),
            "cudaFuncSetAttribute");
    }
    copy_kernel<<<blocks, copy_lanes, shared, stream>>>(
        static_cast<uint4*>(to), static_cast<uint4 const*>(from),
        bytes / static_cast<std::int64_t>(sizeof(uint4)));
    cuda_expect(cudaGetLastError(), "launch of a copy kernel");
}

void launch_fill(
    void* to, std::int64_t bytes, std::uint32_t keep, std::uint32_t set, cudaStream_t stream) {
    auto const count = bytes / static_cast<std::int64_t>(sizeof(std::uint32_t));
    auto const blocks = std::clamp<std::int64_t>(count / fill_lanes, 1, 4096);
    fill_kernel<<<static_cast<unsigned>(blocks), fill_lanes, 0, stream>>>(
        static_cast<std::uint32_t*>(to), count, keep, set);
    cuda_expect(cudaGetLastError(), "launch of a fill kernel");
}

}  // namespace nvl72::measure
