#pragma once

#include "kernels/measure/machine.hpp"
#include "kernels/measure/method.hpp"
#include "kernels/measure/settings.hpp"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace nvl72::measure {

/// Makes the cases of one batch, with the memory they share: what is timed interleaved. The cases
/// own what they use, so that it goes when they go. May throw CaseUnavailable for the whole batch.
struct Batch {
    std::string name;
    std::function<std::vector<Case>()> cases;
};

/// What was asked for and cannot be: goes to /skipped when its turn comes.
Batch unavailable(std::string const& name, std::string const& reason);

/// Takes the sizes above `most` out; when there are any, a batch that says so goes to `batches`.
void keep_sizes(std::vector<std::int64_t>& sizes,
                std::int64_t most,
                std::string const& name,
                std::vector<Batch>& batches);

/// The batches of a suite on one kind of device, in the order they are to be run.
using MakeBatches = std::vector<Batch> (*)(Settings const& settings, Machine const& machine);

/// One suite: a row of the table. A null maker: there is nothing of it on that device, or it was
/// not built.
struct Suite {
    char const* name = "";
    char const* help = "";
    MakeBatches host = nullptr;
    MakeBatches cuda = nullptr;
};

/// All suites, in the order they are run.
std::span<Suite const> suites();

// What the table holds; one file each.
std::vector<Batch> host_collectives(Settings const& settings, Machine const& machine);
std::vector<Batch> host_memory(Settings const& settings, Machine const& machine);
std::vector<Batch> host_launch(Settings const& settings, Machine const& machine);
std::vector<Batch> cuda_collectives(Settings const& settings, Machine const& machine);
std::vector<Batch> cuda_nccl(Settings const& settings, Machine const& machine);
std::vector<Batch> cuda_gemm(Settings const& settings, Machine const& machine);
std::vector<Batch> cuda_memory(Settings const& settings, Machine const& machine);
std::vector<Batch> cuda_copy(Settings const& settings, Machine const& machine);
std::vector<Batch> cuda_launch(Settings const& settings, Machine const& machine);
std::vector<Batch> cuda_overlap(Settings const& settings, Machine const& machine);

}  // namespace nvl72::measure
