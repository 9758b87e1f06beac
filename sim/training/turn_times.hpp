#pragma once

#include "sim/cost/cost_book.hpp"
#include "sim/training/turn_cost.hpp"

#include <array>
#include <cstdint>

namespace nvl72 {

/// How long a turn takes when nothing else uses its links: kernels, then what is waited for.
/// Additive over what a chunk holds, but for the time of launching.
struct TurnTime {
    Picoseconds compute;
    Picoseconds exposed;                ///< expert exchanges aside
    Picoseconds ep_exposed, ep_hidden;  ///< of expert exchanges
    std::int64_t kernels = 0;

    [[nodiscard]] Picoseconds total() const { return compute + exposed + ep_exposed; }
    TurnTime& operator+=(TurnTime const& more);
    [[nodiscard]] TurnTime times(int count) const;
};
/// Of a priced turn.
TurnTime turn_time(TurnCost const& cost);
/// A forward beside a backward, as TurnPricer::overlapped.
TurnTime overlapped_time(TurnTime const& forward, TurnTime const& backward);

/// The four turns of one chunk; the halves of a backward where they were asked for.
struct ChunkTurnTimes {
    TurnTime forward, backward, inputs, weights;
};

/// Turns of every chunk that a job may cut, from the price of one layer of each kind and of the
/// model's ends: equal to pricing the chunk, at the cost of a few additions.
class TurnTimes {
public:
    /// `model` is a divisible_architecture; `halves`: of a backward cut in two, too.
    TurnTimes(Architecture const& model,
              PrecisionPolicy const& precision,
              Recipe const& recipe,
              Profile const& profile,
              CostBook& book,
              TurnShape const& shape,
              bool halves);

    [[nodiscard]] ChunkTurnTimes of(ChunkContent const& chunk) const;

private:
    struct Part {
        ChunkContent content;
        ChunkTurnTimes times;
    };
    static constexpr std::size_t ends = 3;  // embedding, head, a module of further tokens
    std::array<Part, layer_kinds.size() + ends> parts_;
    Picoseconds launch_;
};

}  // namespace nvl72
