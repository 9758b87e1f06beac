#include "sim/cost/collective_traffic.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <bit>

namespace nvl72 {

namespace {

/// A domain's part in the double binary tree over domains, in buffers sent over its NICs: the two
/// trees share leaves and inner nodes evenly, so it is the number of tree edges a domain.
///   source  MODEL_FACTS: 1, 1.5 and 2 for 2, 3 and 4 domains or more
double tree_factor(std::int64_t domains) {
    return std::min(2.0, 0.5 * static_cast<double>(domains));
}

double bytes_of(Bytes size) { return static_cast<double>(size.count); }

LinkLoad ring_load(CollectiveOp op, Bytes size, GroupShape const& shape) {
    double const sent = ring_factor(op, shape.ranks) * bytes_of(size);
    if (shape.domains == 1) return {sent, 0};
    // A channel leaves each domain once, over one NIC; its channels take the NICs in turn.
    auto const fullest = static_cast<double>(shape.ranks_per_domain);
    return {sent * (fullest - 1) / fullest, sent / static_cast<double>(smallest_share(shape))};
}

LinkLoad nvls_load(CollectiveOp op, Bytes size, std::int64_t ranks) {
    // The switch reads every shard from every GPU (S out), and multicasts each summed shard (S/n).
    double const shard = op == CollectiveOp::all_reduce ? 1 / static_cast<double>(ranks) : 0;
    return {bytes_of(size) * (1 + shard), 0};
}

LinkLoad tree_load(Bytes size, GroupShape const& shape) {
    // A chain in each domain: what a GPU sends up it also sends down.
    double const inside = shape.ranks_per_domain > 1 ? 2 * bytes_of(size) : 0;
    if (shape.domains == 1) return {inside, 0};
    return {inside, tree_factor(shape.domains) * bytes_of(size) /
                        static_cast<double>(smallest_share(shape))};
}

LinkLoad alltoall_load(Bytes size, GroupShape const& shape) {
    double const block = bytes_of(size) / static_cast<double>(shape.ranks);
    if (shape.domains == 1) return {block * static_cast<double>(shape.ranks - 1), 0};
    return {block * static_cast<double>(shape.ranks_per_domain - 1),
            block * static_cast<double>(shape.ranks - smallest_share(shape))};
}

}  // namespace

std::int64_t smallest_share(GroupShape const& shape) {
    if (shape.ranks_smallest > 0) return shape.ranks_smallest;
    return std::max<std::int64_t>(1, shape.ranks - (shape.domains - 1) * shape.ranks_per_domain);
}

double ring_factor(CollectiveOp op, std::int64_t ranks) {
    if (op == CollectiveOp::broadcast) return 1;
    double const once = static_cast<double>(ranks - 1) / static_cast<double>(ranks);
    return op == CollectiveOp::all_reduce ? 2 * once : once;
}

std::int64_t ring_steps(CollectiveOp op, std::int64_t ranks) {
    return (op == CollectiveOp::all_reduce ? 2 : 1) * (ranks - 1);
}

std::int64_t tree_levels(std::int64_t domains) {
    return static_cast<std::int64_t>(std::bit_width(static_cast<std::uint64_t>(domains))) - 1;
}

std::int64_t deepest_level(std::int64_t domains) {
    return static_cast<std::int64_t>(std::bit_width(static_cast<std::uint64_t>(domains - 1)));
}

std::int64_t ring_network_steps(CollectiveOp op, std::int64_t domains) {
    return ring_steps(op, domains);
}

namespace {

/// What a microkernel does; both protocols alike.
struct MicrokernelShape {
    std::int64_t steps_per_peer, steps_fixed;  ///< steps = steps_per_peer (n - 1) + steps_fixed
    bool (*does)(CollectiveOp);
    double (*wire)(double n);
};

bool reduces_all(CollectiveOp op) { return op == CollectiveOp::all_reduce; }
bool exchanges(CollectiveOp op) {
    return op == CollectiveOp::all_gather || op == CollectiveOp::reduce_scatter ||
           op == CollectiveOp::alltoall;
}
bool broadcasts(CollectiveOp op) { return op == CollectiveOp::broadcast; }
bool sends(CollectiveOp op) { return op == CollectiveOp::sendrecv; }
double twice_around(double n) { return 2 * (n - 1) / n; }

MicrokernelShape const& shape_of(CollectiveAlgorithm algorithm) {
    using A = CollectiveAlgorithm;
    static constexpr MicrokernelShape twice{2, 0, reduces_all, twice_around};
    static constexpr MicrokernelShape one_shot{1, 0, reduces_all, [](double n) { return n - 1; }};
    static constexpr MicrokernelShape direct{1, 0, exchanges, [](double n) { return (n - 1) / n; }};
    static constexpr MicrokernelShape chain{1, 0, broadcasts, [](double) { return 1.0; }};
    static constexpr MicrokernelShape pingpong{0, 1, sends, [](double) { return 1.0; }};
    static constexpr MicrokernelShape multicast{0, 1, reduces_all,
                                                [](double n) { return 1 + 1 / n; }};
    switch (algorithm) {
        case A::micro_ring_ll:
        case A::ring_bulk:
        case A::two_shot_ll:
        case A::two_shot_bulk: return twice;
        case A::one_shot_ll:
        case A::one_shot_bulk: return one_shot;
        case A::direct_ll:
        case A::direct_bulk: return direct;
        case A::chain_ll:
        case A::chain_bulk: return chain;
        case A::pingpong_ll:
        case A::pingpong_bulk: return pingpong;
        case A::nvls_multicast: return multicast;
        default: break;
    }
    NVL72_EXPECT(false, "asked of microkernels only");
    return twice;
}

}  // namespace

bool microkernel_does(CollectiveAlgorithm algorithm, CollectiveOp op) {
    return shape_of(algorithm).does(op);
}
std::int64_t microkernel_steps(CollectiveAlgorithm algorithm, std::int64_t ranks) {
    auto const& shape = shape_of(algorithm);
    return shape.steps_per_peer * (ranks - 1) + shape.steps_fixed;
}
double microkernel_wire(CollectiveAlgorithm algorithm, std::int64_t ranks) {
    return shape_of(algorithm).wire(static_cast<double>(ranks));
}

LinkLoad link_load(CollectiveAlgorithm algorithm,
                   CollectiveOp op,
                   Bytes size,
                   GroupShape const& shape) {
    switch (algorithm) {
        case CollectiveAlgorithm::ring_ll:
        case CollectiveAlgorithm::ring_ll128:
        case CollectiveAlgorithm::ring_simple: return ring_load(op, size, shape);
        case CollectiveAlgorithm::nvls:
        case CollectiveAlgorithm::symmetric: return nvls_load(op, size, shape.ranks);
        case CollectiveAlgorithm::hierarchical:
            return {nvls_load(op, size, shape.ranks_per_domain).nvlink, tree_load(size, shape).nic};
        case CollectiveAlgorithm::collnet:
            // The switches of the network sum: every domain sends its buffer once.
            return {nvls_load(op, size, shape.ranks_per_domain).nvlink,
                    bytes_of(size) / static_cast<double>(smallest_share(shape))};
        case CollectiveAlgorithm::tree_ll:
        case CollectiveAlgorithm::tree_ll128:
        case CollectiveAlgorithm::tree_simple: return tree_load(size, shape);
        case CollectiveAlgorithm::pat: return {0, ring_factor(op, shape.ranks) * bytes_of(size)};
        case CollectiveAlgorithm::alltoall_ll:
        case CollectiveAlgorithm::alltoall_simple: return alltoall_load(size, shape);
        case CollectiveAlgorithm::sendrecv:
            // To the next rank; across domains the rank that crosses is the slow one.
            return shape.domains == 1 ? LinkLoad{bytes_of(size), 0} : LinkLoad{0, bytes_of(size)};
        default: return {microkernel_wire(algorithm, shape.ranks) * bytes_of(size), 0};
    }
}

}  // namespace nvl72
