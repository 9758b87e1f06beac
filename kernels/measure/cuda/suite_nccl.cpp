/// The suite `nccl`: all GPUs of this process, or of the MPI job with one process each.

#include "kernels/measure/cuda/nccl.hpp"
#include "kernels/measure/suites.hpp"
#include "kernels/measure/world.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace nvl72::measure {

namespace {

constexpr Sizes sizes_full{1 << 10, std::int64_t{8} << 30, 2};
constexpr Sizes sizes_quick{4 << 10, 64 << 20, 16};
constexpr std::int64_t memory_share = 8;  // two buffers take at most a quarter of the memory
constexpr std::int64_t element_bytes = 4;

/// An operation, and the algorithms of NCCL that it can be told to take (NCCL's environment
/// variables; NVLS only by the Simple protocol). The point-to-point ones have none to choose.
struct NcclOp {
    char const* name;
    bool in_place, shares;
    bool ring, tree, nvls;
};
constexpr std::array nccl_ops{
    NcclOp{"all_reduce", true, false, true, true, true},
    NcclOp{"all_gather", true, true, true, false, true},
    NcclOp{"reduce_scatter", true, true, true, false, true},
    NcclOp{"broadcast", true, false, true, false, false},
    NcclOp{"alltoall", false, true, false, false, false},
    NcclOp{"sendrecv", false, false, false, false, false},
};

std::vector<NcclBranch> branches_of(Settings const& settings, Machine const& machine) {
    std::vector<NcclBranch> branches{{"auto", "auto"}};
    if (settings.quick) return branches;
    for (auto const* algorithm : {"ring", "tree"}) {
        for (auto const* protocol : {"ll", "ll128", "simple"}) {
            branches.push_back({algorithm, protocol});
        }
    }
    if (machine.multicast != 0) branches.push_back({"nvls", "simple"});
    return branches;
}

bool takes(NcclOp const& op, NcclBranch const& branch) {
    return branch.algorithm == "auto" || (branch.algorithm == "ring" && op.ring) ||
           (branch.algorithm == "tree" && op.tree) || (branch.algorithm == "nvls" && op.nvls);
}

/// Divided evenly among the ranks where each has a share; 0 when nothing is left.
std::int64_t rounded(NcclOp const& op, std::int64_t bytes, int ranks) {
    auto const unit = element_bytes * (op.shares ? ranks : 1);
    return bytes / unit * unit;
}

std::vector<Case> cases_of(Settings const& settings,
                           int ranks,
                           NcclBranch const& branch,
                           std::vector<std::int64_t> const& sizes) {
    auto const group = std::make_shared<NcclRanks>(ranks, branch, std::ranges::max(sizes));
    std::vector<Case> cases;
    auto const add = [&](NcclOp const& op, std::int64_t bytes, bool in_place, bool graph) {
        CollectiveRow row;
        row.suite = "nccl";
        row.op = op.name;
        row.algorithm = branch.algorithm;
        row.protocol = branch.protocol;
        row.launch = graph ? "graph" : "eager";
        row.wiring = "peer";
        row.ranks = ranks;
        row.nodes = world().nodes_of(ranks);
        row.bytes = bytes;
        row.in_place = in_place ? 1 : 0;
        NcclCall const call{op.name, bytes, in_place};
        cases.push_back({row, [=](std::int64_t n) { return group->time(call, n, graph); }});
    };
    for (auto const& op : nccl_ops) {
        if (!takes(op, branch)) continue;
        for (auto const size : sizes) {
            auto const bytes = rounded(op, size, ranks);
            if (bytes == 0) continue;
            for (bool const graph : {false, true}) {
                if (graph && !settings.graph) continue;
                add(op, bytes, false, graph);
                if (op.in_place) add(op, bytes, true, graph);
            }
        }
    }
    return cases;
}

/// What was asked for, or 2, 4, 8, ... and all.
std::vector<int> ranks_of(Settings const& settings, int all) {
    if (!settings.ranks.empty()) return settings.ranks;
    std::vector<int> ranks;
    for (int count = 2; count < all && !settings.quick; count *= 2) ranks.push_back(count);
    ranks.push_back(all);
    return ranks;
}

Batch missing(int ranks, int all) {
    return unavailable(fmt::format("{} ranks", ranks),
                       all < 2
                           ? "NCCL between GPUs needs at least 2, this job has 1"
                           : fmt::format("this job has {} GPUs (expected 2 ranks or more)", all));
}

}  // namespace

std::vector<Batch> cuda_nccl(Settings const& settings, Machine const& machine) {
    int const all = world().alone() ? static_cast<int>(machine.device_count) : world().processes;
    auto sizes = sizes_of(sizes_asked(settings, settings.quick ? sizes_quick : sizes_full));
    std::vector<Batch> batches;
    keep_sizes(sizes, machine.device_memory_bytes / memory_share, "NCCL", batches);
    for (int const ranks : ranks_of(settings, all)) {
        if (ranks > all || ranks < 2 || sizes.empty()) {
            batches.push_back(missing(ranks, all));
            continue;
        }
        for (auto const& branch : branches_of(settings, machine)) {
            batches.push_back(
                {fmt::format("{} ranks, {} {}", ranks, branch.algorithm, branch.protocol),
                 [=] { return cases_of(settings, ranks, branch, sizes); }});
        }
    }
    return batches;
}

}  // namespace nvl72::measure
