#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace nvl72::measure {

/// An empty kernel.
void launch_empty(cudaStream_t stream);

/// `blocks` blocks copy `bytes` (a multiple of 16) by loads and stores of 16 bytes, which may cross
/// NVLink or PCIe. `whole_sm`: each block takes so much shared memory that nothing else fits
/// beside it on its SM.
void launch_copy(
    void* to, void const* from, std::int64_t bytes, int blocks, bool whole_sm, cudaStream_t stream);

/// Fills `bytes` (a multiple of 4) with words (hash & keep) | set: operands that look random to the
/// multipliers, whose power they cost, and hold no NaN.
void launch_fill(
    void* to, std::int64_t bytes, std::uint32_t keep, std::uint32_t set, cudaStream_t stream);

}  // namespace nvl72::measure
