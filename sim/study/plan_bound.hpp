#pragma once

#include "sim/parallel/chunk_memory.hpp"
#include "sim/study/plan_space.hpp"
#include "sim/training/step_bound.hpp"
#include "sim/training/turn_times.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

namespace nvl72 {

/// A layout that fits, and a time that its step cannot beat.
struct BoundedLayout {
    LayoutPoint layout;
    Picoseconds bound;
    Bytes memory;  ///< of the fullest stage
};

/// How many layouts were looked at, and what became of them.
struct PlanCounts {
    std::int64_t crossed = 0;  ///< all combinations of values
    std::int64_t refused = 0;  ///< of them, what a schedule cannot run or layers cannot be dealt to
    std::int64_t too_large = 0;
    std::int64_t bounded = 0;
    std::int64_t walked = 0, simulated = 0;

    PlanCounts& operator+=(PlanCounts const& more);
};

/// The layout of least memory among those that do not fit.
struct TooLarge {
    LayoutPoint layout;
    Memory memory;
};
/// Of all, and by axis and value.
struct TooLargeTable {
    std::optional<TooLarge> least;
    std::map<std::pair<PlanAxis, std::int64_t>, TooLarge> by_value;

    void note(PlanJob const& job, LayoutPoint const& layout, Memory const& memory);
    void merge(TooLargeTable const& more);
};

/// Bounds the layouts of one job after the other, and remembers what they share: prices of layers
/// by cut and micro-batch, orders of turns by schedule and shape. One for each thread.
class LayoutBounder {
public:
    using Taker = std::function<void(BoundedLayout const&)>;

    explicit LayoutBounder(PlanJob const& job);
    ~LayoutBounder();
    LayoutBounder(LayoutBounder const&) = delete;
    LayoutBounder& operator=(LayoutBounder const&) = delete;

    /// Every layout of a cut: what fits goes to `take`.
    void bound(LayoutCut const& cut, Taker const& take);
    /// The same of one layout, whose memory is told whether or not it fits.
    BoundedLayout bound(LayoutPoint const& point);
    /// The tighter bound, by walking its turns.
    Picoseconds walk(LayoutPoint const& point);

    [[nodiscard]] PlanCounts const& counts() const { return counts_; }
    [[nodiscard]] TooLargeTable const& too_large() const { return too_large_; }

private:
    struct Deal;
    struct Kept;
    struct Order;
    struct Seated;
    struct Prices;
    struct Dealt;
    struct Moves;
    struct Work;

    Deal const* deal(int pp, int vp, LayoutEnds ends);
    Order const& order(std::uint8_t index, PipelineShape const& shape);
    Kept const& kept(std::uint8_t index, PipelineShape shape);
    Seated& seated(LayoutCut const& cut, bool bidirectional);
    TurnTimes const& turn_times(Parallel const& parallel, StageLinks const& links, int like);
    ChunkMemory const& chunk_memory(Parallel const& parallel, int like);
    Moves const& moves(Seated& seated, LayoutPoint const& point, Deal const& deal);

    [[nodiscard]] Parallel parallel(LayoutPoint const& point) const;
    [[nodiscard]] bool fits(Memory const& memory) const;
    Dealt dealt(Seated const& seated, LayoutPoint const& point, Deal const& deal);
    Memory memory(LayoutPoint const& point, Parallel const& parallel, Dealt const& dealt);
    void micro_batches(LayoutPoint point, Seated& seated, Taker const& take);
    void schedules(LayoutPoint point, Seated& seated, Dealt const& dealt, Taker const& take);
    Picoseconds slowest(Seated& seated,
                        LayoutPoint const& point,
                        Parallel const& parallel,
                        Dealt const& dealt,
                        bool walked);

    PlanJob const& job_;
    Profile profile_;  ///< at the clock that the power limit of a GPU allows
    CostBook book_;
    Bytes usable_, host_;
    std::unique_ptr<Work> work_;
    PlanCounts counts_;
    TooLargeTable too_large_;
};

}  // namespace nvl72
