#include "topology/gpu.hpp"

#include <filesystem>

namespace nvl72 {

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
        required("sms", &GpuSpec::sms, "streaming multiprocessors enabled"),
        required("peak", &GpuSpec::peak, "dense tensor-core peaks"),
        required("hbm_capacity", &GpuSpec::hbm_capacity, "total memory, as nvidia-smi shows it"),
        required("hbm_reserve", &GpuSpec::hbm_reserve, "memory no process can have"),
        required("hbm_bandwidth", &GpuSpec::hbm_bandwidth, "peak memory bandwidth"),
        required("l2", &GpuSpec::l2, "L2 cache"),
        required("tdp", &GpuSpec::tdp, "power limit as shipped"),
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
    GpuSpec gpu = read_spec<GpuSpec>(file, trail);
    gpu.name = std::filesystem::path(path).stem().string();
    if (Value const* peak = file.find("peak")) {
        Value const* bf16 = peak->find("bf16");
        if (bf16 != nullptr) gpu.source = bf16->source;
    }
    if (gpu.sms < 1) fail(file.find("sms")->place, std::to_string(gpu.sms), "at least 1");
    for (char const* key : {"hbm_bandwidth", "tdp", "l2"}) {
        Value const* given = file.find(key);
        if (given != nullptr && given->scalar.starts_with("0 "))
            fail(given->place, "zero", "more than 0");
    }
    if (!(gpu.peak.bf16.count > 0)) fail(file.find("peak")->place, "bf16 of zero", "more than 0");
    if (gpu.hbm_usable().count <= 0) {
        fail(file.find("hbm_reserve")->place, "all of hbm_capacity", "less than hbm_capacity");
    }
    return gpu;
}

}  // namespace nvl72
