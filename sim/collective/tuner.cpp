#include "sim/collective/tuner.hpp"

#include "sim/collective/algorithms.hpp"

#include <algorithm>
#include <bit>

namespace nvl72 {

namespace {

double number(std::int64_t count) { return static_cast<double>(count); }

/// Bytes per second that the ring graph reaches, over all its channels.
double ring_bandwidth(Choice const& choice) {
    auto const& shape = choice.shape;
    double const wiring = std::min(1.0, shape.in_domain.count / choice.section().nvlink.count);
    double const inside = choice.section().tuner.ring_bandwidth.count * wiring;
    if (shape.domains == 1) return inside;
    double const nics = choice.section().tuner.network_graph_share * shape.per_gpu_nic.count *
                        number(smallest_share(shape));
    if (shape.ranks_per_domain == 1) return nics;
    // For two nodes NCCL counts the inside speed; for more, that of the graph over the NICs.
    return shape.domains == 2 ? inside
                              : std::min(nics, choice.section().tuner.nvlink.count * wiring);
}

double ring_seconds(Choice const& choice,
                    TunerLatency const& latency,
                    double protocol_bandwidth,
                    int overheads = 1) {
    auto const steps = ring_steps(choice.op, choice.shape.ranks);
    auto const crossings = ring_network_steps(choice.op, choice.shape.domains);
    double const overhead =
        choice.shape.domains > 1 ? overheads * choice.section().tuner.network_overhead.count : 0;
    double const inside = std::max(latency.nvlink.count, overhead);
    double const waiting = latency.base.count + number(steps - crossings) * inside +
                           number(crossings) * latency.network.count;
    return waiting + ring_factor(choice.op, choice.shape.ranks) *
                         static_cast<double>(choice.size.count) / protocol_bandwidth;
}

/// Bytes per second of one NVLS channel among `ranks` GPUs of a domain.
double nvls_channel(Choice const& choice, std::int64_t ranks) {
    auto const& tuner = choice.section().tuner;
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
        std::min(choice.section().tuner.ll_max.count, ring_bandwidth(choice) / 2);
    return ring_seconds(choice, choice.section().tuner.ll, bandwidth);
}

double tuner_ring_ll128(Choice const& choice) {
    double const bandwidth =
        std::min(choice.section().tuner.ll128_max.count, ring_bandwidth(choice) * 0.92);
    return ring_seconds(choice, choice.section().tuner.ll128, bandwidth);
}

double tuner_ring_simple(Choice const& choice) {
    return ring_seconds(choice, choice.section().tuner.simple, ring_bandwidth(choice), 3);
}

double tuner_nvls(Choice const& choice) {
    std::int64_t const n = choice.shape.ranks;
    double const channels = nvls_channel(choice, n) * number(n);
    double const bandwidth = choice.op == CollectiveOp::all_reduce
                                 ? 2 * channels / bus_factor(choice.op, n)
                                 : channels * bus_factor(choice.op, n);
    return choice.section().tuner.nvls.count + static_cast<double>(choice.size.count) / bandwidth;
}

double tuner_hierarchical(Choice const& choice) {
    auto const& tuner = choice.section().tuner;
    auto const& shape = choice.shape;
    auto const domains = static_cast<std::uint64_t>(shape.domains);
    double const levels = number(std::bit_width(domains) - 1);
    double channel = 2 * nvls_channel(choice, shape.ranks_per_domain);
    if (shape.domains == 2) {
        channel = std::min({channel, tuner.tree_channel_2.count,
                            2 * tuner.network_graph_share * shape.per_gpu_nic.count});
    } else {
        channel = std::min(channel, tuner.tree_channel_3.count);
    }
    double const bandwidth =
        channel * number(shape.ranks_per_domain) / bus_factor(choice.op, shape.ranks);
    return tuner.nvls.count + 2 * levels * tuner.tree_network.count +
           static_cast<double>(choice.size.count) / bandwidth;
}

}  // namespace nvl72
