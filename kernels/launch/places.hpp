#pragma once

#include "kernels/launch/ranks.hpp"

namespace nvl72::kernels {

/// The places of make_ranks. The spec has been checked; zeros still stand for defaults.
std::unique_ptr<Ranks> make_host_ranks(RanksSpec spec);
std::unique_ptr<Ranks> make_cuda_ranks(RanksSpec spec);

/// why_not of the two places on GPUs.
std::string why_no_gpus(Where where);

/// What route() has told the ranks, and whether a dispatch has run since.
struct Routed {
    int tokens = -1;
    bool dispatched = false;
};

/// Throws RanksError unless `job` is one of these ranks' and fits buffers of bytes_max.
void check_job(Job const& job, Ranks const& ranks, std::int64_t bytes_max, Routed const& routed);

/// Makes a job's operands out of a rank's two buffers: in place one of them stands for both.
void place_operands(Job const& job, int rank, std::byte*& send, std::byte*& receive);

/// Routes of one rank, in the shape of kernels/collective's Routes.
struct RouteTables {
    std::vector<std::int32_t> list;     ///< [ranks][tokens]
    std::vector<std::int32_t> rows_to;  ///< [ranks]
};

/// Takes the duplicates out. Throws RanksError for an expert that is not there, or a wrong shape.
RouteTables route_tables(MoeRouting const& routing, int ranks, int rank);

}  // namespace nvl72::kernels
