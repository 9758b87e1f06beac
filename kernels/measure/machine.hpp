#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nvl72::measure {

/// What was measured on; the root attributes of the samples file, explained in kernels/SAMPLES.md.
/// Texts are empty and numbers 0 where a thing is not there or does not tell.
struct Machine {
    std::string device_kind = "host", device_name;
    std::int64_t device_count = 1, nodes = 1;
    std::string cpu_model;
    std::int64_t cpu_cores = 1, host_memory_bytes = 0, llc_bytes = 0;
    std::string compiler, driver_version, cuda_version, nccl_version, cublaslt_version;
    std::string compute_capability;
    std::int64_t sm_count = 0, l2_bytes = 0, device_memory_bytes = 0;
    std::int64_t core_clock_max_hz = 0, memory_clock_max_hz = 0;
    std::int64_t multicast = 0, peer_access = 0;
};

/// This host, as device kind `host`.
Machine host_machine();

/// The first `model name` of /proc/cpuinfo's text, or `unknown CPU`.
std::string cpu_model_of(std::string const& cpuinfo);

/// Bytes of the kernel's cache size text: `32768K`, `32M`; 0 when it is neither.
std::int64_t cache_bytes_of(std::string const& text);

/// The first `cpu MHz` of /proc/cpuinfo, in Hz; 0 when it is not told.
std::int64_t cpu_clock_hz();

/// `13.0` of CUDA's 13000; empty for 0.
std::string cuda_version_text(int version);

}  // namespace nvl72::measure
