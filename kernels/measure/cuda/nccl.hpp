#pragma once

#include "kernels/measure/cuda/api.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace nvl72::measure {

/// One way that NCCL can be told to go; `auto` leaves the choice to it. Names as in its variables
/// NCCL_ALGO and NCCL_PROTO, in lower case.
struct NcclBranch {
    std::string algorithm = "auto", protocol = "auto";
};

/// One collective, as nccl-tests runs it: float32, sums, root 0; sendrecv goes to the next rank.
struct NcclCall {
    std::string op;
    std::int64_t bytes = 0;  ///< full buffer, as nccl-tests counts it
    bool in_place = false;
};

/// The first `ranks` GPUs of the world (of this process, or one of each MPI process) as one NCCL
/// communicator with a send and a receive buffer each.
class NcclRanks {
public:
    /// ctas_most: SMs a collective may hold; 0: NCCL's choice
    ///   throws   CaseUnavailable when NCCL is not there or cannot go this way
    NcclRanks(int ranks, NcclBranch const& branch, std::int64_t bytes_most, int ctas_most = 0);
    NcclRanks(NcclRanks const&) = delete;
    NcclRanks& operator=(NcclRanks const&) = delete;
    NcclRanks(NcclRanks&&) = delete;
    NcclRanks& operator=(NcclRanks&&) = delete;
    ~NcclRanks();

    /// Seconds per call, of the slowest rank of the world.
    double time(NcclCall const& call, std::int64_t iterations, bool graph);
    /// Puts the i-th call on every local stream; does not wait.
    void enqueue(NcclCall const& call, std::int64_t i);
    /// The streams of the local GPUs.
    std::vector<Stream const*> streams() const;
    int ranks() const { return ranks_; }

private:
    struct Member;
    void enqueue_one(NcclCall const& call, std::int64_t i, Member const& member) const;
    double time_here(NcclCall const& call, std::int64_t iterations, bool graph);
    void run_eager(NcclCall const& call, std::int64_t iterations);
    void run_graph(NcclCall const& call, std::int64_t iterations);

    int ranks_;
    std::int64_t span_;  ///< through which the buffers of small calls move on: past the L2
    std::vector<std::unique_ptr<Member>> members_;
};

}  // namespace nvl72::measure
