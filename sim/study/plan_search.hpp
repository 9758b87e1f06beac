#pragma once

#include "sim/study/plan_bound.hpp"

#include <functional>
#include <map>
#include <optional>
#include <vector>

namespace nvl72 {

/// A layout that was simulated.
struct TriedLayout {
    LayoutPoint layout;
    Picoseconds bound, step;
    Bytes memory;
    SweepRow row;
};

/// Layouts of one job from the best bound on: a layout is simulated only while no simulated one is
/// faster than its bound, so that what is found is what simulating all of them would find.
class PlanSearch {
public:
    using Filter = std::function<bool(BoundedLayout const&)>;
    using Told = std::function<void(double)>;

    /// Bounds every layout; `progress` is told the finished share.
    PlanSearch(PlanJob const& job, int threads, Told const& progress = {});

    /// The fastest of those that `filter` takes; of equals the one that comes first. None: it takes
    /// none, or none is faster than `limit`.
    std::optional<TriedLayout> best(Filter const& filter = {},
                                    std::optional<Picoseconds> limit = {});
    /// The same by the tighter bound: one is simulated, which may be beaten by what sharing of
    /// links costs it.
    std::optional<TriedLayout> nearly_best(Filter const& filter);
    TriedLayout simulate(BoundedLayout const& one);

    [[nodiscard]] std::vector<BoundedLayout> const& layouts() const { return layouts_; }
    [[nodiscard]] PlanCounts const& counts() const { return counts_; }
    [[nodiscard]] TooLargeTable const& too_large() const { return too_large_; }
    [[nodiscard]] double bound_seconds() const { return bound_seconds_; }
    [[nodiscard]] double simulate_seconds() const { return simulate_seconds_; }

private:
    /// How much is known of a layout: `time` is its bound, or its step where it was simulated.
    struct Known {
        enum Depth : std::uint8_t { bounded, walked, simulated, refused } depth = bounded;
        Picoseconds time;
    };
    [[nodiscard]] Known known(std::uint32_t index) const;
    std::optional<TriedLayout> first(Filter const& filter,
                                     std::optional<Picoseconds> limit,
                                     Known::Depth enough);
    void deepen(std::vector<std::uint32_t> const& indices);

    PlanJob const& job_;
    int threads_;
    std::vector<BoundedLayout> layouts_;  // in order of bounds
    std::map<std::uint32_t, Known> known_;
    std::map<std::uint32_t, TriedLayout> tried_;
    std::vector<std::unique_ptr<LayoutBounder>> walkers_;
    PlanCounts counts_;
    TooLargeTable too_large_;
    double bound_seconds_ = 0, simulate_seconds_ = 0;
};

}  // namespace nvl72
