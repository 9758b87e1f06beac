#pragma once

#include "sim/config/fields.hpp"
#include "sim/config/library.hpp"
#include "sim/cost/attention_cost.hpp"
#include "sim/cost/collective_cost.hpp"
#include "sim/cost/gemm_cost.hpp"
#include "sim/cost/generation_cost.hpp"
#include "sim/cost/memory_cost.hpp"
#include "sim/cost/microkernel_cost.hpp"
#include "sim/cost/moe_cost.hpp"
#include "sim/cost/spread.hpp"
#include "topology/gpu.hpp"

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// A GPU's calibration, complete: what `cost` prices from. Every constant of it has a source.
struct Profile {
    Place place;
    std::string gpu;
    int sms = 0;  ///< multiprocessors
    Bytes l2;     ///< of its cache
    /// Tensor-core time under hours of load over the kernel tables' burst.
    double sustained = 1;
    std::optional<GemmSection> gemm;  ///< the three: of every GPU, of no CPU
    std::optional<AttentionSection> attention;
    std::optional<MemorySection> memory;
    std::optional<GenerationSection> generation;
    std::optional<CollectiveSection> collectives;
    std::optional<MoeSection> moe;
    std::optional<MicrokernelSection> microkernels;  ///< measured here, never scaled
    SpreadTable spread;                              ///< how far measurements lie from these costs
};

/// Ratios new / old by which one GPU's kernels follow from another's.
struct ProfileScale {
    std::vector<std::pair<std::string, double>> compute;  ///< by precision; absent: it has none
    double hbm = 1;
    double l2 = 1;
};

/// configs/calibration/NAME.yaml as written: sections left out come from `scaled_from`.
struct ProfileFile {
    Place place;
    std::string gpu;
    std::optional<std::string> date, device;  ///< of its samples, where it was measured
    std::optional<std::string> logs;          ///< of the user, that it was fitted to
    std::optional<double> sustained;
    std::optional<std::string> scaled_from;
    std::vector<std::pair<std::string, double>> compute;  ///< ratios that replace the datasheets'
    std::optional<GemmSection> gemm;
    std::optional<AttentionSection> attention;
    std::optional<MemorySection> memory;
    std::optional<GenerationSection> generation;
    std::optional<CollectiveSection> collectives;
    std::optional<MicrokernelSection> microkernels;
    std::optional<MoeSection> moe;
    SpreadTable spread;  ///< rows that replace the base's, by name
    Value draws;         ///< as sim/cost/draws.hpp says
};

std::vector<Field<ProfileFile>> const& fields_of(ProfileFile const*);

/// The profile of a GPU by name, or of a path that ends in .yaml; `asked` is where it was written.
Profile load_profile(Library const& library,
                     std::string const& name,
                     Place const& asked = {},
                     Trail* trail = nullptr);

/// `count` joint draws of its fitted constants (sim/cost/draws.hpp); those that it takes from a
/// sister are drawn as the sister's are. None where the files hold no `draws`.
std::vector<Profile> drawn_profiles(Library const& library,
                                    std::string const& name,
                                    std::uint64_t seed,
                                    int count);

/// The profiles that a user gave in place of the shipped ones, by the GPU they are written for.
struct GivenProfiles {
    std::vector<std::string> files;
    bool allow_mismatch = false;  ///< the first also prices a GPU that none is written for
    GivenProfiles() = default;
    // NOLINTNEXTLINE(google-explicit-constructor): most callers have files alone
    GivenProfiles(std::vector<std::string> given, bool allow = false)
        : files(std::move(given)), allow_mismatch(allow) {}
    GivenProfiles(std::initializer_list<std::string> given) : files(given) {}
};

/// The datasheet's dense peak for a precision; none when the GPU lacks it.
std::optional<FlopsPerSecond> datasheet_peak(GpuSpec const& gpu, Precision precision);

/// Ratios of the datasheets: peaks by precision, HBM rate, and the L2 rate as the SMs.
ProfileScale scale_between(GpuSpec const& from, GpuSpec const& to);

/// `base` with its sections scaled by datasheet ratios and marked so.
Profile derive_profile(Profile base, ProfileScale scale);

/// Time of one query alone on this GPU; pure, rounded once. Throws ConfigError for what the profile
/// does not price (a CPU's: no GEMM). The latency is the launch, the bandwidth part the rest. A
/// sustained load slows what the tensor cores do, and leaves nothing of a KV cache in L2.
Cost cost(Profile const& profile, Query const& query, Load load);

/// How far a measurement of this query may lie from a cost with that basis.
Spread spread_of(Profile const& profile, Query const& query, BasisKind basis);

}  // namespace nvl72
