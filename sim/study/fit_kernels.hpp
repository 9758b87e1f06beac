#pragma once

#include "sim/cost/attention_cost.hpp"
#include "sim/cost/gemm_cost.hpp"
#include "sim/cost/generation_cost.hpp"
#include "sim/cost/moe_cost.hpp"
#include "sim/interchange/kernel_table.hpp"
#include "sim/study/fit.hpp"
#include "sim/study/unseen.hpp"
#include "topology/gpu.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// How well one precision of one section was fitted.
struct SectionFit {
    std::string section;
    std::string precision;
    std::size_t rows = 0;
    std::size_t parameters = 0;
    FitErrors in_sample;
    std::string worst_at;           ///< "m 1, n 1024, k 4096"
    FitErrors left_out;             ///< each fifth of the shapes predicted from the others
    std::vector<UnseenRow> inside;  ///< those predictions
    /// The largest fifth of the shapes, or each number of ranks, predicted from the rest.
    std::vector<UnseenRow> outside;
    std::string origin;  ///< names of the tables
    double between =
        1;  ///< factor within which 80 % of a CPU's passes lie of their case's quickest
    Spread another_count{};  ///< of another number of ranks where rows are of one; unknown: none

    /// Its row of a profile's `spread`: "gemm bf16", "memory".
    [[nodiscard]] std::string part() const {
        return precision.empty() ? section : section + " " + precision;
    }
    /// Of collectives: measured, and as the whole fit predicts.
    std::vector<UnseenRow> seen = {};
    /// Of runs, by fits without their system; `outside` are those without their model.
    std::vector<UnseenRow> elsewhere = {};
};

/// What a precision's kernels look like before any fit: a row of `precisions` in given.yaml.
struct GemmFormat {
    double operand_bytes = 0;
    std::vector<int> tile_rows;
    std::vector<int> splits;
};
std::vector<Field<GemmFormat>> const& fields_of(GemmFormat const*);

/// One profile section as YAML, its sources naming `origin` and the errors, and how it fits.
struct FittedSection {
    Value yaml;
    std::vector<SectionFit> fits;
    Value draws = {};  ///< of its fits, as a profile's `draws`
};

/// What a section is fitted from, besides the samples.
struct FitSetting {
    GpuSpec gpu;
    Value given;         ///< configs/measurements/kernels/given.yaml
    std::string origin;  ///< the tables' names
    Value own;           ///< of `given`, what it says of this GPU, or of the first sister it knows
};

/// All take the samples of their own kind and leave the others; null YAML where there are none.
FittedSection fit_gemm(std::vector<KernelSample> const& samples, FitSetting const& setting);
FittedSection fit_attention(std::vector<KernelSample> const& samples, FitSetting const& setting);
FittedSection fit_generation(std::vector<KernelSample> const& samples, FitSetting const& setting);
FittedSection fit_moe(std::vector<KernelSample> const& samples, FitSetting const& setting);

}  // namespace nvl72
