#pragma once

#include "sim/cost/collective_cost.hpp"

#include <array>
#include <optional>
#include <vector>

namespace nvl72 {

/// Where the microkernels ran, as kernels/SAMPLES.md names it: CPU threads, block groups of one
/// GPU, or one rank per GPU over peer access.
enum class MicrokernelWiring : std::uint8_t { host, one_gpu, peer };
template <>
struct EnumNames<MicrokernelWiring> {
    static constexpr std::array words{"host", "one-gpu", "peer"};
};

/// One operation by one algorithm and protocol, out of place, shared over rank counts and sizes:
///   T = base + steps step + (wire + copies) S / B(S)
///   1 / B(S) = 1 / bandwidth + (1 / small_bandwidth - 1 / bandwidth) / (1 + S / knee)
/// where microkernel_steps and microkernel_wire say how often and how much a rank sends, and small
/// buffers move at another rate than large ones (caches, or a pipe that fills). `base`
/// and `copies` are told apart from `step` and `bandwidth` only by several rank counts: fitted to
/// one they are 0.
struct MicrokernelBranch {
    Place place;
    CollectiveOp op{};
    CollectiveAlgorithm algorithm{};
    Seconds base;
    Seconds step;                                   ///< of one message
    BytesPerSecond bandwidth;                       ///< of a rank's writes into the others' memory
    double copies = 0;                              ///< bytes moved inside the rank, in buffers
    std::optional<BytesPerSecond> small_bandwidth;  ///< none: the same at every size
    BufferSize knee;                                ///< buffer halfway between the two
    std::vector<MeasuredRegion> measured;
};
std::vector<Field<MicrokernelBranch>> const& fields_of(MicrokernelBranch const*);

/// What this machine's own collectives take: of its CPU where it has no GPU.
struct MicrokernelSection {
    Place place;
    MicrokernelWiring wiring{};
    std::optional<BytesPerSecond> nvlink;  ///< of wiring peer: one GPU into NVLink, one direction
    std::vector<MicrokernelBranch> branches;
};
std::vector<Field<MicrokernelSection>> const& fields_of(MicrokernelSection const*);
void check(MicrokernelSection const& section);

/// "all_reduce one-shot-ll": the branch's key in the section.
std::string branch_name(CollectiveOp op, CollectiveAlgorithm algorithm);

/// Null where the section lacks it.
MicrokernelBranch const* find_branch(MicrokernelSection const& section,
                                     CollectiveOp op,
                                     CollectiveAlgorithm algorithm);

/// The branch's formula in seconds, unrounded and on the measured wiring: what a fit compares.
struct MicrokernelTerms {
    double latency = 0;
    double transfer = 0;
};
MicrokernelTerms microkernel_terms(MicrokernelBranch const& branch,
                                   std::int64_t ranks,
                                   double bytes);

/// Time of one microkernel alone. Peers on another NVLink than the measured stretch the transfer.
/// Throws ConfigError for a branch that was not measured.
Cost microkernel_cost(MicrokernelSection const& section, Collective const& query);

}  // namespace nvl72
