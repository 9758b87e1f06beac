/// The suite `memory` on the host: Thrust's OpenMP backend, all cores this process may use.

#include "kernels/measure/memory_kinds.hpp"
#include "kernels/measure/memory_pass.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include <thrust/system/omp/execution_policy.h>

namespace nvl72::measure {

namespace {

constexpr std::int64_t element_bytes = sizeof(std::int32_t);
constexpr std::int64_t memory_share = 8;  // two arrays take at most a quarter of the memory

/// Two arrays of the largest size, both touched. Smaller cases move their window on with each
/// pass, so that all of them read memory and not the cache.
struct Arrays {
    explicit Arrays(std::int64_t bytes)
        : from(static_cast<std::size_t>(bytes / element_bytes), 1), to(from) {}

    std::vector<std::int32_t> from, to;
};

/// Twice, four times ... the last-level cache, as far as memory goes.
std::vector<std::int64_t> sizes_past_cache(Machine const& machine, bool quick) {
    auto const cache = std::max<std::int64_t>(machine.llc_bytes, 8 << 20);
    auto const most = machine.host_memory_bytes / memory_share;
    std::vector<std::int64_t> sizes;
    for (std::int64_t multiple :
         quick ? std::vector<std::int64_t>{2} : std::vector<std::int64_t>{2, 4, 8, 16}) {
        if (cache * multiple <= most) sizes.push_back(cache * multiple);
    }
    if (sizes.empty()) sizes.push_back(most);
    return sizes;
}

double time_passes(Arrays& arrays,
                   std::string const& kind,
                   std::int64_t bytes,
                   std::int64_t iterations) {
    auto const count = bytes / element_bytes;
    auto const windows = static_cast<std::int64_t>(arrays.from.size()) / count;
    std::uint32_t sum = 0;
    auto const begin = std::chrono::steady_clock::now();
    for (std::int64_t i = 0; i < iterations; ++i) {
        auto const at = i % windows * count;
        sum += memory_pass(thrust::omp::par, kind, arrays.from.data() + at, arrays.to.data() + at,
                           count);
    }
    std::chrono::duration<double> const took = std::chrono::steady_clock::now() - begin;
    auto const expected = kind == "reduce" ? count * iterations : 0;
    if (sum != static_cast<std::uint32_t>(expected)) {
        throw std::runtime_error("memory " + kind + ": the sum is wrong");
    }
    return took.count() / static_cast<double>(iterations);
}

}  // namespace

std::vector<Batch> host_memory(Settings const& settings, Machine const& machine) {
    auto const sizes = sizes_past_cache(machine, settings.quick);
    return {{"Thrust on OpenMP", [sizes] { return memory_cases<Arrays>(sizes, time_passes); }}};
}

}  // namespace nvl72::measure
