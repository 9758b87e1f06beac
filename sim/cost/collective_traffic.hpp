#pragma once

#include "sim/cost/query.hpp"

#include <array>
#include <cstdint>

namespace nvl72 {

/// Algorithm and protocol of a collective: each is one calibrated branch, and one row of
/// collective_algorithms in sim/collective.
enum class CollectiveAlgorithm : std::uint8_t {
    ring_ll,
    ring_ll128,
    ring_simple,
    nvls,
    hierarchical,
    alltoall_ll,
    alltoall_simple,
    sendrecv,
    tree_ll,
    tree_ll128,
    tree_simple,
    pat,
    collnet,
    symmetric,
    // Our own microkernels (kernels/collective), by algorithm and protocol of their samples.
    micro_ring_ll,
    ring_bulk,
    one_shot_ll,
    one_shot_bulk,
    two_shot_ll,
    two_shot_bulk,
    direct_ll,
    direct_bulk,
    chain_ll,
    chain_bulk,
    pingpong_ll,
    pingpong_bulk,
    nvls_multicast,
};
template <>
struct EnumNames<CollectiveAlgorithm> {
    static constexpr std::array words{
        "ring-ll",      "ring-ll128",    "ring-simple",     "nvls",
        "hierarchical", "alltoall-ll",   "alltoall-simple", "sendrecv",
        "tree-ll",      "tree-ll128",    "tree-simple",     "pat",
        "collnet",      "symmetric",     "micro-ring-ll",   "ring-bulk",
        "one-shot-ll",  "one-shot-bulk", "two-shot-ll",     "two-shot-bulk",
        "direct-ll",    "direct-bulk",   "chain-ll",        "chain-bulk",
        "pingpong-ll",  "pingpong-bulk", "nvls-multicast"};
};

/// True for the rows of our own microkernels, which the section `microkernels` of a profile prices.
constexpr bool is_microkernel(CollectiveAlgorithm algorithm) {
    return algorithm >= CollectiveAlgorithm::micro_ring_ll;
}

constexpr CollectiveAlgorithm algorithm_of(Collective const& query) {
    return static_cast<CollectiveAlgorithm>(query.algorithm);
}

/// Bytes that one GPU of the group sends, by the kind of link it uses.
struct LinkLoad {
    double nvlink = 0;
    double nic = 0;

    friend constexpr LinkLoad operator*(LinkLoad load, double times) {
        return {load.nvlink * times, load.nic * times};
    }
    constexpr LinkLoad& operator+=(LinkLoad other) {
        nvlink += other.nvlink;
        nic += other.nic;
        return *this;
    }
};

/// GPUs in the smallest share that one domain can have, given the largest: the shares of a group
/// packed in order are (L, ..., L, smallest).
std::int64_t smallest_share(GroupShape const& shape);

/// Times the buffer that every rank of a ring sends: 2(n-1)/n, (n-1)/n, or 1 (broadcast).
double ring_factor(CollectiveOp op, std::int64_t ranks);
/// Sends of one rank, one after the other: 2(n-1) or n-1.
std::int64_t ring_steps(CollectiveOp op, std::int64_t ranks);
/// Those of them that NCCL counts as crossings between domains: 2(N-1) or N-1.
std::int64_t ring_network_steps(CollectiveOp op, std::int64_t domains);

/// Levels of NCCL's double binary tree over `domains`: floor(log2), there and back.
std::int64_t tree_levels(std::int64_t domains);
/// Levels that the longest way in the tree over domains passes: 1, 2, 2, 3 of 2, 3, 4 and 5
/// domains.
std::int64_t deepest_level(std::int64_t domains);

/// True when the microkernel `algorithm` does `op`.
bool microkernel_does(CollectiveAlgorithm algorithm, CollectiveOp op);
/// Messages that one rank sends or waits for, one after the other: 2(n-1) (ring, two shots), n-1
/// (one shot, direct, chain) or 1 (ping-pong, multicast).
std::int64_t microkernel_steps(CollectiveAlgorithm algorithm, std::int64_t ranks);
/// Times the buffer that one rank writes into the others' memory: 2(n-1)/n (ring, two shots), n-1
/// (one shot), (n-1)/n (direct), 1 (chain, ping-pong) or 1 + 1/n (multicast).
double microkernel_wire(CollectiveAlgorithm algorithm, std::int64_t ranks);

/// What a GPU sends. Where shares differ, `nvlink` is that of the fullest domain and `nic` that of
/// the emptiest, the two that bind; with equal shares both are of every GPU. A switch that
/// multiplies or sums (NVLS) makes in and out differ: the busier direction counts.
LinkLoad link_load(CollectiveAlgorithm algorithm,
                   CollectiveOp op,
                   Bytes size,
                   GroupShape const& shape);

}  // namespace nvl72
