#pragma once

#include "kernels/collective/wire.hpp"

namespace nvl72::kernels {

inline constexpr int cuda_lanes = 512;

/// The operands of a rank's calls; set s lies s * stride bytes further.
struct CudaOperands {
    std::byte* send;
    std::byte* receive;
    std::byte* multicast_send;  ///< or nullptr
    std::byte* multicast_receive;
    Routes routes;
};

/// What a launch runs: `iterations` calls on the ranks of one GPU, `channels` blocks for each.
struct CudaBlocks {
    int rank_first;
    int iterations;
    int sets;
    int root;
    std::int64_t stride;
    std::int64_t count;
    CudaOperands ranks[ranks_max];
};

/// The kernel of a row, void(World, CudaBlocks), to launch with cuda_lanes threads a block.
void const* cuda_kernel(std::size_t row, Element element);

}  // namespace nvl72::kernels
