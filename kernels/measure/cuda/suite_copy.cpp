/// The suite `copy`: pinned host memory and GPUs, every direction, by copy engine and by SM.

#include "kernels/measure/cuda/api.hpp"
#include "kernels/measure/cuda/kernels.hpp"
#include "kernels/measure/errors.hpp"
#include "kernels/measure/suites.hpp"

#include <algorithm>
#include <memory>

namespace nvl72::measure {

namespace {

constexpr int host = -1;          // as the end of a copy
constexpr int blocks_per_sm = 2;  // of copy_lanes = 1024 threads: an SM's most

/// One buffer and one stream per GPU, one buffer on the host; sources and targets are halves, so
/// that a copy within a GPU has both.
struct Ends {
    Ends(int devices, std::int64_t bytes) : half(bytes), pinned(2 * bytes) {
        for (int device = 0; device < devices; ++device) {
            memory.emplace_back(device, 2 * bytes);
            streams.emplace_back(device);
        }
    }
    std::byte* source(int end) const {
        return end == host ? pinned.data() : memory[at(end)].data();
    }
    std::byte* target(int end) const { return source(end) + half; }
    static std::size_t at(int device) { return static_cast<std::size_t>(device); }

    std::int64_t half;
    PinnedMemory pinned;
    std::vector<DeviceMemory> memory;
    std::vector<Stream> streams;
};

std::string name_of(int end) { return end == host ? "host" : "gpu" + std::to_string(end); }

/// Lets `device` read and write `peer`'s memory; more than once is no error.
void open_peer(int device, int peer) {
    if (device == host || peer == host || device == peer) return;
    int can = 0;
    cuda_expect(cudaDeviceCanAccessPeer(&can, device, peer), "cudaDeviceCanAccessPeer");
    if (can == 0) {
        throw CaseUnavailable("no peer access from gpu" + std::to_string(device) + " to gpu" +
                              std::to_string(peer));
    }
    cuda_expect(cudaSetDevice(device), "cudaSetDevice");
    auto const error = cudaDeviceEnablePeerAccess(peer, 0);
    if (error == cudaErrorPeerAccessAlreadyEnabled) {
        (void)cudaGetLastError();
        return;
    }
    cuda_expect(error, "cudaDeviceEnablePeerAccess");
}

double time_copy(Ends const& ends,
                 int from,
                 int to,
                 bool by_sm,
                 std::int64_t bytes,
                 int sm_count,
                 std::int64_t iterations) {
    // The receiving GPU runs the copy, so that its SMs read across the link; else the sending one.
    int const runs = to == host ? from : to;
    open_peer(runs, from);
    auto const& stream = ends.streams[Ends::at(runs)];
    return time_on(stream, iterations, false, [&](std::int64_t i) {
        auto const at = window(i, bytes, ends.half, ends.half);
        auto* const target = ends.target(to) + at;
        auto const* source = ends.source(from) + at;
        if (by_sm) {
            launch_copy(target, source, bytes, blocks_per_sm * sm_count, false, stream.get());
        } else {
            cuda_expect(cudaMemcpyAsync(target, source, static_cast<std::size_t>(bytes),
                                        cudaMemcpyDefault, stream.get()),
                        "cudaMemcpyAsync");
        }
    });
}

/// The pairs of ends of which all sizes are taken, and those of which only the largest is, to
/// find an odd link.
std::vector<std::pair<int, int>> main_pairs(int devices) {
    std::vector<std::pair<int, int>> pairs{{host, 0}, {0, host}, {0, 0}};
    if (devices > 1) pairs.insert(pairs.end(), {{0, 1}, {1, 0}});
    return pairs;
}
std::vector<std::pair<int, int>> other_pairs(int devices) {
    auto const main = main_pairs(devices);
    std::vector<std::pair<int, int>> pairs;
    for (int from = host; from < devices; ++from) {
        for (int to = host; to < devices; ++to) {
            std::pair const pair{from, to};
            bool const local = from == to;
            if (!local && std::ranges::find(main, pair) == main.end()) pairs.push_back(pair);
        }
    }
    return pairs;
}

std::vector<Case> cases_of(Machine const& machine, std::vector<std::int64_t> const& sizes) {
    auto const devices = static_cast<int>(machine.device_count);
    auto const sms = static_cast<int>(machine.sm_count);
    auto const largest = std::ranges::max(sizes);
    auto const ends = std::make_shared<Ends>(devices, largest);
    std::vector<Case> cases;
    auto const add = [&](int from, int to, std::int64_t bytes) {
        for (bool const by_sm : {false, true}) {
            CopyRow const row{name_of(from), name_of(to), by_sm ? "sm" : "ce", bytes};
            cases.push_back({row, [=](std::int64_t n) {
                                 return time_copy(*ends, from, to, by_sm, bytes, sms, n);
                             }});
        }
    };
    for (auto const& [from, to] : main_pairs(devices)) {
        for (auto const bytes : sizes) add(from, to, bytes);
    }
    for (auto const& [from, to] : other_pairs(devices)) add(from, to, largest);
    return cases;
}

}  // namespace

std::vector<Batch> cuda_copy(Settings const& settings, Machine const& machine) {
    std::vector<std::int64_t> sizes;
    for (int shift = 12; shift <= 28; shift += settings.quick ? 8 : 2) {  // 4 KiB to 256 MiB
        sizes.push_back(std::int64_t{1} << shift);
    }
    return {{"host and GPUs", [machine, sizes] { return cases_of(machine, sizes); }}};
}

}  // namespace nvl72::measure
