#include "sim/collective/tuner.hpp"

#include "sim/collective/algorithms.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace nvl72 {

namespace {

double number(std::int64_t count) { return static_cast<double>(count); }

/// The fastest channel that NCCL tries of those that a link carries; the slowest where none fits.
double graph_speed(std::vector<BytesPerSecond> const& speeds, double limit) {
    auto const found =
        std::ranges::find_if(speeds, [&](BytesPerSecond speed) { return speed.count <= limit; });
    return found == speeds.end() ? speeds.back().count : found->count;
}

/// All channels of a ring graph over NICs, as NCCL's search finds it: the first speed at which as
/// many channels as NICs and NVLink carry use all of NVLink, or the best. A faster NIC than NVLink
/// can feed makes no faster graph.
///   source  NCCL 2.30.7, src/graph/search.cc
double network_graph(Choice const& choice, double nvlink) {
    auto const& shape = choice.shape;
    double const inside = number(shape.ranks_per_domain);
    constexpr double whole = 1 + 1e-9;  // a NIC of two channels' speed carries two
    double best = 0;
    for (auto const speed : choice.section().tuner.network_speeds) {
        double channels = std::floor(shape.per_gpu_nic.count / speed.count * whole) *
                          number(smallest_share(shape));
        // Its channels leave one GPU in L not by NVLink.
        if (shape.ranks_per_domain > 1) {
            double const fit = nvlink * inside / (inside - 1) / speed.count;
            channels = std::min(channels, std::floor(fit * whole));
        }
        best = std::max(best, channels * speed.count);
        if (shape.ranks_per_domain > 1 && best >= nvlink) break;
    }
    return best > 0 ? best : shape.per_gpu_nic.count * number(smallest_share(shape));
}

/// Bytes per second that the ring graph reaches, over all its channels.
double ring_bandwidth(Choice const& choice) {
    auto const& shape = choice.shape;
    auto const& tuner = choice.section().tuner;
    double const wiring = std::min(1.0, shape.in_domain.count / choice.section().nvlink.count);
    double const inside = tuner.ring_bandwidth.count * wiring;
    // For two nodes NCCL counts the inside speed; for more, that of the graph over the NICs.
    bool const over_nics = shape.domains > 2 || (shape.domains == 2 && shape.ranks_per_domain == 1);
    return over_nics ? network_graph(choice, tuner.nvlink.count * wiring) : inside;
}

/// What LL carries at most: between domains the CPU's proxy limits it.
double ll_max(Choice const& choice) {
    auto const& tuner = choice.section().tuner;
    if (choice.shape.domains == 1) return tuner.ll_max.count;
    return tuner.ll_max_network.at(choice.shape.domains == 2 ? 0 : 1).count;
}

double ring_seconds(Choice const& choice,
                    TunerLatency const& latency,
                    double protocol_bandwidth,
                    int overheads = 1,
                    double penalty = 1) {
    auto const steps = ring_steps(choice.op, choice.shape.ranks);
    auto const crossings = ring_network_steps(choice.op, choice.shape.domains);
    double const overhead =
        choice.shape.domains > 1 ? overheads * choice.section().tuner.network_overhead.count : 0;
    double const inside = std::max(latency.nvlink.count, overhead);
    double const waiting = latency.base.count + number(steps - crossings) * inside +
                           number(crossings) * latency.network.count;
    return penalty * waiting + ring_factor(choice.op, choice.shape.ranks) *
                                   static_cast<double>(choice.size.count) / protocol_bandwidth;
}

/// Bytes per second of one NVLS channel among `ranks` GPUs of a domain.
double nvls_channel(Choice const& choice, std::int64_t ranks) {
    auto const& tuner = choice.section().tuner;
    double const limit = tuner.nvlink.count / number(ranks + 1);
    double const speed = graph_speed(tuner.nvls_speeds, limit);
    double const heads = number(ranks);  // one channel a GPU
    return tuner.nvls_efficiency * speed * (heads - 1) / heads;
}

}  // namespace

double tuner_ring_ll(Choice const& choice) {
    double const bandwidth = std::min(ll_max(choice), ring_bandwidth(choice) / 2);
    return ring_seconds(choice, choice.section().tuner.ll, bandwidth);
}

double tuner_ring_ll128(Choice const& choice) {
    double const bandwidth =
        std::min(choice.section().tuner.ll128_max.count, ring_bandwidth(choice) * 0.92);
    return ring_seconds(choice, choice.section().tuner.ll128, bandwidth);
}

double tuner_ring_simple(Choice const& choice) {
    auto const& tuner = choice.section().tuner;
    auto const& shape = choice.shape;
    // "Plateau effect": full chunks of an all-reduce over domains are given 1.4 times the latency.
    bool const full = choice.op == CollectiveOp::all_reduce && shape.domains > 1 &&
                      choice.size.count >= std::int64_t{64} * tuner.network_channels * shape.ranks;
    return ring_seconds(choice, tuner.simple, ring_bandwidth(choice), 3, full ? 1.4 : 1);
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
                            2 * graph_speed(tuner.network_speeds, shape.per_gpu_nic.count)});
    } else {
        channel = std::min(channel, tuner.tree_channel_3.count);
    }
    double const bandwidth =
        channel * number(shape.ranks_per_domain) / bus_factor(choice.op, shape.ranks);
    return tuner.nvls.count + 2 * levels * tuner.tree_network.count +
           static_cast<double>(choice.size.count) / bandwidth;
}

namespace {

/// The share that NCCL gives a buffer of this size, by its power of two from 64 B; it gives the
/// whole to those of the list's last, 512 MiB, and above.
double tree_share(std::vector<double> const& shares, Bytes size) {
    auto const blocks = static_cast<std::uint64_t>(std::max<std::int64_t>(1, size.count / 64));
    auto const power = static_cast<std::size_t>(std::bit_width(blocks) - 1);
    return power + 1 < shares.size() ? shares[power] : 1;
}

/// All channels of the tree's graph, which NCCL takes for 8 % slower than the ring's.
double tree_graph(Choice const& choice) {
    auto const& tuner = choice.section().tuner;
    double const cap = tuner.tree.channel.at(choice.shape.domains > 2 ? 1 : 0).count;
    return std::min(0.92 * ring_bandwidth(choice), tuner.network_channels * cap);
}

/// Half of `bandwidth`, as every byte passes twice.
double tree_seconds(Choice const& choice,
                    TunerLatency const& latency,
                    double bandwidth,
                    std::vector<double> const& shares) {
    auto const& shape = choice.shape;
    double const waiting =
        latency.base.count + 2 * (number(shape.ranks_per_domain - 1) * latency.nvlink.count +
                                  number(tree_levels(shape.domains)) * latency.network.count);
    return waiting + static_cast<double>(choice.size.count) /
                         (0.5 * bandwidth * tree_share(shares, choice.size));
}

}  // namespace

double tuner_tree_ll(Choice const& choice) {
    auto const& tree = choice.section().tuner.tree;
    double const bandwidth = std::min(tree_graph(choice) / 3.8, ll_max(choice));
    return tree_seconds(choice, tree.ll, bandwidth, tree.share_ll);
}

double tuner_tree_ll128(Choice const& choice) {
    auto const& tuner = choice.section().tuner;
    auto const& tree = tuner.tree;
    double const cap = tree.channel_ll128.at(choice.shape.domains > 2 ? 1 : 0).count;
    double const bandwidth = std::min(tree_graph(choice) * 15 / 16, tuner.network_channels * cap);
    return tree_seconds(choice, tree.ll128, bandwidth, tree.share_ll128);
}

double tuner_tree_simple(Choice const& choice) {
    auto const& tree = choice.section().tuner.tree;
    return tree_seconds(choice, tree.simple, tree_graph(choice), tree.share_simple);
}

double tuner_pat(Choice const& choice) {
    auto const& others = choice.section().tuner.others;
    double const waiting = others.pat_base.count +
                           number(tree_levels(choice.shape.domains)) * others.pat_network.count +
                           number(choice.shape.ranks) * others.pat_rank.count;
    double const bandwidth = others.pat_share * ring_bandwidth(choice);
    return waiting + ring_factor(choice.op, choice.shape.ranks) *
                         static_cast<double>(choice.size.count) / bandwidth;
}

double tuner_collnet(Choice const& choice) {
    auto const& others = choice.section().tuner.others;
    double const peers = number(choice.shape.ranks_per_domain - 1);
    double const waiting =
        2 * (std::min(1.0, peers) * others.collnet_nvlink.count + 0.4e-6 * peers) +
        others.collnet_network.count;
    double const inside = number(choice.shape.ranks_per_domain);
    double const factor = 0.5 + inside / (2.0 * choice.section().tuner.network_channels);
    return waiting +
           static_cast<double>(choice.size.count) * factor / (0.85 * ring_bandwidth(choice));
}

}  // namespace nvl72
