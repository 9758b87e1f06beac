#include "sim/study/collective_groups.hpp"

namespace nvl72 {

namespace {

using Algorithm = CollectiveAlgorithm;
using Group = CollectiveGroup;

bool inside(Collective const& query, Algorithm algorithm) {
    return !across(query) && algorithm_of(query) == algorithm;
}

template <class Member>
CollectiveKnob time_knob(std::string key, double us, double low, double high, Member at) {
    return {std::move(key), Dimension::seconds, us * 1e-6, low * 1e-6, high * 1e-6, at};
}
template <class Member>
CollectiveKnob number_knob(std::string key, double start, double low, double high, Member at) {
    return {std::move(key), Dimension::number, start, low, high, at};
}
/// In shares of `full`.
template <class Member>
CollectiveKnob rate_knob(
    std::string key, double full, double start, double low, double high, Member at) {
    return {std::move(key), Dimension::bytes_per_second, start * full, low * full, high * full, at};
}
template <class Member>
CollectiveKnob size_knob(std::string key, double mib, double low, double high, Member at) {
    return {std::move(key), Dimension::bytes, mib * 0x1p20, low * 0x1p20, high * 0x1p20, at};
}

using S = CollectiveSection;

// Bounds: a protocol's payload stays under 90 % of NVLink's rate, for headers; times and shares as
// collectives of any GPU show them.
std::vector<Group> ring_groups(double nvlink) {
    return {
        {"ring-ll",
         [](Collective const& q) { return inside(q, Algorithm::ring_ll); },
         {time_knob("ring_ll.base", 6, 1, 20, [](S& s) -> double& { return s.ring_ll.base.count; }),
          time_knob("ring_ll.hop", 0.8, 0.1, 5,
                    [](S& s) -> double& { return s.ring_ll.hop.count; }),
          time_knob("ring_ll.hop_data", 0.3, 0.01, 5,
                    [](S& s) -> double& { return s.ring_ll.hop_data.count; }),
          rate_knob("ring_ll.bandwidth", nvlink, 0.33, 0.05, 0.9,
                    [](S& s) -> double& { return s.ring_ll.bandwidth.count; }),
          number_knob("ring_ll.local", 0.1, 0.005, 5,
                      [](S& s) -> double& { return s.ring_ll.local; })}},
        {"ring-ll128",
         [](Collective const& q) { return inside(q, Algorithm::ring_ll128); },
         {time_knob("ring_ll128.step", 1.5, 0.2, 10,
                    [](S& s) -> double& { return s.ring_ll128.step.count; }),
          rate_knob("ring_ll128.bandwidth", nvlink, 0.6, 0.1, 0.9,
                    [](S& s) -> double& { return s.ring_ll128.bandwidth.count; })}},
        {"ring-simple",
         [](Collective const& q) { return inside(q, Algorithm::ring_simple); },
         {time_knob("ring_simple.base", 15, 1, 60,
                    [](S& s) -> double& { return s.ring_simple.base.count; }),
          time_knob("ring_simple.step", 3, 0.2, 30,
                    [](S& s) -> double& { return s.ring_simple.step.count; }),
          rate_knob("ring_simple.bandwidth", nvlink, 0.8, 0.2, 0.9,
                    [](S& s) -> double& { return s.ring_simple.bandwidth.count; }),
          number_knob("ring_simple.local", 0.1, 0.005, 3,
                      [](S& s) -> double& { return s.ring_simple.local; }),
          number_knob("ring_simple.ramp", 0.2, 0.01, 2,
                      [](S& s) -> double& { return s.ring_simple.ramp; }),
          size_knob("ring_simple.ramp_bytes", 32, 1, 400,
                    [](S& s) -> double& { return s.ring_simple.ramp_bytes.count; })}},
        {"ring-simple, parts",
         [](Collective const& q) {
             return inside(q, Algorithm::ring_simple) && q.op != CollectiveOp::all_reduce;
         },
         {number_knob("ring_simple.out_of_place_copy", 0.1, 0.005, 3,
                      [](S& s) -> double& { return s.ring_simple.out_of_place_copy; })}},
        {"ring-simple, 1-byte reductions",
         [](Collective const& q) {
             return inside(q, Algorithm::ring_simple) && q.bytes_per_element == 1 &&
                    q.op != CollectiveOp::all_gather;
         },
         {number_knob("ring_simple.int8_reduction", 1.05, 1, 1.5,
                      [](S& s) -> double& { return s.ring_simple.int8_reduction; })}},
    };
}

std::vector<Group> switch_groups(double nvlink) {
    return {
        {"nvls",
         [](Collective const& q) { return inside(q, Algorithm::nvls); },
         {time_knob("nvls.base", 25, 2, 100, [](S& s) -> double& { return s.nvls->base.count; }),
          rate_knob("nvls.bandwidth", nvlink, 0.65, 0.2, 0.9,
                    [](S& s) -> double& { return s.nvls->bandwidth.count; }),
          number_knob("nvls.ramp", 0.5, 0.01, 3, [](S& s) -> double& { return s.nvls->ramp; }),
          size_knob("nvls.ramp_bytes_per_rank", 8, 1, 1000,
                    [](S& s) -> double& { return s.nvls->ramp_bytes_per_rank.count; })}},
        {"nvls beyond 8",
         [](Collective const& q) { return inside(q, Algorithm::nvls) && q.shape.ranks > 8; },
         {number_knob("nvls.rank_loss", 0.04, 1e-3, 0.5,
                      [](S& s) -> double& { return s.nvls->rank_loss; })}},
        {"alltoall",
         [](Collective const& q) { return !across(q) && q.op == CollectiveOp::alltoall; },
         {time_knob("alltoall_ll.base", 8, 1, 30,
                    [](S& s) -> double& { return s.alltoall_ll.base.count; }),
          rate_knob("alltoall_ll.peer_bandwidth", nvlink, 0.02, 0.001, 0.6,
                    [](S& s) -> double& { return s.alltoall_ll.peer_bandwidth.count; }),
          time_knob("alltoall_simple.base", 15, 1, 60,
                    [](S& s) -> double& { return s.alltoall_simple.base.count; }),
          rate_knob("alltoall_simple.bandwidth", nvlink, 0.8, 0.2, 0.9,
                    [](S& s) -> double& { return s.alltoall_simple.bandwidth.count; }),
          number_knob("alltoall_simple.ramp", 0.2, 0.01, 2,
                      [](S& s) -> double& { return s.alltoall_simple.ramp; }),
          size_knob("alltoall_simple.ramp_bytes", 64, 1, 400,
                    [](S& s) -> double& { return s.alltoall_simple.ramp_bytes.count; }),
          number_knob("alltoall_simple.copy", 0.5, 0.005, 3,
                      [](S& s) -> double& { return s.alltoall_simple.copy; })}},
        {"sendrecv",
         [](Collective const& q) { return inside(q, Algorithm::sendrecv); },
         {rate_knob("sendrecv.bandwidth", nvlink, 0.8, 0.1, 0.9,
                    [](S& s) -> double& { return s.sendrecv.bandwidth.count; }),
          rate_knob("sendrecv.channel_bandwidth", nvlink, 0.045, 0.01, 0.9,
                    [](S& s) -> double& { return s.sendrecv.channel_bandwidth.count; })}},
    };
}

/// One host thread that launches for several GPUs decides the time of small buffers.
bool launched(Collective const& query, LaunchMode mode) {
    return !across(query) && query.launch.gpus > 1 && query.launch.mode == mode &&
           query.size.count < 1 << 20;
}

std::vector<Group> launch_groups() {
    return {
        {"launch",
         [](Collective const& q) { return launched(q, LaunchMode::eager); },
         {time_knob("launch.eager_reducing", 5, 1, 20,
                    [](S& s) -> double& { return s.launch.eager_reducing.count; }),
          time_knob("launch.eager_copying", 4, 1, 20,
                    [](S& s) -> double& { return s.launch.eager_copying.count; })}},
        {"launch by graph",
         [](Collective const& q) { return launched(q, LaunchMode::graph); },
         {time_knob("launch.graph", 4, 1, 20,
                    [](S& s) -> double& { return s.launch.graph.count; })}},
    };
}

bool ring_across(Collective const& query) {
    auto const algorithm = algorithm_of(query);
    return across(query) &&
           (algorithm == Algorithm::ring_ll || algorithm == Algorithm::ring_ll128 ||
            algorithm == Algorithm::ring_simple);
}
bool tree_across(Collective const& query) {
    auto const algorithm = algorithm_of(query);
    return across(query) &&
           (algorithm == Algorithm::tree_ll || algorithm == Algorithm::tree_ll128 ||
            algorithm == Algorithm::tree_simple);
}

std::vector<Group> network_groups(double nvlink) {
    return {
        {"ring across",
         ring_across,
         {time_knob("network.hop_ll128", 12, 1, 100,
                    [](S& s) -> double& { return s.network.hop_ll128.count; }),
          time_knob("network.message_gap", 6, 0.1, 60,
                    [](S& s) -> double& { return s.network.message_gap.count; }),
          number_knob("network.ring_efficiency", 0.95, 0.3, 1,
                      [](S& s) -> double& { return s.network.ring_efficiency; }),
          rate_knob("network.ring_bandwidth_max", nvlink, 0.7, 0.1, 1.5,
                    [](S& s) -> double& { return s.network.ring_bandwidth_max.count; })}},
        {"tree across",
         tree_across,
         {time_knob("network.hop_ll", 5, 0.5, 60,
                    [](S& s) -> double& { return s.network.hop_ll.count; }),
          rate_knob("tree.ll", nvlink, 0.04, 0.005, 0.5,
                    [](S& s) -> double& { return s.tree.ll.count; }),
          rate_knob("tree.ll128", nvlink, 0.25, 0.05, 0.9,
                    [](S& s) -> double& { return s.tree.ll128.count; }),
          size_knob("tree.step_bytes", 0.002, 0.0002, 0.1,
                    [](S& s) -> double& { return s.tree.step_bytes.count; })}},
        {"hierarchical across",
         [](Collective const& q) {
             return across(q) && algorithm_of(q) == Algorithm::hierarchical;
         },
         {time_knob("network.tree_step", 50, 1, 1000,
                    [](S& s) -> double& { return s.network.tree_step.count; }),
          number_knob("network.tree_norm", 4, 1.5, 20,
                      [](S& s) -> double& { return s.network.tree_norm; })}},
        {"alltoall across",
         [](Collective const& q) { return across(q) && q.op == CollectiveOp::alltoall; },
         {number_knob("network.alltoall_efficiency", 0.9, 0.3, 1,
                      [](S& s) -> double& { return s.network.alltoall_efficiency; }),
          time_knob("network.alltoall_peer", 3, 0.1, 60,
                    [](S& s) -> double& { return s.network.alltoall_peer.count; })}},
        {"sendrecv across",
         [](Collective const& q) { return across(q) && algorithm_of(q) == Algorithm::sendrecv; },
         {rate_knob("network.sendrecv_channel", nvlink, 0.03, 0.002, 0.5,
                    [](S& s) -> double& { return s.network.sendrecv_channel.count; })}},
    };
}

}  // namespace

CollectiveKnob overlap_knob() {
    return number_knob("overlap_norm", 1.2, 1, 3, [](S& s) -> double& { return s.overlap_norm; });
}

bool across(Collective const& query) { return query.shape.domains > 1; }

std::vector<CollectiveGroup> groups_of_one_domain(double nvlink) {
    auto groups = ring_groups(nvlink);
    auto const others = switch_groups(nvlink);
    groups.insert(groups.end(), others.begin(), others.end());
    auto const launches = launch_groups();
    groups.insert(groups.end(), launches.begin(), launches.end());
    return groups;
}

std::vector<CollectiveGroup> groups_across_domains(double nvlink) { return network_groups(nvlink); }

}  // namespace nvl72
