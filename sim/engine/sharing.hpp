#pragma once

#include "sim/base/units.hpp"
#include "sim/engine/types.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace nvl72 {

// __extension__ quiets -Wpedantic and takes no `using`.
__extension__ typedef unsigned __int128 Wide;  // NOLINT(modernize-use-using)

/// Later than any event: an activity at rate 0 never finishes.
inline constexpr Picoseconds never{std::numeric_limits<std::int64_t>::max()};

/// Max-min sharing of resources by the activities that are running, exact and free of order.
///
/// An activity's *dominant share* is the largest part of one resource that it takes; shares are
/// raised together until a resource is full or an activity is at its rate_max, which freezes it.
/// So bytes/s and SMs mix, and with one kind of link it is plain max-min.
///
/// All of it is counted in integers, so sums do not depend on order and m copies equal one
/// activity of multiplicity m: a share is a multiple of 2^-60 (rounded down), what a resource
/// takes per dominant share a multiple of 2^-40 (rounded up), so a capacity is 2^100.
///
/// A resource is contended when its activities at rate_max together would exceed it. Only
/// contended resources can hold anyone back, so only they join activities into components, and an
/// activity that meets none runs at rate_max without being solved for.
class Sharing {
public:
    ResourceId add_resource(Resource added);
    void set_capacity(ResourceId resource, double capacity);

    /// Takes a slot for an activity; it uses nothing before join().
    std::uint32_t admit(Activity const& activity, std::uint32_t subject);
    /// Its work begins at the next settle().
    void join(std::uint32_t slot) { joining_.push_back(slot); }
    /// Frees the slot of a finished activity.
    void release(std::uint32_t slot);

    /// Ends an instant: solves each dirty component once. Returns the slots that need an event at
    /// their finish_at: everyone newly at rate_max, and the soonest of those that one full
    /// resource holds back (when that one finishes the resource is solved again).
    std::span<std::uint32_t const> settle(Picoseconds now);

    /// One use of a resource by a running activity.
    struct Use {
        std::uint32_t resource = 0;
        std::uint32_t place = 0;   ///< index in the resource's list of entries
        std::uint64_t weight = 0;  ///< part of the resource per dominant share, in 2^-40
        double per_work = 0;
    };

    /// A running activity. `left` was true at `since`, and `rate` has held from then on.
    struct Live {
        double work = 0, left = 0, rate = 0, rate_max = 0;
        double per_level = 0;     ///< rate of one unit of dominant share
        std::uint64_t cap = 0;    ///< dominant share at rate_max
        std::uint64_t level = 0;  ///< dominant share now
        Picoseconds since, finish_at;
        Picoseconds queued_at = never;  ///< its earliest pending event
        std::uint32_t subject = 0, multiplicity = 1, uses_count = 0;
        std::uint32_t owner = 0;  ///< the full resource that holds it back
        std::uint32_t visit = 0;
        bool joined = false;
        bool open = false;   // of the solve: not frozen yet
        bool steady = true;  ///< has run at rate_max from its start
        std::array<Use, 6> few;
        std::vector<Use> many;  // in place of `few` where there are more

        [[nodiscard]] bool at_cap() const { return level == cap; }
        [[nodiscard]] std::span<Use> uses() {
            return {uses_count <= few.size() ? few.data() : many.data(), uses_count};
        }
        [[nodiscard]] std::span<Use const> uses() const {
            return {uses_count <= few.size() ? few.data() : many.data(), uses_count};
        }
    };
    [[nodiscard]] Live& at(std::uint32_t slot) { return lives_[slot]; }
    [[nodiscard]] Live const& at(std::uint32_t slot) const { return lives_[slot]; }
    [[nodiscard]] std::uint32_t slots() const { return static_cast<std::uint32_t>(lives_.size()); }
    [[nodiscard]] std::size_t live() const { return lives_.size() - free_.size(); }
    [[nodiscard]] std::uint64_t solves() const { return solves_; }

    [[nodiscard]] double capacity(ResourceId resource) const {
        return pools_[resource.value].capacity;
    }
    /// What one member of the resource has carried until now, in its units.
    [[nodiscard]] double moved(ResourceId resource, Picoseconds now) const;
    /// For tests, after settle(): throws if a resource is above capacity or an activity is neither
    /// at rate_max nor crosses a full resource. In doubles, from capacities and rates alone.
    void check() const;

private:
    struct Entry {
        std::uint32_t slot, use;
    };
    /// A resource and who uses it.
    struct Pool {
        double capacity = 0, per_capacity = 0;  // per_capacity = 1 / capacity, or 0 when it is down
        double moved = 0;                       // by finished activities
        Wide demand = 0;                        // all its activities at rate_max
        std::uint64_t weights = 0;              // sum of multiplicity * weight
        std::vector<Entry> entries;
        bool dirty = false;
        std::uint32_t admitted = 0;  // slot + 1 of the last activity that named it
        // during a solve
        std::uint32_t visit = 0;
        Wide residual = 0;
        std::uint64_t open_weights = 0, level = 0;
        Picoseconds soonest;

        [[nodiscard]] bool contended() const;
    };

    void add_use(Live& live, std::uint32_t slot, Usage const& usage);
    void weigh(Live& live) const;
    void count(Live const& live);
    void discount(Live const& live);
    void mark_dirty(std::uint32_t resource);
    void attach(std::uint32_t slot, Picoseconds now);
    void enter(std::uint32_t slot, Picoseconds now);
    void propose(std::uint32_t slot);
    // filling.cpp
    void collect(std::uint32_t resource);
    void open(std::uint32_t resource);
    void reach(std::uint32_t slot);
    void fill();
    void freeze(Live& live, std::uint64_t level, std::uint32_t owner);
    std::uint64_t lowest_level();
    void apply(Picoseconds now);
    static void set_rate(Live& live, Picoseconds now);

    std::vector<Pool> pools_;
    std::vector<Live> lives_;
    std::vector<std::uint32_t> free_, joining_, dirty_, due_;
    std::uint32_t epoch_ = 0;
    std::uint64_t solves_ = 0;
    // the component being solved
    std::vector<std::uint32_t> slots_, resources_;
    struct Cap {
        std::uint64_t cap;
        std::uint32_t slot;
    };
    std::vector<Cap> caps_;
};

}  // namespace nvl72
