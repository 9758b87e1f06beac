#pragma once

#include <cuda/atomic>

#include <cstdint>

/// A function that runs on CUDA lanes and on host threads.
#if defined(__CUDACC__)
#define NVL_HD __host__ __device__
#else
#define NVL_HD
#endif

namespace nvl72::kernels {

/// The only atomic of the kernels: 64 bits that every GPU and every host thread sees.
/// ThreadSanitizer cannot tell a scope that is too narrow, so tests/kernels/atomics.py finds any
/// other atomic.
using SystemAtomic = cuda::atomic_ref<std::uint64_t, cuda::thread_scope_system>;

}  // namespace nvl72::kernels
