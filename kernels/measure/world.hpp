#pragma once

#include <cstddef>

namespace nvl72::measure {

/// The processes of one measurement: one, or those of an MPI job with a GPU each (built with
/// NVL72_MPI=ON and started by mpirun or srun). Every process calls the collective ones together.
struct World {
    int rank = 0;  ///< of this process
    int processes = 1;
    int local_rank = 0;  ///< among the processes of this node: the GPU it takes
    int local_processes = 1;
    int node = 0;  ///< of this process, counted from 0
    int nodes = 1;

    bool first() const { return rank == 0; }
    bool alone() const { return processes == 1; }
    /// Nodes that the first `ranks` processes stand on (they are numbered node by node).
    int nodes_of(int ranks) const {
        return alone() ? 1 : (ranks + local_processes - 1) / local_processes;
    }
};

/// Joins the job, once; a process that no MPI launcher started is a world of its own.
World const& world();

/// Leaves it; a code other than 0 ends the other processes too.
void leave_world(int code);

/// The largest value of all processes, on all of them.
double world_max(double value);

/// The first process's bytes, on all of them.
void world_share(void* bytes, std::size_t count);

}  // namespace nvl72::measure
