// Progressive filling of one component, in integers. See Sharing for the units.

#include "sim/engine/filling.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <cmath>

namespace nvl72 {

namespace {

constexpr std::uint64_t no_level = 1ULL << 61;  // above every dominant share
constexpr std::uint32_t nobody = 0xffffffff;

}  // namespace

/// Gathers what depends on this resource: its activities, and through contended resources the
/// others'. An uncontended one (it was contended a moment ago) only names its activities.
void Sharing::collect(std::uint32_t resource) {
    slots_.clear();
    resources_.clear();
    if (pools_[resource].visit == epoch_) return;
    if (pools_[resource].contended()) {
        open(resource);
    } else {
        for (Entry const& entry : pools_[resource].entries) reach(entry.slot);
    }
    // NOLINTNEXTLINE(modernize-loop-convert): reach() may add to resources_
    for (std::size_t i = 0; i < resources_.size(); ++i) {
        for (Entry const& entry : pools_[resources_[i]].entries) reach(entry.slot);
    }
}

void Sharing::open(std::uint32_t resource) {
    auto& pool = pools_[resource];
    pool.visit = epoch_;
    pool.residual = pool.per_capacity > 0 ? full_capacity : 0;
    pool.open_weights = pool.weights;
    pool.soonest = never;
    resources_.push_back(resource);
}

void Sharing::reach(std::uint32_t slot) {
    auto& live = lives_[slot];
    if (live.visit == epoch_) return;
    live.visit = epoch_;
    live.open = true;
    slots_.push_back(slot);
    for (Use const& use : live.uses()) {
        auto const& pool = pools_[use.resource];
        if (pool.contended() && pool.visit != epoch_) open(use.resource);
    }
}

/// Raises all open activities together. At each level first those at their cap freeze, which can
/// only raise the level; when none is left, all activities of all resources full at it.
void Sharing::fill() {
    caps_.clear();
    for (std::uint32_t const slot : slots_) {
        auto const cap = lives_[slot].cap;
        if (cap <= static_cast<std::uint64_t>(full_level)) caps_.push_back({cap, slot});
    }
    std::ranges::sort(caps_, [](Cap const& a, Cap const& b) { return a.cap < b.cap; });
    std::size_t next = 0;
    for (;;) {
        std::uint64_t const level = lowest_level();
        bool capped = false;
        for (; next < caps_.size() && caps_[next].cap <= level; ++next) {
            auto& live = lives_[caps_[next].slot];
            if (!live.open) continue;
            freeze(live, live.cap, nobody);
            capped = true;
        }
        if (capped) continue;
        if (level == no_level) return;
        for (std::uint32_t const resource : resources_) {
            if (pools_[resource].level != level) continue;
            for (Entry const& entry : pools_[resource].entries) {
                auto& live = lives_[entry.slot];
                if (live.open) freeze(live, level, resource);
            }
        }
    }
}

void Sharing::freeze(Live& live, std::uint64_t level, std::uint32_t owner) {
    live.open = false;
    live.level = level;
    live.owner = owner;
    for (Use const& use : live.uses()) {  // of uncontended resources nobody reads the result
        auto& pool = pools_[use.resource];
        std::uint64_t const weight = use.weight * live.multiplicity;
        pool.open_weights -= weight;
        pool.residual -= Wide{level} * weight;
    }
}

/// The dominant share at which the first resource is full, of every open activity.
std::uint64_t Sharing::lowest_level() {
    std::uint64_t lowest = no_level;
    for (std::uint32_t const resource : resources_) {
        auto& pool = pools_[resource];
        pool.level = no_level;
        if (pool.open_weights == 0) continue;
        if (pool.residual >> 61 < pool.open_weights) {
            pool.level = static_cast<std::uint64_t>(pool.residual / pool.open_weights);
        }
        lowest = std::min(lowest, pool.level);
    }
    return lowest;
}

/// New rates and finish times; proposes an event for everyone at rate_max and for the soonest of
/// each full resource.
void Sharing::apply(Picoseconds now) {
    for (std::uint32_t const slot : slots_) {
        auto& live = lives_[slot];
        set_rate(live, now);
        if (live.owner == nobody) {
            propose(slot);
        } else {
            auto& pool = pools_[live.owner];
            pool.soonest = std::min(pool.soonest, live.finish_at);
        }
    }
    for (std::uint32_t const slot : slots_) {
        auto const& live = lives_[slot];
        if (live.owner != nobody && live.finish_at == pools_[live.owner].soonest) propose(slot);
    }
}

/// Takes up the rate of its level. What is left is counted off only where the rate changes, so
/// that it does not depend on how often others made the component be solved.
/// Rounding: steady at rate_max from the start, the finish is rounded as from_seconds does; else
/// up (after a relative nudge of 2^-48 against noise), and at least 1 ps, so nothing is left then.
void Sharing::set_rate(Live& live, Picoseconds now) {
    double const rate =
        live.at_cap() ? live.rate_max : static_cast<double>(live.level) * live.per_level;
    if (rate == live.rate && live.finish_at != never) return;
    live.left = std::max(0.0, live.left - live.rate * to_seconds(now - live.since));
    live.since = now;
    live.rate = rate;
    live.steady = live.steady && live.at_cap();
    if (live.steady) {
        live.finish_at = now + from_seconds(live.work / rate);
        return;
    }
    double const wait = live.left / rate * picoseconds_per_second * (1 - 0x1p-48);
    bool const in_time = wait < 9e18 - static_cast<double>(now.count);  // a rate of 0 is never
    live.finish_at = in_time ? now + Picoseconds{std::max<std::int64_t>(
                                         1, static_cast<std::int64_t>(std::ceil(wait)))}
                             : never;
}

}  // namespace nvl72
