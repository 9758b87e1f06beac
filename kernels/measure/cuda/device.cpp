#include "kernels/measure/cuda/device.hpp"

#include "kernels/measure/cuda/api.hpp"
#include "kernels/measure/cuda/library.hpp"
#include "kernels/measure/errors.hpp"

#include <array>
#include <cuda.h>
#include <optional>

namespace nvl72::measure {

namespace {

std::int64_t attribute(int device, cudaDeviceAttr which) {
    int value = 0;
    cuda_expect(cudaDeviceGetAttribute(&value, which, device), "cudaDeviceGetAttribute");
    return value;
}

/// A driver call without linking the driver, which a machine without GPUs lacks.
bool has_multicast(int device) {
    void* entry = nullptr;
    auto found = cudaDriverEntryPointSymbolNotFound;
    constexpr unsigned since = 12000;  // the attribute came with CUDA 12.1, the call long before
    if (cudaGetDriverEntryPointByVersion("cuDeviceGetAttribute", &entry, since, cudaEnableDefault,
                                         &found) != cudaSuccess ||
        found != cudaDriverEntryPointSuccess) {
        return false;
    }
    int value = 0;
    auto const get = reinterpret_cast<decltype(&cuDeviceGetAttribute)>(entry);
    return get(&value, CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED, device) == CUDA_SUCCESS &&
           value != 0;
}

bool all_reach_all(int devices) {
    for (int from = 0; from < devices; ++from) {
        for (int to = 0; to < devices; ++to) {
            int can = 0;
            if (from == to) continue;
            cuda_expect(cudaDeviceCanAccessPeer(&can, from, to), "cudaDeviceCanAccessPeer");
            if (can == 0) return false;
        }
    }
    return devices > 1;
}

/// The few calls of NVML, with its own names and numbers (nvml.h is not in every toolkit).
struct Nvml {
    using Device = struct nvmlDevice_st*;
    int (*init)() = nullptr;
    int (*by_bus_id)(char const*, Device*) = nullptr;
    int (*clock)(Device, int kind, unsigned* megahertz) = nullptr;
    int (*power)(Device, unsigned* milliwatts) = nullptr;
    int (*temperature)(Device, int sensor, unsigned* degrees) = nullptr;
};
constexpr int nvml_clock_sm = 1;
constexpr int nvml_clock_memory = 2;
constexpr int nvml_temperature_gpu = 0;

std::optional<Nvml> open_nvml() {
    try {
        Library const library({"libnvidia-ml.so.1"}, "NVML");
        Nvml nvml;
        library.find(nvml.init, "nvmlInit_v2");
        library.find(nvml.by_bus_id, "nvmlDeviceGetHandleByPciBusId_v2");
        library.find(nvml.clock, "nvmlDeviceGetClockInfo");
        library.find(nvml.power, "nvmlDeviceGetPowerUsage");
        library.find(nvml.temperature, "nvmlDeviceGetTemperature");
        if (nvml.init() != 0) return std::nullopt;
        return nvml;
    } catch (CaseUnavailable const&) {
        return std::nullopt;  // clocks are then not told
    }
}

ClockRow clock_of(Nvml const& nvml, Nvml::Device device) {
    ClockRow row;
    unsigned value = 0;
    if (nvml.clock(device, nvml_clock_sm, &value) == 0) row.core_clock_hz = value * 1'000'000LL;
    if (nvml.clock(device, nvml_clock_memory, &value) == 0) {
        row.memory_clock_hz = value * 1'000'000LL;
    }
    if (nvml.power(device, &value) == 0) row.power_w = value * 1e-3;
    if (nvml.temperature(device, nvml_temperature_gpu, &value) == 0) row.temperature_degc = value;
    return row;
}

}  // namespace

CudaFound find_cuda() {
    int devices = 0;
    auto const error = cudaGetDeviceCount(&devices);
    if (error == cudaSuccess && devices > 0) return {devices, {}};
    if (error == cudaSuccess || error == cudaErrorNoDevice) return {0, "no GPU"};
    int driver = 0;
    (void)cudaDriverGetVersion(&driver);
    if (error == cudaErrorInsufficientDriver && driver == 0) return {0, "no NVIDIA driver"};
    int runtime = 0;
    (void)cudaRuntimeGetVersion(&runtime);
    if (error == cudaErrorInsufficientDriver) {
        return {0, "the NVIDIA driver is for CUDA " + cuda_version_text(driver) +
                       ", this program needs " + cuda_version_text(runtime)};
    }
    return {0, cudaGetErrorString(error)};
}

Machine cuda_machine() {
    auto machine = host_machine();
    auto const devices = find_cuda().devices;
    cudaDeviceProp first{};
    cuda_expect(cudaGetDeviceProperties(&first, 0), "cudaGetDeviceProperties");
    for (int device = 1; device < devices; ++device) {
        cudaDeviceProp other{};
        cuda_expect(cudaGetDeviceProperties(&other, device), "cudaGetDeviceProperties");
        if (std::string(other.name) != first.name) {
            throw InputError("--device cuda: GPUs of several kinds, " + std::string(first.name) +
                             " and " + other.name + " (choose one kind by CUDA_VISIBLE_DEVICES)");
        }
    }
    machine.device_kind = "cuda";
    machine.device_name = first.name;
    machine.device_count = devices;
    machine.compute_capability = std::to_string(first.major) + "." + std::to_string(first.minor);
    machine.sm_count = first.multiProcessorCount;
    machine.l2_bytes = first.l2CacheSize;
    machine.device_memory_bytes = static_cast<std::int64_t>(first.totalGlobalMem);
    machine.core_clock_max_hz = attribute(0, cudaDevAttrClockRate) * 1000;
    machine.memory_clock_max_hz = attribute(0, cudaDevAttrMemoryClockRate) * 1000;
    int version = 0;
    cuda_expect(cudaDriverGetVersion(&version), "cudaDriverGetVersion");
    machine.driver_version = cuda_version_text(version);
    cuda_expect(cudaRuntimeGetVersion(&version), "cudaRuntimeGetVersion");
    machine.cuda_version = cuda_version_text(version);
    machine.multicast = has_multicast(0) ? 1 : 0;
    machine.peer_access = all_reach_all(devices) ? 1 : 0;
    return machine;
}

std::vector<ClockRow> read_clocks(std::int64_t order) {
    static auto const nvml = open_nvml();
    std::vector<ClockRow> rows;
    if (!nvml) return rows;
    for (int device = 0; device < find_cuda().devices; ++device) {
        std::array<char, 32> bus{};
        Nvml::Device handle = nullptr;
        if (cudaDeviceGetPCIBusId(bus.data(), bus.size(), device) != cudaSuccess ||
            nvml->by_bus_id(bus.data(), &handle) != 0) {
            continue;
        }
        auto row = clock_of(*nvml, handle);
        row.order = order;
        row.device = device;
        rows.push_back(row);
    }
    return rows;
}

}  // namespace nvl72::measure
