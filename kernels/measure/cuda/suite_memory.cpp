/// The suite `memory` on the first GPU.

#include "kernels/measure/cuda/api.hpp"
#include "kernels/measure/cuda/memory.hpp"
#include "kernels/measure/memory_kinds.hpp"

#include <algorithm>

namespace nvl72::measure {

namespace {

constexpr std::int64_t element_bytes = sizeof(std::int32_t);

/// Two arrays of the largest size, through which smaller cases move their windows.
struct Arrays {
    explicit Arrays(std::int64_t bytes)
        : stream(0),
          from(0, bytes),
          to(0, bytes),
          scratch(0, std::max<std::int64_t>(reduce_scratch_bytes(bytes / element_bytes), 1)) {}

    Stream stream;
    DeviceMemory from, to, scratch;
};

double time_passes(Arrays const& arrays,
                   std::string const& kind,
                   std::int64_t bytes,
                   std::int64_t iterations) {
    return time_on(arrays.stream, iterations, false, [&](std::int64_t i) {
        auto const at = window(i, bytes, arrays.from.bytes(), arrays.from.bytes());
        enqueue_memory_pass(kind,
                            {arrays.from.data() + at, arrays.to.data() + at, bytes / element_bytes,
                             arrays.scratch.data(), arrays.scratch.bytes()},
                            arrays.stream.get());
    });
}

}  // namespace

std::vector<Batch> cuda_memory(Settings const& settings, Machine const& machine) {
    constexpr std::int64_t memory_share = 8;  // two arrays take at most a quarter of the memory
    auto const most = machine.device_memory_bytes / memory_share;
    std::vector<std::int64_t> sizes;
    for (int shift = 20; shift <= 33; shift += settings.quick ? 6 : 1) {  // 1 MiB to 8 GiB
        if (std::int64_t{1} << shift <= most) sizes.push_back(std::int64_t{1} << shift);
    }
    return {
        {"Thrust and CUB on CUDA", [sizes] { return memory_cases<Arrays>(sizes, time_passes); }}};
}

}  // namespace nvl72::measure
