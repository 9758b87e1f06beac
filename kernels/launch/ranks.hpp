#pragma once

#include "kernels/collective/collectives.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace nvl72::kernels {

/// Where ranks run.
enum class Where : std::uint8_t {
    host,     ///< a thread per rank
    one_gpu,  ///< groups of blocks of one cooperative launch
    gpus,     ///< one rank per GPU, over peer access
};

/// Ranks cannot be made or asked this; what() is one line that names what is missing.
struct RanksError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A set of ranks to make. 0 takes the default of the place.
struct RanksSpec {
    Where where = Where::host;
    int ranks = 2;
    std::int64_t bytes_max = 1 << 20;  ///< of each of a rank's two buffers, and each set
    int sets = 1;                      ///< buffers that iterations rotate over (past the caches)
    int channels = 0;                  ///< blocks per rank (GPU)
    int slots = 0;                     ///< messages on the way between two ranks
    std::int64_t slot_bytes = 0;       ///< bytes of one message; low_latency carries half
    bool pin = true;                   ///< host threads stay on a core each where there are enough
};

enum class Buffer : std::uint8_t { send, receive };

/// Which expert each token of each rank goes to: experts[rank][token * top_k + k], expert e living
/// on rank e / (experts_total / ranks). A token goes once to a rank however many of its experts
/// live there.
struct MoeRouting {
    int tokens = 0;  ///< of each rank
    int top_k = 1;
    int experts_total = 1;
    std::vector<std::vector<std::int32_t>> experts;
};

/// Every token draws top_k different experts evenly from all.
///   seed     of the draws; the same seed gives the same routing
///   throws   RanksError when experts_total is no multiple of ranks or top_k exceeds it
MoeRouting even_routing(int ranks, int tokens, int top_k, int experts_total, std::uint64_t seed);

/// Rows that `rank` sends to each rank, itself included, with duplicates taken out.
std::vector<std::int64_t> rows_sent(MoeRouting const& routing, int rank);

/// One block of calls to run back to back.
struct Job {
    std::size_t row = 0;     ///< of collectives()
    std::int64_t count = 0;  ///< elements (see Op)
    Element element = Element::f32;
    /// As NCCL: all_gather's send is its own part of receive, reduce_scatter's receive its own part
    /// of send. moe_* have no in-place form.
    bool in_place = false;
    int root = 0;  ///< of broadcast
    int iterations = 1;
};

/// How long a block took.
struct Timing {
    /// Host: from the common start to the last rank's end. GPUs: by events around the launch, on
    /// the GPU that is started last, so that no other one's start is in it.
    double block_s = 0;
    /// Host only: seconds from the last rank's end of the iteration before to that of this one; the
    /// sum is block_s. Empty on GPUs, where the iterations are one launch.
    std::vector<double> iteration_s;
};

/// Ranks with their buffers, their mailboxes and, on the host, their threads, which live as long as
/// this object: no thread or memory is made while a block is timed. One caller at a time.
class Ranks {
public:
    virtual ~Ranks() = default;
    Ranks() = default;
    Ranks(Ranks const&) = delete;
    Ranks(Ranks&&) = delete;
    Ranks& operator=(Ranks const&) = delete;
    Ranks& operator=(Ranks&&) = delete;

    virtual int ranks() const = 0;
    /// False for a row that this place cannot run (multicast on the host), with the reason.
    virtual bool runs(std::size_t row, std::string* reason = nullptr) const = 0;
    /// Copies bytes into or out of a buffer of `set`, at its begin. Throws RanksError past its end.
    virtual void write(int rank, Buffer buffer, int set, std::span<std::byte const> bytes) = 0;
    virtual void read(int rank, Buffer buffer, int set, std::span<std::byte> bytes) const = 0;
    /// The routing of the moe_* jobs that follow; moe_combine sends back what the last moe_dispatch
    /// brought.
    virtual void route(MoeRouting const& routing) = 0;
    /// Runs the block; iteration i uses buffers of set i % sets. In place, all is in
    /// Buffer::receive (reduce_scatter: in Buffer::send).
    ///   throws   RanksError for a row that does not run here, a count past the buffers, moe_*
    ///   unrouted
    virtual Timing run(Job const& job) = 0;
};

/// Makes ranks, or throws RanksError in one line: no driver, too few GPUs, no peer access between
/// two named GPUs, blocks that do not fit on the GPU together.
std::unique_ptr<Ranks> make_ranks(RanksSpec const& spec);

/// "" where ranks of this kind can run, else the reason ("no NVIDIA driver", "built without CUDA").
std::string why_not(Where where);

}  // namespace nvl72::kernels
