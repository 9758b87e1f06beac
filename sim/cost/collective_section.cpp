#include "sim/cost/collective_cost.hpp"

#include <algorithm>
#include <functional>

namespace nvl72 {

std::vector<Field<MeasuredRegion>> const& fields_of(MeasuredRegion const*) {
    static std::vector<Field<MeasuredRegion>> const fields{
        required("ranks", &MeasuredRegion::ranks, "numbers of ranks measured"),
        required("sizes", &MeasuredRegion::sizes, "buffer sizes measured there, bytes"),
    };
    return fields;
}

std::vector<Field<RingLlBranch>> const& fields_of(RingLlBranch const*) {
    static std::vector<Field<RingLlBranch>> const fields{
        required("base", &RingLlBranch::base, "launch, first and last copy"),
        required("hop", &RingLlBranch::hop, "one step"),
        required("hop_data", &RingLlBranch::hop_data, "more of a step well above 2 KiB"),
        required("bandwidth", &RingLlBranch::bandwidth, "payload out of one GPU"),
        required("local", &RingLlBranch::local, "bytes copied inside the GPU, in shards"),
        required("sms", &RingLlBranch::sms, "SMs held"),
    };
    return fields;
}

std::vector<Field<RingLl128Branch>> const& fields_of(RingLl128Branch const*) {
    static std::vector<Field<RingLl128Branch>> const fields{
        required("step", &RingLl128Branch::step, "one step; the base is that of ring_ll"),
        required("bandwidth", &RingLl128Branch::bandwidth, "payload out of one GPU"),
        required("sms", &RingLl128Branch::sms, "SMs held"),
    };
    return fields;
}

std::vector<Field<RingSimpleBranch>> const& fields_of(RingSimpleBranch const*) {
    static std::vector<Field<RingSimpleBranch>> const fields{
        required("base", &RingSimpleBranch::base, "launch, first and last copy"),
        required("step", &RingSimpleBranch::step, "one step"),
        required("bandwidth", &RingSimpleBranch::bandwidth, "payload out of one GPU"),
        required("local", &RingSimpleBranch::local, "bytes copied inside the GPU, in shards"),
        required("out_of_place_copy", &RingSimpleBranch::out_of_place_copy,
                 "the same, more, for all_gather and reduce_scatter"),
        required("ramp", &RingSimpleBranch::ramp, "more time per byte of small buffers"),
        required("ramp_bytes", &RingSimpleBranch::ramp_bytes, "buffer where half of it is gone"),
        required("int8_reduction", &RingSimpleBranch::int8_reduction,
                 "1-byte reductions over 2-byte ones"),
        required("sms", &RingSimpleBranch::sms, "SMs held"),
    };
    return fields;
}

std::vector<Field<NvlsBranch>> const& fields_of(NvlsBranch const*) {
    static std::vector<Field<NvlsBranch>> const fields{
        required("base", &NvlsBranch::base, "latency"),
        required("bandwidth", &NvlsBranch::bandwidth, "one GPU into the switches, up to 8 ranks"),
        required("ramp", &NvlsBranch::ramp, "more time per byte of small buffers"),
        required("ramp_bytes_per_rank", &NvlsBranch::ramp_bytes_per_rank,
                 "share of a buffer where half of it is gone"),
        required("rank_loss", &NvlsBranch::rank_loss,
                 "more time per byte an e-fold of ranks beyond 8"),
        required("sms", &NvlsBranch::sms, "SMs held"),
        required("measured", &NvlsBranch::measured, "ranks and sizes"),
    };
    return fields;
}

std::vector<Field<AlltoallLlBranch>> const& fields_of(AlltoallLlBranch const*) {
    static std::vector<Field<AlltoallLlBranch>> const fields{
        required("base", &AlltoallLlBranch::base, "latency"),
        required("peer_bandwidth", &AlltoallLlBranch::peer_bandwidth, "to each peer"),
        required("sms", &AlltoallLlBranch::sms, "SMs held"),
    };
    return fields;
}

std::vector<Field<AlltoallSimpleBranch>> const& fields_of(AlltoallSimpleBranch const*) {
    static std::vector<Field<AlltoallSimpleBranch>> const fields{
        required("base", &AlltoallSimpleBranch::base, "latency"),
        required("bandwidth", &AlltoallSimpleBranch::bandwidth, "payload out of one GPU"),
        required("ramp", &AlltoallSimpleBranch::ramp, "more time per byte of small buffers"),
        required("ramp_bytes", &AlltoallSimpleBranch::ramp_bytes,
                 "buffer where half of it is gone"),
        required("copy", &AlltoallSimpleBranch::copy, "bytes copied inside the GPU, in blocks"),
        required("sms", &AlltoallSimpleBranch::sms, "SMs held"),
    };
    return fields;
}

std::vector<Field<SendrecvBranch>> const& fields_of(SendrecvBranch const*) {
    static std::vector<Field<SendrecvBranch>> const fields{
        required("base", &SendrecvBranch::base, "latency"),
        required("bandwidth", &SendrecvBranch::bandwidth, "payload out of one GPU"),
        required("sms", &SendrecvBranch::sms, "SMs held"),
        optional("channels_max", &SendrecvBranch::channels_max, "1", "channels of all sends"),
        optional("channel_bandwidth", &SendrecvBranch::channel_bandwidth, "1000 TB/s",
                 "payload of one channel; never the limit unless stated"),
        optional("part_bytes", &SendrecvBranch::part_bytes, "1 B",
                 "a channel's part from which NCCL doubles them"),
    };
    return fields;
}

std::vector<Field<NetworkBranch>> const& fields_of(NetworkBranch const*) {
    static std::vector<Field<NetworkBranch>> const fields{
        required("hop_ll", &NetworkBranch::hop_ll, "one ring step between domains, LL"),
        required("hop_ll128", &NetworkBranch::hop_ll128, "the same, LL128"),
        required("hop_simple", &NetworkBranch::hop_simple, "the same, Simple"),
        required("ring_efficiency", &NetworkBranch::ring_efficiency, "of NIC line rate"),
        required("ring_bandwidth_max", &NetworkBranch::ring_bandwidth_max,
                 "of the default channels, one domain"),
        required("tree_step", &NetworkBranch::tree_step, "one level of the tree over domains"),
        required("alltoall_efficiency", &NetworkBranch::alltoall_efficiency, "of NIC line rate"),
        required("alltoall_peer", &NetworkBranch::alltoall_peer, "start-up of one far peer"),
        required("sendrecv_efficiency", &NetworkBranch::sendrecv_efficiency, "of NIC line rate"),
        required("sendrecv_base", &NetworkBranch::sendrecv_base, "latency between domains"),
        optional("sendrecv_channel", &NetworkBranch::sendrecv_channel, "1000 TB/s",
                 "of one channel; none: never the limit"),
        optional("sendrecv_channels_max", &NetworkBranch::sendrecv_channels_max, "64",
                 "for all ranks' sends together"),
        optional("ring_norm", &NetworkBranch::ring_norm, "1",
                 "p in (latency^p + transfer^p)^(1/p) of LL and LL128, if above overlap_norm"),
        required("message_gap", &NetworkBranch::message_gap, "least time of a ring step"),
        required("message_gap_ll", &NetworkBranch::message_gap_ll, "the same of LL"),
        required("tree_nics_max", &NetworkBranch::tree_nics_max,
                 "NICs of a domain that a tree's channels use"),
        required("tree_norm", &NetworkBranch::tree_norm,
                 "p in (NVLS^p + NICs^p)^(1/p): how far chunks keep both busy"),
    };
    return fields;
}

std::vector<Field<TreeBranch>> const& fields_of(TreeBranch const*) {
    static std::vector<Field<TreeBranch>> const fields{
        required("ll", &TreeBranch::ll, "what one GPU sends up and down, LL"),
        required("ll128", &TreeBranch::ll128, "the same, LL128"),
        required("simple", &TreeBranch::simple, "the same, Simple"),
        required("step_ll128", &TreeBranch::step_ll128, "a step inside a domain, LL128"),
        required("step_bytes", &TreeBranch::step_bytes,
                 "LL: a buffer where half of ring_ll.hop_data counts"),
        required("sms", &TreeBranch::sms, "SMs held"),
    };
    return fields;
}

std::vector<Field<SymmetricBranch>> const& fields_of(SymmetricBranch const*) {
    static std::vector<Field<SymmetricBranch>> const fields{
        required("ll_base", &SymmetricBranch::ll_base, "latency of everyone to everyone"),
        required("ll_bandwidth", &SymmetricBranch::ll_bandwidth, "its payload out of one GPU"),
        required("ll_bytes", &SymmetricBranch::ll_bytes, "its largest buffer"),
        required("base", &SymmetricBranch::base, "latency of sums in the switches"),
        required("bandwidth", &SymmetricBranch::bandwidth, "one GPU into the switches"),
        required("sms", &SymmetricBranch::sms, "SMs held"),
    };
    return fields;
}

std::vector<Field<LaunchBranch>> const& fields_of(LaunchBranch const*) {
    static std::vector<Field<LaunchBranch>> const fields{
        required("eager_reducing", &LaunchBranch::eager_reducing,
                 "one launch of several by a thread: all_reduce, reduce_scatter"),
        required("eager_copying", &LaunchBranch::eager_copying, "the same of the others"),
        required("graph", &LaunchBranch::graph, "one launch of a CUDA graph"),
        required("norm", &LaunchBranch::norm, "p in (launches^p + collective^p)^(1/p)"),
    };
    return fields;
}

std::vector<Field<TunerLatency>> const& fields_of(TunerLatency const*) {
    static std::vector<Field<TunerLatency>> const fields{
        required("base", &TunerLatency::base, "launch and end"),
        required("nvlink", &TunerLatency::nvlink, "a ring step inside a domain"),
        required("network", &TunerLatency::network, "a ring step between domains"),
    };
    return fields;
}

std::vector<Field<TunerTree>> const& fields_of(TunerTree const*) {
    static std::vector<Field<TunerTree>> const fields{
        required("ll", &TunerTree::ll, "tree latencies of the LL protocol"),
        required("ll128", &TunerTree::ll128, "the same of LL128"),
        required("simple", &TunerTree::simple, "the same of Simple"),
        required("channel", &TunerTree::channel, "cap of a channel, 2 domains and more"),
        required("channel_ll128", &TunerTree::channel_ll128, "the same of LL128"),
        required("share_ll", &TunerTree::share_ll, "of its bandwidth, by powers of two from 64 B"),
        required("share_ll128", &TunerTree::share_ll128, "the same of LL128"),
        required("share_simple", &TunerTree::share_simple, "the same of Simple"),
    };
    return fields;
}

std::vector<Field<TunerOthers>> const& fields_of(TunerOthers const*) {
    static std::vector<Field<TunerOthers>> const fields{
        required("pat_base", &TunerOthers::pat_base, "PAT, launch and end"),
        required("pat_network", &TunerOthers::pat_network, "one level"),
        required("pat_rank", &TunerOthers::pat_rank, "one rank"),
        required("pat_share", &TunerOthers::pat_share, "of the ring's bandwidth"),
        required("collnet_network", &TunerOthers::collnet_network, "CollNet, to the switches"),
        required("collnet_nvlink", &TunerOthers::collnet_nvlink, "a step inside a domain"),
    };
    return fields;
}

std::vector<Field<TunerConstants>> const& fields_of(TunerConstants const*) {
    static std::vector<Field<TunerConstants>> const fields{
        required("ll", &TunerConstants::ll, "ring latencies of the LL protocol"),
        required("ll128", &TunerConstants::ll128, "the same of LL128"),
        required("simple", &TunerConstants::simple, "the same of Simple"),
        required("nvls", &TunerConstants::nvls, "latency of NVLS inside a domain"),
        required("tree_network", &TunerConstants::tree_network, "one level of a tree of domains"),
        required("network_overhead", &TunerConstants::network_overhead,
                 "least time of a ring step once domains are crossed; Simple takes three"),
        required("network_speeds", &TunerConstants::network_speeds,
                 "descending: of a graph's channel over NICs"),
        required("ring_bandwidth", &TunerConstants::ring_bandwidth, "channels x graph speed"),
        required("ll_max", &TunerConstants::ll_max, "cap of the LL protocol"),
        required("ll128_max", &TunerConstants::ll128_max, "cap of the LL128 protocol"),
        required("nvls_efficiency", &TunerConstants::nvls_efficiency, "of an NVLS channel"),
        required("nvlink", &TunerConstants::nvlink, "all links of a GPU, as NCCL counts them"),
        required("nvls_speeds", &TunerConstants::nvls_speeds, "an NVLS channel, descending"),
        required("tree_channel_2", &TunerConstants::tree_channel_2, "NVLSTree channel, 2 domains"),
        required("tree_channel_3", &TunerConstants::tree_channel_3, "the same, more domains"),
        required("tree", &TunerConstants::tree, "the double binary tree"),
        required("others", &TunerConstants::others, "PAT and CollNet"),
        required("ll_max_network", &TunerConstants::ll_max_network,
                 "ll_max of 2 domains, and of more"),
        required("network_channels", &TunerConstants::network_channels,
                 "channels of a graph over domains"),
    };
    return fields;
}

std::vector<Field<CollectiveSection>> const& fields_of(CollectiveSection const*) {
    using S = CollectiveSection;
    static std::vector<Field<S>> const fields{
        required("nvlink", &S::nvlink, "wiring measured on: a GPU into NVLink, one direction"),
        required("overlap_norm", &S::overlap_norm, "p in (latency^p + transfer^p)^(1/p)"),
        required("ring_ll", &S::ring_ll, "ring, LL protocol"),
        required("ring_ll128", &S::ring_ll128, "ring, LL128 protocol"),
        required("ring_simple", &S::ring_simple, "ring, Simple protocol"),
        optional("nvls", &S::nvls, "", "reduction in the switches; none: the GPU lacks it"),
        required("alltoall_ll", &S::alltoall_ll, "all-to-all, LL protocol"),
        required("alltoall_simple", &S::alltoall_simple, "all-to-all, Simple protocol"),
        required("sendrecv", &S::sendrecv, "to the next rank"),
        required("network", &S::network, "between NVLink domains"),
        required("tuner", &S::tuner, "NCCL's choice of an algorithm"),
        required("measured", &S::measured, "ranks and sizes of all branches but nvls"),
        optional("borrowed", &S::borrowed, "", "what stands in where nothing was measured"),
        required("tree", &S::tree, "double binary tree over domains"),
        required("launch", &S::launch, "a host thread that launches for several GPUs"),
        optional("symmetric", &S::symmetric, "", "kernels for symmetric buffers"),
    };
    return fields;
}

namespace {

void check_regions(Place const& place, std::vector<MeasuredRegion> const& regions) {
    if (regions.empty()) fail(place, "measured: an empty list", "at least one region");
    for (auto const& region : regions) {
        section::check_grid(place, "measured.ranks", region.ranks);
        section::check_grid(place, "measured.sizes", region.sizes);
    }
}

void check_efficiency(Place const& place, char const* key, double value) {
    section::check_positive(place, key, value);
    if (value > 1) fail(place, std::string(key) + " above 1", "a share of line rate");
}

}  // namespace

void check(CollectiveSection const& section) {
    Place const& place = section.place;
    if (!(section.overlap_norm >= 1)) fail(place, "overlap_norm below 1", "1 or more");
    section::check_positive(place, "ring_simple.int8_reduction",
                            section.ring_simple.int8_reduction);
    check_regions(place, section.measured);
    if (section.nvls) check_regions(place, section.nvls->measured);
    auto const& network = section.network;
    check_efficiency(place, "network.ring_efficiency", network.ring_efficiency);
    check_efficiency(place, "network.alltoall_efficiency", network.alltoall_efficiency);
    check_efficiency(place, "network.sendrecv_efficiency", network.sendrecv_efficiency);
    auto const descending = [&](char const* key, std::vector<BytesPerSecond> const& speeds) {
        if (speeds.empty() || !(speeds.back().count > 0) ||
            !std::ranges::is_sorted(speeds, std::greater<>())) {
            fail(place, key, "a descending list of rates above 0");
        }
    };
    descending("tuner.nvls_speeds", section.tuner.nvls_speeds);
    descending("tuner.network_speeds", section.tuner.network_speeds);
    auto const& tree = section.tuner.tree;
    for (auto const* shares : {&tree.share_ll, &tree.share_ll128, &tree.share_simple}) {
        if (shares->empty())
            fail(place, "tuner.tree: an empty list of shares", "one a power of two");
        for (double const share : *shares) check_efficiency(place, "tuner.tree: a share", share);
    }
    for (auto const* rates : {&tree.channel, &tree.channel_ll128, &section.tuner.ll_max_network}) {
        if (rates->size() != 2) fail(place, "tuner: rates between domains", "two, of 2 and more");
    }
    if (section.tuner.network_channels < 1)
        fail(place, "tuner.network_channels below 1", "1 or more");
    if (section.sendrecv.channels_max < 1)
        fail(place, "sendrecv.channels_max below 1", "1 or more");
    if (!(section.launch.norm >= 1)) fail(place, "launch.norm below 1", "1 or more");
    auto const not_negative = [&](char const* key, double value) {
        if (!(value >= 0)) fail(place, std::string(key) + " below 0", "0 or more");
    };
    not_negative("ring_ll.local", section.ring_ll.local);
    not_negative("ring_simple.local", section.ring_simple.local);
    not_negative("ring_simple.out_of_place_copy", section.ring_simple.out_of_place_copy);
    not_negative("ring_simple.ramp", section.ring_simple.ramp);
    not_negative("alltoall_simple.ramp", section.alltoall_simple.ramp);
    not_negative("alltoall_simple.copy", section.alltoall_simple.copy);
    if (!(network.tree_norm >= 1)) fail(place, "network.tree_norm below 1", "1 or more");
    if (network.tree_nics_max < 1) fail(place, "network.tree_nics_max below 1", "1 or more");
    if (section.nvls) not_negative("nvls.ramp", section.nvls->ramp);
    if (section.nvls) not_negative("nvls.rank_loss", section.nvls->rank_loss);
}

}  // namespace nvl72
