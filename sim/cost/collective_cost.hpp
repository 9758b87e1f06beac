#pragma once

#include "sim/config/fields.hpp"
#include "sim/cost/collective_traffic.hpp"
#include "sim/cost/section.hpp"

#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// Above 256 MiB (less what a buffer loses that must divide by its ranks) NICs and line rate decide
/// between domains; below it the software stack, and below 1 MiB its latency.
inline constexpr Bytes line_rate_decides_from{256'000'000};
inline constexpr Bytes latency_decides_below{1'000'000};

/// A buffer size that is fitted, and no whole number of bytes before it is written.
using BufferSize = Quantity<struct BufferSizeTag, double>;
template <>
struct ValueType<BufferSize> : RealQuantityType<BufferSize, Dimension::bytes> {};

/// Sizes measured at certain numbers of ranks.
struct MeasuredRegion {
    section::Grid ranks;
    section::Grid sizes;  ///< bytes
};

/// How `regions` support a point: the best of those that span its ranks; where none does, the worse
/// of its neighbours, and at best interpolated.
Basis region_basis(std::string const& name,
                   std::vector<MeasuredRegion> const& regions,
                   std::int64_t ranks,
                   std::int64_t bytes);

/// What the bytes need on their links alone, at full rate, rounded up.
Picoseconds full_rate_time(Collective const& query);

/// Ring, low-latency protocol (8-byte stores that carry their own flag).
struct RingLlBranch {
    Seconds base;
    Seconds hop;               ///< of one step
    Seconds hop_data;          ///< more, once a step carries much more than 2 KiB
    BytesPerSecond bandwidth;  ///< of payload out of one GPU
    double local = 0;          ///< bytes copied inside the GPU, in shards of the buffer
    int sms = 0;
};

/// Ring, protocol of 120 payload bytes in 128. Its bandwidth is reached as slowly as Simple's.
struct RingLl128Branch {
    Seconds step;
    BytesPerSecond bandwidth;
    int sms = 0;
};

/// Ring, large chunks. Bandwidth is reached slowly: `ramp` more bytes at first, up to ramp x
/// ramp_bytes in all.
struct RingSimpleBranch {
    Seconds base;
    Seconds step;
    BytesPerSecond bandwidth;
    double local = 0;              ///< bytes copied inside the GPU, in shards of the buffer
    double out_of_place_copy = 0;  ///< the same, more, for all_gather and reduce_scatter
    double ramp = 0;
    BufferSize ramp_bytes;
    double int8_reduction = 1;  ///< time of 1-byte reductions over that of 2-byte ones
    int sms = 0;
};

/// Multicast and reduction in the NVLink switches. Its pipeline fills with the ranks of the whole
/// group, however many domains they stand in.
struct NvlsBranch {
    Seconds base;
    BytesPerSecond bandwidth;  ///< of (1 + 1/n) buffers, in a box
    double ramp = 0;
    BufferSize ramp_bytes_per_rank;
    double rank_loss = 0;  ///< time per byte grows by this for each e-fold of ranks beyond 8
    int sms = 0;
    std::vector<MeasuredRegion> measured;
};

struct AlltoallLlBranch {
    Seconds base;
    BytesPerSecond peer_bandwidth;  ///< to each peer
    int sms = 0;
};

struct AlltoallSimpleBranch {
    Seconds base;
    BytesPerSecond bandwidth;
    double ramp = 0;
    BufferSize ramp_bytes;
    double copy = 0;  ///< bytes copied inside the GPU, in blocks of one peer
    int sms = 0;
};

/// NCCL gives a send channels_max over the ranks, and more where a channel's part would be larger
/// than part_bytes.
struct SendrecvBranch {
    Seconds base;
    BytesPerSecond bandwidth;
    int sms = 0;
    int channels_max = 1;
    BytesPerSecond channel_bandwidth{1e15};  ///< of one channel; none stated: never the limit
    BufferSize part_bytes{1};
};

/// Double binary tree over domains, a chain inside each; its steps are the ring's.
struct TreeBranch {
    BytesPerSecond ll;  ///< what one GPU sends, up and down
    BytesPerSecond ll128;
    BytesPerSecond simple;
    Seconds step_ll128;     ///< inside a domain; those of LL and Simple are the ring's
    BufferSize step_bytes;  ///< LL: a buffer where half of the ring's hop_data counts
    int sms = 0;
};

/// NCCL's kernels for symmetric buffers, all-reduce: everyone to everyone, words of data and flag,
/// up to ll_bytes; then sums in the switches.
struct SymmetricBranch {
    Seconds ll_base;
    BytesPerSecond ll_bandwidth;  ///< what one GPU sends, n - 1 buffers
    BufferSize ll_bytes;
    Seconds base;
    BytesPerSecond bandwidth;  ///< of (1 + 1/n) buffers
    int sms = 0;
};

/// One host thread that launches for several GPUs, one after the other: time of one launch.
struct LaunchBranch {
    Seconds eager_reducing;  ///< all_reduce, reduce_scatter
    Seconds eager_copying;   ///< the others
    Seconds graph;
    double norm = 1;  ///< p in (launches^p + collective^p)^(1/p): kernels run beside later launches
};

/// Between NVLink domains: not of this GPU alone but of a typical fabric around it.
struct NetworkBranch {
    Seconds hop_ll;  ///< of one ring step, LL
    Seconds hop_ll128;
    Seconds hop_simple;
    double ring_efficiency = 0;         ///< of NIC line rate
    BytesPerSecond ring_bandwidth_max;  ///< of the ring's default channels, one domain
    Seconds tree_step;                  ///< one level of the tree over domains, there or back
    double alltoall_efficiency = 0;
    Seconds alltoall_peer;  ///< start-up of one peer in another domain
    double sendrecv_efficiency = 0;
    Seconds sendrecv_base;
    BytesPerSecond sendrecv_channel{1e15};  ///< of one channel; none stated: never the limit
    int sendrecv_channels_max = 64;         ///< for all ranks' sends together
    double ring_norm = 1;                   ///< p of LL and LL128, where it is above overlap_norm
    Seconds message_gap{};     ///< least time of a ring step: a proxy's work for one message
    Seconds message_gap_ll{};  ///< the same of LL
    int tree_nics_max = 1;     ///< of a domain that a tree's channels use
    double tree_norm = 20;     ///< p in (NVLS^p + NICs^p)^(1/p) of their pipeline

    // What a fabric profile adds (sim/cost/fabric_profile.hpp), not the GPU's calibration.
    std::string fabric{};                  ///< "": not told
    bool calibrated = false;               ///< from logs of such a fabric
    bool nvls = true;                      ///< NCCL_NVLS_ENABLE between its domains
    bool sharp = false;                    ///< its switches sum
    std::vector<std::string> protocols{};  ///< NCCL_PROTO there; empty: all
};

/// A protocol's row in NCCL's table of ring latencies.
struct TunerLatency {
    Seconds base;
    Seconds nvlink;   ///< a step inside a domain
    Seconds network;  ///< a step between two
};

/// The tuner's view of the double binary tree. Lists are of 2 domains, and of more.
struct TunerTree {
    TunerLatency ll, ll128, simple;
    std::vector<BytesPerSecond> channel;        ///< cap of one channel
    std::vector<BytesPerSecond> channel_ll128;  ///< the same of LL128
    /// Share of its bandwidth by the power of two of the buffer, from 64 B.
    std::vector<double> share_ll, share_ll128, share_simple;
};

/// Its view of PAT, one rank a domain, and of CollNet, the network's switches.
struct TunerOthers {
    Seconds pat_base, pat_network, pat_rank;
    double pat_share = 0;  ///< of the ring's bandwidth
    Seconds collnet_network, collnet_nvlink;
};

/// Constants of NCCL's own choice between algorithms (src/graph/tuning.cc), not of their times.
struct TunerConstants {
    TunerLatency ll, ll128, simple;
    Seconds nvls;              ///< inside a domain
    Seconds tree_network;      ///< one level of the tree over domains
    Seconds network_overhead;  ///< least time of a ring step once domains are crossed
    std::vector<BytesPerSecond> network_speeds;  ///< descending: of a graph's channel over NICs
    BytesPerSecond ring_bandwidth;               ///< sum over channels of the ring graph's speed
    BytesPerSecond ll_max;
    BytesPerSecond ll128_max;
    double nvls_efficiency = 0;
    BytesPerSecond nvlink;                    ///< what NCCL takes NVLink for, all links
    std::vector<BytesPerSecond> nvls_speeds;  ///< descending: of one NVLS channel
    BytesPerSecond tree_channel_2;            ///< cap of one NVLSTree channel, 2 domains
    BytesPerSecond tree_channel_3;            ///< the same, more domains
    TunerTree tree;
    TunerOthers others;
    std::vector<BytesPerSecond> ll_max_network;  ///< ll_max of 2 domains, and of more
    int network_channels = 0;                    ///< of a graph over domains
};

/// Collective times of one GPU. Each branch is T = (latency^p + transfer^p)^(1/p).
struct CollectiveSection {
    Place place;
    BytesPerSecond nvlink;    ///< wiring measured on: one GPU into NVLink, one direction
    double overlap_norm = 1;  ///< p
    RingLlBranch ring_ll;
    RingLl128Branch ring_ll128;
    RingSimpleBranch ring_simple;
    std::optional<NvlsBranch> nvls;
    AlltoallLlBranch alltoall_ll;
    AlltoallSimpleBranch alltoall_simple;
    SendrecvBranch sendrecv;
    NetworkBranch network;
    TunerConstants tuner;
    std::vector<MeasuredRegion> measured;  ///< of all but NVLS
    std::optional<std::string> borrowed;   ///< what stands in where nothing was measured
    std::string scaled;                    ///< "" or what it was scaled from
    TreeBranch tree;
    LaunchBranch launch;
    std::optional<SymmetricBranch> symmetric;
};

std::vector<Field<MeasuredRegion>> const& fields_of(MeasuredRegion const*);
std::vector<Field<RingLlBranch>> const& fields_of(RingLlBranch const*);
std::vector<Field<RingLl128Branch>> const& fields_of(RingLl128Branch const*);
std::vector<Field<RingSimpleBranch>> const& fields_of(RingSimpleBranch const*);
std::vector<Field<NvlsBranch>> const& fields_of(NvlsBranch const*);
std::vector<Field<AlltoallLlBranch>> const& fields_of(AlltoallLlBranch const*);
std::vector<Field<AlltoallSimpleBranch>> const& fields_of(AlltoallSimpleBranch const*);
std::vector<Field<SendrecvBranch>> const& fields_of(SendrecvBranch const*);
std::vector<Field<NetworkBranch>> const& fields_of(NetworkBranch const*);
std::vector<Field<TreeBranch>> const& fields_of(TreeBranch const*);
std::vector<Field<SymmetricBranch>> const& fields_of(SymmetricBranch const*);
std::vector<Field<LaunchBranch>> const& fields_of(LaunchBranch const*);
std::vector<Field<TunerTree>> const& fields_of(TunerTree const*);
std::vector<Field<TunerOthers>> const& fields_of(TunerOthers const*);
std::vector<Field<TunerLatency>> const& fields_of(TunerLatency const*);
std::vector<Field<TunerConstants>> const& fields_of(TunerConstants const*);
std::vector<Field<CollectiveSection>> const& fields_of(CollectiveSection const*);
void check(CollectiveSection const& section);

/// A branch's terms in seconds: what is left at size 0, all of the latency, and the transfer.
struct CollectiveTerms {
    double latency_empty = 0;
    double latency = 0;
    double transfer = 0;
    double launching = 0;  ///< of one host thread that launches for several GPUs; else 0
    double norm = 1;       ///< p, where it is above the section's overlap_norm
};

/// On another wiring than the measured one the transfer scales by the smallest capacity ratio over
/// the links the traffic uses; the latency counts network steps apart.
CollectiveTerms collective_terms(CollectiveSection const& section, Collective const& query);

/// Their p-norm in seconds, unrounded: what a fit compares.
double collective_seconds(CollectiveSection const& section, CollectiveTerms const& terms);

/// Time of one collective alone, every rank starting at once. The bandwidth part is the time above
/// that of an empty buffer, and at least what the bytes need at the full rate of their links: a
/// p-norm hides some of the transfer under latency. Throws ConfigError for a branch the GPU lacks.
Cost collective_cost(CollectiveSection const& section, Collective const& query);

/// SMs that the branch holds on every rank.
int collective_sms(CollectiveSection const& section, CollectiveAlgorithm algorithm);

}  // namespace nvl72
