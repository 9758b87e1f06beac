#pragma once

#include "sim/cost/collective_traffic.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace nvl72 {

/// How often a token travels: once for each of its experts, once to every GPU that holds some of
/// them, or once to every NVLink domain that does, whose GPUs pass it on.
enum class MoeDedup : std::uint8_t { none, gpu, domain };
template <>
struct EnumNames<MoeDedup> {
    static constexpr std::array words{"none", "gpu", "domain"};
};

/// Who asks for whom: a token takes `top_k` different experts of `experts`, a set with probability
/// in proportion to the product of their popularities, 1 / (i + 1)^zipf for expert i. zipf 0 is
/// balanced routing; with top_k 1 the popularities are the shares. Experts stand on the ranks in
/// order, experts / ranks on each, so that the popular ones are together: the worst placement.
struct MoeRouting {
    int experts = 1;
    int top_k = 1;
    double zipf = 0;
};

/// Probability that a token has an expert among `first` to `first + count` - 1: exact, by
/// elementary symmetric polynomials; balanced it is 1 - (E - count over k) / (E over k).
double hit_probability(MoeRouting const& routing, int first, int count);

/// Expected copies of a token that each of `parts` equal parts of the experts gets: its experts in
/// the part (dedup none), or the probability that there is one.
std::vector<double> copies_by_part(MoeRouting const& routing, int parts, bool dedup);

/// Expected number of parts that a token goes to: of ranks, or of domains.
///   balanced  parts x (1 - (E - E/parts over k) / (E over k))
double distinct_parts(MoeRouting const& routing, int parts);

/// Bytes on the links of the GPU that has most, in its busier direction, when each of the group's
/// GPUs dispatches `bytes` of tokens; a combine is the same backwards. Domains have equal shares.
/// Across domains with dedup `domain` a token lands on the GPU of its sender's rail, which passes
/// it on over NVLink. Throws ConfigError where experts do not divide by the ranks, or ranks by the
/// domains.
LinkLoad moe_load(MoeRouting const& routing, MoeDedup dedup, Bytes bytes, GroupShape const& shape);

}  // namespace nvl72
