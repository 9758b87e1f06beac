#pragma once

#include "kernels/launch/ranks.hpp"

namespace nvl72::kernels {

/// The places of make_ranks. The spec has been checked; zeros still stand for defaults.
std::unique_ptr<Ranks> make_host_ranks(RanksSpec spec);
std::unique_ptr<Ranks> make_cuda_ranks(RanksSpec spec);

/// why_not of the two places on GPUs.
std::string why_no_gpus(Where where);

/// Throws RanksError unless `job` is one of these ranks' and fits buffers of bytes_max.
void check_job(Job const& job, int ranks, std::int64_t bytes_max);

}  // namespace nvl72::kernels
