#pragma once

#include "kernels/team/platform.hpp"

#include <nv/target>

namespace nvl72::kernels {

/// A channel of a rank as one CUDA block; lanes are its threads. The bodies are compiled for the
/// host too, so each function has a host side that is never called.
class CudaTeam {
public:
    NVL_HD CudaTeam(int rank, int ranks, int channel, int channels)
        : rank_(rank), ranks_(ranks), channel_(channel), channels_(channels) {}

    NVL_HD int rank() const { return rank_; }
    NVL_HD int ranks() const { return ranks_; }
    NVL_HD int channel() const { return channel_; }
    NVL_HD int channels() const { return channels_; }
    NVL_HD int lane() const {
        NV_IF_TARGET(NV_IS_DEVICE, (return static_cast<int>(threadIdx.x);), (return 0;))
    }
    NVL_HD int lanes() const {
        NV_IF_TARGET(NV_IS_DEVICE, (return static_cast<int>(blockDim.x);), (return 1;))
    }
    NVL_HD void sync() const { NV_IF_TARGET(NV_IS_DEVICE, (__syncthreads();)) }
    /// A message comes within a microsecond or two; longer waits leave the memory pipes to others.
    NVL_HD void pause(int spin) const {
        NV_IF_TARGET(NV_IS_DEVICE, (if (spin > 256) __nanosleep(40);), ((void)spin;))
    }

private:
    int rank_;
    int ranks_;
    int channel_;
    int channels_;
};

}  // namespace nvl72::kernels
