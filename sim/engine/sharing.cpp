#include "sim/engine/sharing.hpp"

#include "sim/base/error.hpp"
#include "sim/engine/filling.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace nvl72 {

namespace {

/// A dominant share in levels, 40 significant bits, rounded down after a nudge of 2^-50: the
/// nudge lifts quotients that should be 1 or 1/2, the rounding lets k activities of share 1/k fit.
std::uint64_t levels(double share) {
    if (!(share < 1.5)) return 2 * full_level;  // more than a whole resource: never reached
    auto const bits = std::bit_cast<std::uint64_t>(share * (1 + 0x1p-50));
    auto const kept = std::bit_cast<double>(bits & ~0xfffULL);
    return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(kept * full_level));
}

}  // namespace

bool Sharing::Pool::contended() const { return per_capacity == 0 || demand > full_capacity; }

ResourceId Sharing::add_resource(Resource added) {
    pools_.emplace_back();
    ResourceId const id{static_cast<std::uint32_t>(pools_.size() - 1)};
    set_capacity(id, added.capacity);
    return id;
}

void Sharing::set_capacity(ResourceId resource, double capacity) {
    NVL72_EXPECT(resource.value < pools_.size(), "a capacity is set of a resource that exists");
    NVL72_EXPECT(capacity >= 0 && std::isfinite(capacity), "a capacity is finite, not negative");
    auto& pool = pools_[resource.value];
    for (Entry const& entry : pool.entries) discount(lives_[entry.slot]);
    pool.capacity = capacity;
    pool.per_capacity = capacity > 0 ? 1 / capacity : 0;
    for (Entry const& entry : pool.entries) {
        auto& live = lives_[entry.slot];
        weigh(live);
        count(live);
        for (Use const& use : live.uses()) mark_dirty(use.resource);
    }
}

std::uint32_t Sharing::admit(Activity const& activity, std::uint32_t subject) {
    NVL72_EXPECT(activity.latency.count >= 0, "a latency is not negative");
    NVL72_EXPECT(activity.work >= 0 && std::isfinite(activity.work),
                 "work is finite, not negative");
    NVL72_EXPECT(activity.rate_max > 0, "a rate is positive");
    NVL72_EXPECT(activity.multiplicity > 0 && activity.multiplicity <= max_multiplicity,
                 "an activity stands for 1 to 2^23");
    if (free_.empty()) {
        free_.push_back(slots());
        lives_.emplace_back();
    }
    std::uint32_t const slot = free_.back();
    free_.pop_back();
    auto& live = lives_[slot];
    live.work = live.left = activity.work;
    live.rate = 0;
    live.rate_max = activity.rate_max;
    live.cap = live.level = 0;
    live.finish_at = live.queued_at = never;
    live.subject = subject;
    live.multiplicity = activity.multiplicity;
    live.uses_count = 0;
    live.joined = false;
    live.steady = true;
    if (activity.work > 0) {
        for (Usage const& usage : activity.uses) add_use(live, slot, usage);
        for (Use const& use : live.uses()) pools_[use.resource].admitted = 0;
    }
    return slot;
}

/// A resource named twice is used once, by the sum.
void Sharing::add_use(Live& live, std::uint32_t slot, Usage const& usage) {
    NVL72_EXPECT(usage.resource.value < pools_.size(), "an activity uses resources that exist");
    NVL72_EXPECT(usage.per_work >= 0 && std::isfinite(usage.per_work),
                 "use per work is finite, not negative");
    if (usage.per_work == 0) return;
    auto& pool = pools_[usage.resource.value];
    if (pool.admitted == slot + 1) {
        for (Use& use : live.uses()) {
            if (use.resource == usage.resource.value) use.per_work += usage.per_work;
        }
        return;
    }
    pool.admitted = slot + 1;
    Use added;
    added.resource = usage.resource.value;
    added.per_work = usage.per_work;
    if (live.uses_count < live.few.size()) {
        live.few[live.uses_count] = added;
    } else {
        if (live.uses_count == live.few.size()) live.many.assign(live.few.begin(), live.few.end());
        live.many.push_back(added);
    }
    ++live.uses_count;
}

void Sharing::release(std::uint32_t slot) {
    auto& live = lives_[slot];
    if (live.joined) {
        for (Use const& use : live.uses()) {
            auto& pool = pools_[use.resource];
            if (pool.contended()) mark_dirty(use.resource);
            pool.moved += live.multiplicity * (live.work * use.per_work);
            Entry const last = pool.entries.back();
            pool.entries[use.place] = last;
            lives_[last.slot].uses()[last.use].place = use.place;
            pool.entries.pop_back();
        }
        discount(live);
    }
    live.joined = false;
    free_.push_back(slot);
}

std::span<std::uint32_t const> Sharing::settle(Picoseconds now) {
    due_.clear();
    for (std::uint32_t const slot : joining_) attach(slot, now);
    for (std::uint32_t const slot : joining_) enter(slot, now);
    joining_.clear();
    if (dirty_.empty()) return due_;
    ++epoch_;
    for (std::uint32_t const resource : dirty_) {
        pools_[resource].dirty = false;
        collect(resource);
        if (slots_.empty()) continue;
        ++solves_;
        fill();
        apply(now);
    }
    dirty_.clear();
    return due_;
}

/// Dominant share, weights and cap, from the capacities of now.
void Sharing::weigh(Live& live) const {
    double dominant = 0;
    for (Use const& use : live.uses()) {
        dominant = std::max(dominant, use.per_work * pools_[use.resource].per_capacity);
    }
    if (dominant == 0) dominant = 1;  // every resource it needs is down
    live.per_level = 1 / (dominant * full_level);
    live.cap = levels(live.rate_max * dominant);
    for (Use& use : live.uses()) {
        double const part = use.per_work * pools_[use.resource].per_capacity / dominant;
        double const weight = std::ceil(part * full_weight * (1 - 0x1p-48));
        use.weight = static_cast<std::uint64_t>(std::clamp(weight, 1.0, full_weight));
    }
}

void Sharing::count(Live const& live) {
    for (Use const& use : live.uses()) {
        auto& pool = pools_[use.resource];
        std::uint64_t const weight = use.weight * live.multiplicity;
        pool.weights += weight;
        NVL72_EXPECT(pool.weights < 1ULL << 63, "at most 2^23 activities share one resource");
        pool.demand += Wide{live.cap} * weight;
    }
}

void Sharing::discount(Live const& live) {
    for (Use const& use : live.uses()) {
        auto& pool = pools_[use.resource];
        std::uint64_t const weight = use.weight * live.multiplicity;
        pool.weights -= weight;
        pool.demand -= Wide{live.cap} * weight;
    }
}

void Sharing::mark_dirty(std::uint32_t resource) {
    auto& pool = pools_[resource];
    if (pool.dirty) return;
    pool.dirty = true;
    dirty_.push_back(resource);
}

void Sharing::attach(std::uint32_t slot, Picoseconds now) {
    auto& live = lives_[slot];
    weigh(live);
    count(live);
    live.since = now;
    live.joined = true;
    std::uint32_t index = 0;
    for (Use& use : live.uses()) {
        auto& entries = pools_[use.resource].entries;
        use.place = static_cast<std::uint32_t>(entries.size());
        entries.push_back({slot, index++});
    }
}

/// Where it meets no contended resource it runs at rate_max and changes nobody else's rate.
void Sharing::enter(std::uint32_t slot, Picoseconds now) {
    auto& live = lives_[slot];
    bool alone = true;
    for (Use const& use : live.uses()) {
        if (!pools_[use.resource].contended()) continue;
        mark_dirty(use.resource);
        alone = false;
    }
    if (!alone) return;
    live.level = live.cap;
    set_rate(live, now);
    propose(slot);
}

/// An event is pushed only where none comes early enough; one that comes too early is renewed when
/// it is popped.
void Sharing::propose(std::uint32_t slot) {
    auto& live = lives_[slot];
    if (live.finish_at >= live.queued_at) return;
    live.queued_at = live.finish_at;
    due_.push_back(slot);
}

double Sharing::moved(ResourceId resource, Picoseconds now) const {
    NVL72_EXPECT(resource.value < pools_.size(),
                 "what a resource moved is asked of one that exists");
    auto const& pool = pools_[resource.value];
    double sum = pool.moved;
    for (Entry const& entry : pool.entries) {
        auto const& live = lives_[entry.slot];
        double const left = live.left - live.rate * to_seconds(now - live.since);
        double const per_work = live.uses()[entry.use].per_work;
        sum += live.multiplicity * (std::min(live.work, live.work - left) * per_work);
    }
    return sum;
}

void Sharing::check() const {
    std::vector<double> used(pools_.size()), highest(pools_.size());
    auto const share = [](Live const& live) { return live.rate / (live.per_level * full_level); };
    for (auto const& live : lives_) {
        if (!live.joined) continue;
        for (Use const& use : live.uses()) {
            used[use.resource] += live.multiplicity * (live.rate * use.per_work);
            highest[use.resource] = std::max(highest[use.resource], share(live));
        }
    }
    for (std::size_t r = 0; r < pools_.size(); ++r) {
        NVL72_EXPECT(used[r] <= pools_[r].capacity * (1 + 1e-9),
                     "no resource is above its capacity");
    }
    for (auto const& live : lives_) {
        if (!live.joined || live.rate == live.rate_max) continue;
        NVL72_EXPECT(live.rate < live.rate_max, "no activity is above its rate_max");
        bool held = false;  // by a full resource of which nobody has a larger share
        for (Use const& use : live.uses()) {
            held |= used[use.resource] >= pools_[use.resource].capacity * (1 - 1e-6) &&
                    highest[use.resource] <= share(live) * (1 + 1e-6);
        }
        NVL72_EXPECT(held, "each activity is at rate_max or held by a full resource");
    }
}

}  // namespace nvl72
