#pragma once

#include "sim/cost/collective_traffic.hpp"
#include "sim/interchange/samples.hpp"
#include "sim/study/fit_kernels.hpp"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// What a section `microkernels` is fitted from, besides the samples.
struct MicrokernelSetting {
    std::string origin;  ///< the files' names
    std::string nvlink;  ///< wiring peer: one GPU into NVLink, as a config writes it; else ""
};

/// A fitted section, and what was left aside, for stderr.
struct FittedMicrokernels {
    FittedSection section;
    std::vector<SectionFit> unpriced;  ///< MoE dispatch and combine: no query asks for them yet
    std::vector<std::string> notes;    ///< with the constants of those
};

/// Fits each operation by each algorithm and protocol apart, to its rows of suite `microkernel`;
/// null YAML where there are none. An all-reduce counts both of its times, in place and out of
/// place, one row each; other operations the one out of place, as in place they lack the copy
/// inside the rank. A branch with fewer than two sizes is left aside. The second bandwidth takes 12
/// points (three a constant); base and copies several rank counts. Throws ConfigError when rows
/// come from several wirings.
FittedMicrokernels fit_microkernels(std::vector<SampledCollective> const& samples,
                                    MicrokernelSetting const& setting);

/// A case that a branch can be fitted to, or judged by.
struct MicrokernelRow {
    Collective query;
    double seconds = 0;
    std::vector<double> over_quickest;  ///< as SampledCase
};

/// All of them. What no branch prices is counted in `aside` by its name.
std::vector<MicrokernelRow> microkernel_rows(std::vector<SampledCollective> const& samples,
                                             std::map<std::string, std::size_t>* aside = nullptr);

/// The row of CollectiveAlgorithm that `algorithm` and `protocol` of a samples file name:
/// "one_shot", "ll" -> one-shot-ll; "ring", "ll" -> micro-ring-ll.
std::optional<CollectiveAlgorithm> microkernel_named(std::string const& algorithm,
                                                     std::string const& protocol);

}  // namespace nvl72
