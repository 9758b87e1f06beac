#include "sim/collective/tuner.hpp"

#include "sim/collective/algorithms.hpp"

#include <algorithm>
#include <bit>

namespace nvl72 {

namespace {

/// Microseconds of one protocol in NCCL's table.
struct Latencies {
    double base, nvlink, network;
};
// published: NCCL 2.30.7 src/graph/tuning.cc, baseLatencies and hwLatencies of the ring
constexpr Latencies ll{6.6, 0.6, 2.7};
constexpr Latencies ll128{14, 1.9, 4};
constexpr Latencies simple{8.4, 3.4, 14};
constexpr double nvls_latency = 25;  // NVLS and NVLSTree, inside a node
constexpr double tree_network_latency = 20.9;
constexpr double network_overhead = 1;  // of a ring step, three times for Simple
/// Inter-node graph speeds are the largest list entry below the NIC: 48 of 50 GB/s.
constexpr double network_graph_speed = 0.96;

double number(std::int64_t count) { return static_cast<double>(count); }

/// Bytes per second that the ring graph reaches, over all its channels.
double ring_bandwidth(Choice const& choice) {
    auto const& shape = choice.shape;
    double const wiring = std::min(1.0, shape.in_domain.count / choice.section.nvlink.count);
    double const inside = choice.section.tuner.ring_bandwidth.count * wiring;
    if (shape.domains == 1) return inside;
    double const nics =
        network_graph_speed * shape.per_gpu_nic.count * number(smallest_share(shape));
    if (shape.ranks_per_domain == 1) return nics;
    // For two nodes NCCL counts the inside speed; for more, that of the graph over the NICs.
    return shape.domains == 2 ? inside : std::min(nics, choice.section.tuner.nvlink.count * wiring);
}

double ring_seconds(Choice const& choice,
                    Latencies const& latency,
                    double protocol_bandwidth,
                    double overhead) {
    auto const steps = ring_steps(choice.op, choice.shape.ranks);
    auto const crossings = ring_network_steps(choice.op, choice.shape.domains);
    double const inside =
        choice.shape.domains > 1 ? std::max(latency.nvlink, overhead) : latency.nvlink;
    double const us =
        latency.base + number(steps - crossings) * inside + number(crossings) * latency.network;
    return us * 1e-6 + ring_factor(choice.op, choice.shape.ranks) *
                           static_cast<double>(choice.size.count) / protocol_bandwidth;
}

/// Bytes per second of one NVLS channel among `ranks` GPUs of a domain.
double nvls_channel(Choice const& choice, std::int64_t ranks) {
    auto const& tuner = choice.section.tuner;
    double const limit = tuner.nvlink.count / number(ranks + 1);
    auto const& speeds = tuner.nvls_speeds;
    auto const found =
        std::ranges::find_if(speeds, [&](BytesPerSecond speed) { return speed.count <= limit; });
    double const speed = found == speeds.end() ? speeds.back().count : found->count;
    double const heads = number(ranks);  // one channel a GPU
    return tuner.nvls_efficiency * speed * (heads - 1) / heads;
}

}  // namespace

double tuner_ring_ll(Choice const& choice) {
    double const bandwidth =
        std::min(choice.section.tuner.ll_max.count, ring_bandwidth(choice) / 2);
    return ring_seconds(choice, ll, bandwidth, network_overhead);
}

double tuner_ring_ll128(Choice const& choice) {
    double const bandwidth =
        std::min(choice.section.tuner.ll128_max.count, ring_bandwidth(choice) * 0.92);
    return ring_seconds(choice, ll128, bandwidth, network_overhead);
}

double tuner_ring_simple(Choice const& choice) {
    return ring_seconds(choice, simple, ring_bandwidth(choice), 3 * network_overhead);
}

double tuner_nvls(Choice const& choice) {
    std::int64_t const n = choice.shape.ranks;
    double const channels = nvls_channel(choice, n) * number(n);
    double const bandwidth = choice.op == CollectiveOp::all_reduce
                                 ? 2 * channels / bus_factor(choice.op, n)
                                 : channels * bus_factor(choice.op, n);
    return nvls_latency * 1e-6 + static_cast<double>(choice.size.count) / bandwidth;
}

double tuner_hierarchical(Choice const& choice) {
    auto const& tuner = choice.section.tuner;
    auto const& shape = choice.shape;
    auto const domains = static_cast<std::uint64_t>(shape.domains);
    double const levels = number(std::bit_width(domains) - 1);
    double channel = 2 * nvls_channel(choice, shape.ranks_per_domain);
    if (shape.domains == 2) {
        channel = std::min({channel, tuner.tree_channel_2.count,
                            2 * network_graph_speed * shape.per_gpu_nic.count});
    } else {
        channel = std::min(channel, tuner.tree_channel_3.count);
    }
    double const bandwidth =
        channel * number(shape.ranks_per_domain) / bus_factor(choice.op, shape.ranks);
    return (nvls_latency + 2 * levels * tree_network_latency) * 1e-6 +
           static_cast<double>(choice.size.count) / bandwidth;
}

}  // namespace nvl72
