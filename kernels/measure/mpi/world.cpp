/// The world of an MPI job.

#include "kernels/measure/world.hpp"

#include "kernels/measure/errors.hpp"

#include <algorithm>
#include <cstdlib>
#include <mpi.h>
#include <vector>

namespace nvl72::measure {

namespace {

bool joined = false;

/// mpirun, srun with PMI or PMIx, or Hydra. Joining without one of them costs a second.
bool launched() {
    return std::ranges::any_of(
        std::vector<char const*>{"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE"},
        [](char const* name) { return std::getenv(name) != nullptr; });
}

World join() {
    World found;
    if (!launched()) return found;
    MPI_Init(nullptr, nullptr);
    joined = true;
    MPI_Comm_rank(MPI_COMM_WORLD, &found.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &found.processes);
    MPI_Comm node = MPI_COMM_NULL;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, found.rank, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &found.local_rank);
    MPI_Comm_size(node, &found.local_processes);
    MPI_Comm_free(&node);
    int const leads = found.local_rank == 0 ? 1 : 0;
    MPI_Allreduce(&leads, &found.nodes, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    found.node = found.rank / found.local_processes;
    int const place = found.node * found.local_processes + found.local_rank;
    int const wrong = place == found.rank ? 0 : 1;
    int wrong_anywhere = 0;
    MPI_Allreduce(&wrong, &wrong_anywhere, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    if (wrong_anywhere != 0) {
        throw InputError(
            "the MPI job numbers its processes across nodes, or has not as many on each (expected "
            "srun --distribution=block or mpirun --map-by node:PE=1 --rank-by slot)");
    }
    return found;
}

}  // namespace

World const& world() {
    static World const found = join();
    return found;
}

void leave_world(int code) {
    if (!joined) return;
    if (code != 0) MPI_Abort(MPI_COMM_WORLD, code);
    MPI_Finalize();
}

double world_max(double value) {
    if (!joined) return value;
    double most = 0;
    MPI_Allreduce(&value, &most, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return most;
}

void world_share(void* bytes, std::size_t count) {
    if (joined) MPI_Bcast(bytes, static_cast<int>(count), MPI_BYTE, 0, MPI_COMM_WORLD);
}

}  // namespace nvl72::measure
