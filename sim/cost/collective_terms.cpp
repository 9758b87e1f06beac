#include "sim/cost/collective_cost.hpp"

#include "sim/base/error.hpp"
#include "sim/cost/collective_scene.hpp"
#include "sim/cost/ring_cost.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace nvl72 {

namespace {

using Algorithm = CollectiveAlgorithm;

using namespace collective_scene;

/// What the NICs need for a tree, whose channels leave a large domain by some of its NICs only.
double tree_nic_seconds(Scene const& scene, double efficiency) {
    double const share = number(smallest_share(scene.shape)) /
                         static_cast<double>(scene.section.network.tree_nics_max);
    return scene.nic_seconds(efficiency) * std::max(1.0, share);
}

/// Up the chains and the tree, and back: L - 1 steps of the ring inside a domain, then one network
/// hop a level.
CollectiveTerms tree_terms(Scene const& scene) {
    struct Protocol {
        double base, hop_empty, hop, network_hop, bandwidth, payload;
    };
    auto const& section = scene.section;
    auto const& ll = section.ring_ll;
    auto const& network = section.network;
    double const units = scene.size / section.tree.step_bytes.count;
    auto const protocol = [&]() -> Protocol {
        switch (algorithm_of(scene.query)) {
            case Algorithm::tree_ll:
                return {ll.base.count,
                        ll.hop.count,
                        ll.hop.count + ll.hop_data.count * units / (1 + units),
                        network.hop_ll.count,
                        section.tree.ll.count,
                        0.5};
            case Algorithm::tree_ll128:
                return {ll.base.count,
                        section.tree.step_ll128.count,
                        section.tree.step_ll128.count,
                        network.hop_ll128.count,
                        section.tree.ll128.count,
                        120.0 / 128};
            default:
                return {section.ring_simple.base.count, section.ring_simple.step.count,
                        section.ring_simple.step.count, network.hop_simple.count,
                        section.tree.simple.count,      1};
        }
    }();
    double const chain = 2 * number(scene.shape.ranks_per_domain - 1);
    double const climb = 2 * number(tree_levels(scene.shape.domains)) * protocol.network_hop;
    return {protocol.base + chain * protocol.hop_empty + climb,
            protocol.base + chain * protocol.hop + climb,
            std::max(scene.load.nvlink * scene.nvlink_stretch() / protocol.bandwidth,
                     tree_nic_seconds(scene, network.ring_efficiency * protocol.payload))};
}

/// One rank a domain: a tree of sends that doubles its reach each level.
CollectiveTerms pat_terms(Scene const& scene) {
    auto const& network = scene.section.network;
    double const latency = scene.section.ring_simple.base.count +
                           number(tree_levels(scene.shape.domains)) * network.hop_simple.count;
    return {latency, latency, scene.nic_seconds(network.ring_efficiency)};
}

CollectiveTerms symmetric_terms(Scene const& scene) {
    if (!scene.section.symmetric) {
        throw ConfigError(
            "this GPU's profile has no symmetric branch (expected another algorithm)");
    }
    auto const& branch = *scene.section.symmetric;
    double const sent = (scene.n - 1) * scene.size;
    if (scene.size <= branch.ll_bytes.count) {
        return {branch.ll_base.count, branch.ll_base.count,
                sent * scene.nvlink_stretch() / branch.ll_bandwidth.count};
    }
    return {branch.base.count, branch.base.count,
            scene.load.nvlink * scene.nvlink_stretch() / branch.bandwidth.count};
}

/// NVLS in every domain. Its chunks wait for the slowest of all ranks of the group, which slows
/// every byte, and fill a pipeline over all of them.
CollectiveTerms nvls_terms(Scene const& scene) {
    if (!scene.section.nvls) {
        throw ConfigError("this GPU's profile has no nvls branch (expected a ring algorithm)");
    }
    auto const& nvls = *scene.section.nvls;
    double const crowd = 1 + nvls.rank_loss * std::log(std::max(1.0, scene.n / 8));
    double const knee = nvls.ramp_bytes_per_rank.count * scene.n;
    double const bytes = scene.load.nvlink / scene.size * ramped(scene.size, nvls.ramp, knee);
    return {nvls.base.count, nvls.base.count,
            bytes * crowd * scene.nvlink_stretch() / nvls.bandwidth.count};
}

/// NVLS in each domain, chunk by chunk, and `levels` between domains, each with a latency of its
/// own. Chunks keep switches and NICs busy at once, but not without gaps: the nearer the two stages
/// are to one another, the more each waits for the other.
CollectiveTerms switched_terms(Scene const& scene, double levels) {
    auto const& network = scene.section.network;
    double const way = 2 * levels * (network.tree_step.count + network.hop_simple.count);
    CollectiveTerms terms = nvls_terms(scene);
    terms.latency_empty += way;
    terms.latency += way;
    terms.transfer = norm_of(terms.transfer, tree_nic_seconds(scene, network.ring_efficiency),
                             network.tree_norm);
    return terms;
}

CollectiveTerms hierarchical_terms(Scene const& scene) {
    return switched_terms(scene, number(deepest_level(scene.shape.domains)));
}

/// The network's switches sum: one level.
CollectiveTerms collnet_terms(Scene const& scene) { return switched_terms(scene, 1); }

double alltoall_start(Scene const& scene, double base) {
    auto const far = scene.shape.ranks - smallest_share(scene.shape);
    return base +
           (scene.shape.domains > 1 ? number(far) * scene.section.network.alltoall_peer.count : 0);
}

CollectiveTerms alltoall_ll_terms(Scene const& scene) {
    auto const& branch = scene.section.alltoall_ll;
    double const latency = alltoall_start(scene, branch.base.count);
    double const inside = scene.size / scene.n / branch.peer_bandwidth.count;
    double const efficiency = scene.section.network.alltoall_efficiency / 2;  // LL: half is flags
    return {latency, latency,
            std::max(inside * scene.nvlink_stretch(), scene.nic_seconds(efficiency))};
}

CollectiveTerms alltoall_simple_terms(Scene const& scene) {
    auto const& branch = scene.section.alltoall_simple;
    double const latency = alltoall_start(scene, branch.base.count);
    double const size = ramped(scene.size, branch.ramp, branch.ramp_bytes.count);
    double const share = scene.load.nvlink / scene.size;
    double const inside = (share + branch.copy / scene.n) * size / branch.bandwidth.count;
    return {latency, latency,
            std::max(inside * scene.nvlink_stretch(),
                     scene.nic_seconds(scene.section.network.alltoall_efficiency))};
}

/// Channels of one send: NCCL has a number of them for all ranks' sends, and halves it until they
/// fit.
///   source  NCCL 2.30.7, src/enqueue.cc
std::int64_t channels_of_a_send(std::int64_t channels_max, std::int64_t ranks) {
    std::int64_t channels = channels_max;
    while (channels > 1 && channels * ranks > channels_max) channels /= 2;
    return channels;
}

/// Seconds that the channels of one send need inside a domain, where NCCL doubles them as long as a
/// channel's part is large: then the largest part binds.
double channel_seconds(SendrecvBranch const& branch, std::int64_t ranks, double size) {
    double const part = size / number(channels_of_a_send(branch.channels_max, ranks));
    return std::min(part, branch.part_bytes.count) / branch.channel_bandwidth.count;
}

/// Between domains no log shows the channels doubled.
double network_channel_seconds(NetworkBranch const& network, std::int64_t ranks, double size) {
    auto const channels = channels_of_a_send(network.sendrecv_channels_max, ranks);
    return size / number(channels) / network.sendrecv_channel.count;
}

CollectiveTerms sendrecv_terms(Scene const& scene) {
    auto const& branch = scene.section.sendrecv;
    auto const& network = scene.section.network;
    double const linked = scene.size / branch.bandwidth.count * scene.nvlink_stretch();
    if (scene.shape.domains == 1) {
        double const channels = channel_seconds(branch, scene.shape.ranks, scene.size);
        return {branch.base.count, branch.base.count,
                std::max(linked, channels * scene.nvlink_stretch())};
    }
    return {network.sendrecv_base.count, network.sendrecv_base.count,
            std::max({linked, scene.nic_seconds(network.sendrecv_efficiency),
                      network_channel_seconds(network, scene.shape.ranks, scene.size)})};
}

CollectiveTerms branch_terms(CollectiveSection const& section, Collective const& query) {
    NVL72_EXPECT(query.shape.ranks >= 2, "a collective has at least two ranks");
    NVL72_EXPECT(query.size.count > 0, "a collective moves bytes");
    NVL72_EXPECT(query.shape.ranks_per_domain == 1 || query.shape.in_domain.count > 0,
                 "GPUs of one domain are joined by NVLink");
    Scene const scene{section, query};
    switch (algorithm_of(query)) {
        case Algorithm::ring_ll:
        case Algorithm::ring_ll128:
        case Algorithm::ring_simple: return ring_terms(section, query);
        case Algorithm::nvls: return nvls_terms(scene);
        case Algorithm::hierarchical: return hierarchical_terms(scene);
        case Algorithm::alltoall_ll: return alltoall_ll_terms(scene);
        case Algorithm::alltoall_simple: return alltoall_simple_terms(scene);
        case Algorithm::sendrecv: return sendrecv_terms(scene);
        case Algorithm::tree_ll:
        case Algorithm::tree_ll128:
        case Algorithm::tree_simple: return tree_terms(scene);
        case Algorithm::pat: return pat_terms(scene);
        case Algorithm::collnet: return collnet_terms(scene);
        case Algorithm::symmetric: return symmetric_terms(scene);
        default: break;  // microkernels have a section of their own
    }
    NVL72_EXPECT(false, "every algorithm has its branch");
    return {};
}

/// What one host thread needs to launch for all its GPUs, where it launches for several.
double launching_seconds(LaunchBranch const& branch, Collective const& query) {
    auto const& launch = query.launch;
    if (launch.gpus < 2) return 0;
    double const once = launch.mode != LaunchMode::eager ? branch.graph.count
                        : reduces(query.op)              ? branch.eager_reducing.count
                                                         : branch.eager_copying.count;
    return once * launch.gpus;
}

}  // namespace

CollectiveTerms collective_terms(CollectiveSection const& section, Collective const& query) {
    CollectiveTerms terms = branch_terms(section, query);
    terms.launching = launching_seconds(section.launch, query);
    return terms;
}

}  // namespace nvl72
