#include "kernels/measure/suites.hpp"

#include "kernels/measure/errors.hpp"

#include <array>
#include <fmt/format.h>

#ifdef NVL72_CUDA
#define ON_CUDA(maker) maker
#else
#define ON_CUDA(maker) nullptr
#endif
#ifdef NVL72_CUDA_LIBRARIES  // NCCL's and cuBLASLt's headers were found
#define BY_LIBRARY(maker) maker
#else
#define BY_LIBRARY(maker) nullptr
#endif

namespace nvl72::measure {

namespace {

constexpr std::array all_suites{
    Suite{"collectives", "our own microkernels, low-latency and bulk (kernels/collective)",
          host_collectives, ON_CUDA(cuda_collectives)},
    Suite{"nccl", "NCCL's collectives: its own choice, and every algorithm and protocol by itself",
          nullptr, BY_LIBRARY(cuda_nccl)},
    Suite{"gemm", "cuBLASLt in BF16, FP8 and, on Blackwell, NVFP4, over a grid of shapes", nullptr,
          BY_LIBRARY(cuda_gemm)},
    Suite{"memory", "copy, fill and reduction by Thrust, at sizes past the caches", host_memory,
          ON_CUDA(cuda_memory)},
    Suite{"copy", "host to GPU and GPU to GPU, by copy engine and by SM", nullptr,
          ON_CUDA(cuda_copy)},
    Suite{"launch", "kernel launch, graph node, event; on the host waking a parked thread",
          host_launch, ON_CUDA(cuda_launch)},
    Suite{"overlap", "how a GEMM slows while a collective holds some of the SMs", nullptr,
          BY_LIBRARY(cuda_overlap)},
};

}  // namespace

std::span<Suite const> suites() { return all_suites; }

Batch unavailable(std::string const& name, std::string const& reason) {
    return {name, [reason]() -> std::vector<Case> { throw CaseUnavailable(reason); }};
}

void keep_sizes(std::vector<std::int64_t>& sizes,
                std::int64_t most,
                std::string const& name,
                std::vector<Batch>& batches) {
    auto const too_large = std::erase_if(sizes, [&](auto size) { return size > most; });
    if (too_large == 0) return;
    batches.push_back(
        unavailable(fmt::format("{}, {} sizes", name, too_large),
                    fmt::format("more than {} bytes do not fit into this device's memory", most)));
}

}  // namespace nvl72::measure
