#pragma once

#include "sim/base/units.hpp"
#include "sim/config/fields.hpp"
#include "sim/config/library.hpp"

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// cpu: threads of a host that stand in for GPUs; such a file says nothing but its name.
enum class GpuArchitecture { ampere, hopper, blackwell, rubin, cpu };
template <>
struct EnumNames<GpuArchitecture> {
    static constexpr std::array words{"ampere", "hopper", "blackwell", "rubin", "cpu"};
};

/// Dense tensor-core peaks (no 2:4 sparsity). A precision the GPU lacks is absent.
struct PeakRates {
    FlopsPerSecond bf16;
    std::optional<FlopsPerSecond> fp8;
    std::optional<FlopsPerSecond> nvfp4;
};
std::vector<Field<PeakRates>> const& fields_of(PeakRates const*);

/// One GPU as its datasheet describes it: configs/gpus/NAME.yaml.
struct GpuSpec {
    Place place;
    std::string name;  ///< of the file, filled in by load_gpu
    std::string title;
    GpuArchitecture architecture{};
    int sms = 0;
    std::optional<double> compute_capability;  ///< CUDA's: 9.0; none: no interchange names it
    PeakRates peak;
    Bytes hbm_capacity;  ///< total, as nvidia-smi shows it
    Bytes hbm_reserve;   ///< of that, what no process can have (driver, context, ECC tables)
    BytesPerSecond hbm_bandwidth;
    Bytes l2;
    Watts tdp;
    std::optional<std::string> sister;  ///< calibrated GPU whose kernel times this one scales from
    std::string source;                 ///< of the peaks, for lists

    [[nodiscard]] Bytes hbm_usable() const { return hbm_capacity - hbm_reserve; }
};
std::vector<Field<GpuSpec>> const& fields_of(GpuSpec const*);

/// The shipped GPU `name` (or a path to one); `asked` is where it was named. Refuses peaks that no
/// dense tensor core reaches: sparse figures are the likely slip.
GpuSpec load_gpu(Library const& library,
                 std::string const& name,
                 Place const& asked,
                 Trail* trail = nullptr);

}  // namespace nvl72
