#include "kernels/measure/machine.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <sched.h>
#include <unistd.h>

namespace nvl72::measure {

namespace {

std::string text_of(std::string const& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// The value of the first line `key : value`; empty when there is none.
std::string field_of(std::string const& text, std::string const& key) {
    auto const begin = text.find(key);
    if (begin == std::string::npos) return {};
    auto const end = text.find('\n', begin);
    auto const line = text.substr(begin, end - begin);
    auto const colon = line.find(':');
    if (colon == std::string::npos) return {};
    auto const value = line.find_first_not_of(" \t", colon + 1);
    return value == std::string::npos ? std::string() : line.substr(value);
}

/// Cores this process may use.
std::int64_t usable_cores() {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    if (sched_getaffinity(0, sizeof cores, &cores) == 0) return CPU_COUNT(&cores);
    return std::max<std::int64_t>(1, sysconf(_SC_NPROCESSORS_ONLN));
}

/// Of the highest cache level that the kernel describes; what cores of one socket share.
std::int64_t last_level_cache() {
    std::int64_t bytes = 0;
    for (int index = 0; index < 8; ++index) {
        auto const folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index);
        bytes = std::max(bytes, cache_bytes_of(text_of(folder + "/size")));
    }
    return bytes;
}

std::string compiler_name() {
#if defined(__clang__)
    return "clang++ " + std::to_string(__clang_major__) + "." + std::to_string(__clang_minor__) +
           "." + std::to_string(__clang_patchlevel__);
#elif defined(__GNUC__)
    return "g++ " + std::to_string(__GNUC__) + "." + std::to_string(__GNUC_MINOR__) + "." +
           std::to_string(__GNUC_PATCHLEVEL__);
#else
    return "unknown";
#endif
}

}  // namespace

std::string cpu_model_of(std::string const& cpuinfo) {
    auto model = field_of(cpuinfo, "model name");
    return model.empty() ? "unknown CPU" : model;
}

std::int64_t cache_bytes_of(std::string const& text) {
    std::int64_t number = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || number <= 0 || end == text.data() + text.size()) return 0;
    if (*end == 'K') return number << 10;
    if (*end == 'M') return number << 20;
    return 0;
}

std::int64_t cpu_clock_hz() {
    auto const text = field_of(text_of("/proc/cpuinfo"), "cpu MHz");
    double megahertz = 0;
    auto const found = std::from_chars(text.data(), text.data() + text.size(), megahertz);
    return found.ec == std::errc() ? std::llround(megahertz * 1e6) : 0;
}

std::string cuda_version_text(int version) {
    if (version <= 0) return {};
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

Machine host_machine() {
    Machine machine;
    machine.cpu_model = cpu_model_of(text_of("/proc/cpuinfo"));
    machine.cpu_cores = usable_cores();
    machine.device_name = machine.cpu_model;
    machine.device_count = machine.cpu_cores;
    machine.host_memory_bytes = sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGE_SIZE);
    machine.llc_bytes = last_level_cache();
    machine.compiler = compiler_name();
    return machine;
}

}  // namespace nvl72::measure
