#include "topology/gpu.hpp"

#include <array>
#include <filesystem>
#include <fmt/format.h>

namespace nvl72 {

namespace {

/// What dense tensor cores of a family can reach; sparse figures, which datasheets print, are twice
/// that.
///   source  published: NVIDIA's architecture whitepapers (2048, 4096, 8192 FLOP per clock and SM);
///           derived for Rubin: its 4 PFLOP/s over 224 SMs are 8192 at 2.2 GHz
struct DenseLimits {
    GpuArchitecture architecture;
    double bf16_per_clock;  ///< FLOPs of one SM
    double fp8_over_bf16;   ///< at most; 2 but for Rubin, whose FP8 is 4.4 times its BF16
};
constexpr std::array dense_limits{
    DenseLimits{GpuArchitecture::ampere, 2048, 2.2},
    DenseLimits{GpuArchitecture::hopper, 4096, 2.2},
    DenseLimits{GpuArchitecture::blackwell, 8192, 2.2},
    DenseLimits{GpuArchitecture::rubin, 8192, 4.5},
};
constexpr double nvfp4_over_fp8 = 3.3;  // 2, and 3 on the B300
constexpr double clock_max = 2.5e9;     // boost clocks are 1.4 to 2.2 GHz; sparse looks like 2.8 up

constexpr char const* sparse = "datasheets print sparse figures, twice the dense ones";

/// Throws ConfigError where a peak is more than dense tensor cores reach.
void check_dense(GpuSpec const& gpu, Value const& file) {
    Value const& peaks = *file.find("peak");
    DenseLimits const& limits = dense_limits.at(static_cast<std::size_t>(gpu.architecture));
    double const clock = gpu.peak.bf16.count / gpu.sms / limits.bf16_per_clock;
    if (clock > clock_max) {
        Value const& given = *peaks.find("bf16");
        fail(
            given.place,
            fmt::format("{}, which {} SMs reach at {:.2f} GHz", given.scalar, gpu.sms, clock / 1e9),
            fmt::format("a dense peak, at most {:.1f} GHz; {}", clock_max / 1e9, sparse));
    }
    auto const within = [&](char const* key, std::optional<FlopsPerSecond> const& rate,
                            char const* base_key, std::optional<FlopsPerSecond> const& base,
                            double most) {
        if (!rate || !base) return;
        double const ratio = *rate / *base;
        if (ratio >= 1 && ratio <= most) return;
        Value const& given = *peaks.find(key);
        fail(given.place, fmt::format("{}, {:.2f} times {}", given.scalar, ratio, base_key),
             fmt::format("a dense peak, 1 to {} times {}; {}", most, base_key, sparse));
    };
    within("fp8", gpu.peak.fp8, "bf16", gpu.peak.bf16, limits.fp8_over_bf16);
    within("nvfp4", gpu.peak.nvfp4, "fp8", gpu.peak.fp8, nvfp4_over_fp8);
}

}  // namespace

std::vector<Field<PeakRates>> const& fields_of(PeakRates const*) {
    static std::vector<Field<PeakRates>> const fields{
        required("bf16", &PeakRates::bf16, "dense BF16 tensor-core peak"),
        optional("fp8", &PeakRates::fp8, "", "dense FP8 peak, if the GPU has it"),
        optional("nvfp4", &PeakRates::nvfp4, "", "dense NVFP4 peak, if the GPU has it"),
    };
    return fields;
}

std::vector<Field<GpuSpec>> const& fields_of(GpuSpec const*) {
    static std::vector<Field<GpuSpec>> const fields{
        required("title", &GpuSpec::title, "what people call it"),
        required("architecture", &GpuSpec::architecture, "family"),
        detail::left_to_check("sms", &GpuSpec::sms, "streaming multiprocessors enabled"),
        optional("compute_capability", &GpuSpec::compute_capability, "", "CUDA's, such as 9.0"),
        detail::left_to_check("peak", &GpuSpec::peak, "dense tensor-core peaks"),
        detail::left_to_check("hbm_capacity", &GpuSpec::hbm_capacity,
                              "total memory, as nvidia-smi shows it"),
        detail::left_to_check("hbm_reserve", &GpuSpec::hbm_reserve, "memory no process can have"),
        detail::left_to_check("hbm_bandwidth", &GpuSpec::hbm_bandwidth, "peak memory bandwidth"),
        detail::left_to_check("l2", &GpuSpec::l2, "L2 cache"),
        detail::left_to_check("tdp", &GpuSpec::tdp, "power limit as shipped"),
        optional("sister", &GpuSpec::sister, "",
                 "calibrated GPU whose kernel times this one scales from"),
    };
    return fields;
}

GpuSpec load_gpu(Library const& library,
                 std::string const& name,
                 Place const& asked,
                 Trail* trail) {
    std::string const path = library.path("gpus", name, asked);
    Value const file = load_yaml(path);
    auto gpu = read_spec<GpuSpec>(file, trail);
    gpu.name = std::filesystem::path(path).stem().string();
    if (Value const* peak = file.find("peak")) {
        Value const* bf16 = peak->find("bf16");
        if (bf16 != nullptr) gpu.source = bf16->source;
    }
    bool const threads = gpu.architecture == GpuArchitecture::cpu;
    detail::check_left<GpuSpec>(file, !threads, "the threads of a CPU have none");
    if (threads) {
        gpu.source = file.source;
        return gpu;
    }
    if (gpu.sms < 1) fail(file.find("sms")->place, std::to_string(gpu.sms), "at least 1");
    for (char const* key : {"hbm_bandwidth", "tdp", "l2"}) {
        Value const* given = file.find(key);
        if (given != nullptr && given->scalar.starts_with("0 "))
            fail(given->place, "zero", "more than 0");
    }
    if (!(gpu.peak.bf16.count > 0)) fail(file.find("peak")->place, "bf16 of zero", "more than 0");
    check_dense(gpu, file);
    if (gpu.hbm_usable().count <= 0) {
        fail(file.find("hbm_reserve")->place, "all of hbm_capacity", "less than hbm_capacity");
    }
    return gpu;
}

}  // namespace nvl72
