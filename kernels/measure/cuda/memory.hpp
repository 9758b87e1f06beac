#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace nvl72::measure {

/// The arrays of one pass; the scratch is CUB's.
struct MemoryOperands {
    std::byte const* from;
    std::byte* to;
    std::int64_t count;  ///< 32-bit integers
    std::byte* scratch;
    std::int64_t scratch_bytes;
};

/// What a reduction of `count` integers needs as scratch, on the current GPU.
std::int64_t reduce_scratch_bytes(std::int64_t count);

/// One pass of `kind` (memory_kinds) on the stream; does not wait.
void enqueue_memory_pass(std::string const& kind,
                         MemoryOperands const& operands,
                         cudaStream_t stream);

}  // namespace nvl72::measure
