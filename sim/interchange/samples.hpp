#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nvl72 {

/// What nvl72-measure leaves, as kernels/SAMPLES.md describes it: one row per case here, where the
/// file has one per block. `seconds` is a case's representative time:
///   device_kind host  its quickest block, as other processes only ever slow a CPU down
///   device_kind cuda  the median of the blocks that the file does not flag as outliers
struct SampledCase {
    double seconds = 0;
    double quickest = 0, slowest = 0;  ///< seconds, of all blocks
    std::int64_t blocks = 0;
    /// Each block over the quickest, host only: what the same case takes in other passes.
    std::vector<double> over_quickest = {};
};

/// Names and counts as the file has them; `bytes` is the full buffer as nccl-tests counts it.
struct SampledCollective : SampledCase {
    std::string suite, op, algorithm, protocol, launch, wiring;
    std::int64_t ranks = 0, nodes = 0, channels = 0, bytes = 0, tokens = 0, top_k = 0;
    std::string dtype;
    std::int64_t in_place = 0;
};
struct SampledGemm : SampledCase {
    std::string precision;
    std::int64_t m = 0, n = 0, k = 0;
    std::string launch;
};
struct SampledMemory : SampledCase {
    std::string kind;
    std::int64_t bytes = 0, traffic_bytes = 0;
};
struct SampledCopy : SampledCase {
    std::string from, to, engine;
    std::int64_t bytes = 0;
};
struct SampledLaunch : SampledCase {
    std::string kind;
};
/// A GEMM beside a collective that may hold `sms`; `what` says whose time, and alone or with.
struct SampledOverlap : SampledCase {
    std::string what, precision;
    std::int64_t m = 0, n = 0, k = 0;
    std::string op, algorithm, protocol;
    std::int64_t ranks = 0, bytes = 0, sms = 0;
};

struct Samples {
    std::string path;
    std::string date;                      ///< UTC day of the run, 2026-11-24
    std::string device_kind, device_name;  ///< cuda | host; "NVIDIA GB200", or the CPU's model
    std::string command, nccl_version;
    std::int64_t device_count = 0, nodes = 0, cpu_cores = 0, multicast = 0, peer_access = 0;
    double drift = 0;  ///< by how much its passes differ, 0.1 is 10 %; 0 also where it is not told
    std::string drift_batch;  ///< which passes
    std::vector<SampledCollective> collectives;
    std::vector<SampledGemm> gemms;
    std::vector<SampledMemory> memory;
    std::vector<SampledCopy> copies;
    std::vector<SampledLaunch> launches;
    std::vector<SampledOverlap> overlaps;

    [[nodiscard]] bool host() const { return device_kind == "host"; }
};

/// True for a file that begins as samples do, or as any HDF5 file: by content, whatever its name.
bool is_samples_file(std::string const& path);

/// Reads the whole file, after its checksum. A foreign file, another version (1 had no checksum), a
/// missing column, damage, an impossible value and a file without a time are a ConfigError of one
/// line that names the file and what was expected. Columns and tables unknown here are ignored, as
/// the contract says.
Samples read_samples(std::string const& path);

}  // namespace nvl72
