#include "kernels/launch/multicast.hpp"

#include "kernels/launch/ranks.hpp"

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <algorithm>

namespace nvl72::kernels {
namespace {

/// A function of the driver, found while running: a program linked to libcuda would not start
/// without a driver.
template <class F>
F* driver(char const* name) {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    cudaError_t const error =
        cudaGetDriverEntryPointByVersion(name, &function, 12010, cudaEnableDefault, &found);
    if (error != cudaSuccess || found != cudaDriverEntryPointSuccess)
        throw RanksError(std::string("the driver has no ") + name +
                         " (expected CUDA 12.1 or later)");
    return reinterpret_cast<F*>(function);
}

void check(char const* name, CUresult result) {
    if (result == CUDA_SUCCESS) return;
    char const* text = nullptr;
    driver<decltype(cuGetErrorString)>("cuGetErrorString")(result, &text);
    throw RanksError(std::string("multicast: ") + name + ": " +
                     (text == nullptr ? "failed" : text));
}

// The function by its name, which a refusal names too.
#define NVL_DRIVER(name, ...) check(#name, driver<decltype(name)>(#name)(__VA_ARGS__))

}  // namespace

struct Multicast::State {
    std::size_t size = 0;
    CUmemGenericAllocationHandle group = 0;
    CUdeviceptr all = 0;
    std::vector<CUdevice> devices;
    std::vector<CUmemGenericAllocationHandle> memory;
    std::vector<CUdeviceptr> own;
};

std::string Multicast::why_not(std::vector<int> const& devices) {
    try {
        for (int const device : devices) {
            CUdevice handle = 0;
            int has = 0;
            NVL_DRIVER(cuDeviceGet, &handle, device);
            NVL_DRIVER(cuDeviceGetAttribute, &has, CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED, handle);
            if (has == 0) return "GPU " + std::to_string(device) + " has no multicast";
        }
    } catch (RanksError const& error) {
        return error.what();
    }
    return devices.size() < 2 ? "multicast needs 2 GPUs or more" : "";
}

Multicast::Multicast() : state_(std::make_unique<State>()) {}

Multicast::Multicast(std::vector<int> const& devices, std::int64_t bytes)
    : Multicast() {  // so that the destructor cleans up when a call here fails
    auto& s = *state_;
    CUmulticastObjectProp group{};
    group.numDevices = static_cast<unsigned>(devices.size());
    std::size_t grain = 0;
    group.size = static_cast<std::size_t>(bytes);
    NVL_DRIVER(cuMulticastGetGranularity, &grain, &group, CU_MULTICAST_GRANULARITY_MINIMUM);
    CUmemAllocationProp memory{};
    memory.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    memory.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    std::size_t page = 0;
    NVL_DRIVER(cuMemGetAllocationGranularity, &page, &memory, CU_MEM_ALLOC_GRANULARITY_MINIMUM);
    grain = std::max(grain, page);
    s.size = group.size = (group.size + grain - 1) / grain * grain;
    NVL_DRIVER(cuMulticastCreate, &s.group, &group);
    std::vector<CUmemAccessDesc> access(devices.size());
    for (std::size_t i = 0; i < devices.size(); ++i) {
        NVL_DRIVER(cuDeviceGet, &s.devices.emplace_back(), devices[i]);
        NVL_DRIVER(cuMulticastAddDevice, s.group, s.devices.back());
        access[i].location.type = CU_MEM_LOCATION_TYPE_DEVICE;
        access[i].location.id = devices[i];
        access[i].flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    }
    auto map = [&](CUdeviceptr& at, CUmemGenericAllocationHandle what, CUmemAccessDesc const* who,
                   std::size_t many) {
        NVL_DRIVER(cuMemAddressReserve, &at, s.size, grain, 0, 0);
        NVL_DRIVER(cuMemMap, at, s.size, 0, what, 0);
        NVL_DRIVER(cuMemSetAccess, at, s.size, who, many);
    };
    for (std::size_t i = 0; i < devices.size(); ++i) {
        memory.location.id = devices[i];
        NVL_DRIVER(cuMemCreate, &s.memory.emplace_back(), s.size, &memory, 0);
        NVL_DRIVER(cuMulticastBindMem, s.group, 0, s.memory[i], 0, s.size, 0);
        map(s.own.emplace_back(), s.memory[i], &access[i], 1);
    }
    map(s.all, s.group, access.data(), access.size());
}

/// Gives back what was made, as far as it came; a driver that fails here has nothing more to say.
Multicast::~Multicast() {
    auto& s = *state_;
    try {
        auto unmap = [&](CUdeviceptr at) {
            if (at == 0) return;
            NVL_DRIVER(cuMemUnmap, at, s.size);
            NVL_DRIVER(cuMemAddressFree, at, s.size);
        };
        unmap(s.all);
        for (std::size_t i = 0; i < s.own.size(); ++i) {
            unmap(s.own[i]);
            NVL_DRIVER(cuMulticastUnbind, s.group, s.devices[i], 0, s.size);
            NVL_DRIVER(cuMemRelease, s.memory[i]);
        }
        NVL_DRIVER(cuMemRelease, s.group);
    } catch (RanksError const&) {
        return;
    }
}

// The driver's addresses are numbers.
std::byte* Multicast::own(std::size_t device) const {
    return reinterpret_cast<std::byte*>(state_->own[device]);  // NOLINT(performance-no-int-to-ptr)
}
std::byte* Multicast::all() const {
    return reinterpret_cast<std::byte*>(state_->all);  // NOLINT(performance-no-int-to-ptr)
}

}  // namespace nvl72::kernels
