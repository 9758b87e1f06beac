#pragma once

#include "sim/base/error.hpp"
#include "sim/engine/types.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace nvl72 {

/// Pending events by time: a radix heap on the integer picosecond clock (Ahuja, Mehlhorn, Orlin,
/// Tarjan, J. ACM 37, 1990). It is monotone: nothing is pushed before now(). An event lies in the
/// bucket of the highest bit in which its time differs from now(), so it moves down at most 63
/// times and the vectors are reused: no allocation per event, nothing to tune.
/// There is no cancel: whoever pops an event asks whether it still holds.
class EventQueue {
public:
    void push(Event event) {
        NVL72_EXPECT(event.at >= now_, "an event lies before the clock");
        put(event);
    }

    [[nodiscard]] bool empty() const { return occupied_ == 0; }

    /// More was pushed at now() since the last pop. Never ask for the next time instead: moving the
    /// clock there would forbid pushes before it.
    [[nodiscard]] bool more_now() const { return !buckets_[0].empty(); }

    /// The last popped instant.
    [[nodiscard]] Picoseconds now() const { return now_; }

    /// Moves the clock to the next instant and takes all its events, sorted by (kind, subject).
    /// They stay valid until the next pop; what is pushed meanwhile at now() is popped next.
    std::span<Event const> pop_instant() {
        NVL72_EXPECT(!empty(), "no event to pop");
        if (buckets_[0].empty()) advance();
        batch_.clear();
        std::swap(batch_, buckets_[0]);
        occupied_ &= ~1ULL;
        if (batch_.size() > 1) {
            std::sort(batch_.begin(), batch_.end(),
                      [](Event const& a, Event const& b) { return order(a) < order(b); });
        }
        return batch_;
    }

private:
    static std::uint64_t order(Event const& event) {
        return std::uint64_t{event.kind} << 32 | event.subject;
    }

    void put(Event event) {
        auto const difference = static_cast<std::uint64_t>(event.at.count ^ now_.count);
        auto const bucket = static_cast<unsigned>(std::bit_width(difference));
        buckets_[bucket].push_back(event);
        occupied_ |= 1ULL << bucket;
    }

    /// The lowest occupied bucket holds the next instant; its other events move to lower ones.
    void advance() {
        auto const lowest = static_cast<unsigned>(std::countr_zero(occupied_));
        auto& bucket = buckets_[lowest];
        now_ = std::min_element(bucket.begin(), bucket.end(), [](Event const& a, Event const& b) {
                   return a.at < b.at;
               })->at;
        occupied_ &= ~(1ULL << lowest);
        if (bucket.size() == 1) return std::swap(buckets_[0], bucket);
        for (Event const& event : bucket) put(event);
        bucket.clear();
    }

    std::array<std::vector<Event>, 64> buckets_;  // times are not negative: bit 63 never differs
    std::vector<Event> batch_;
    std::uint64_t occupied_ = 0;  // bit b: bucket b holds events
    Picoseconds now_;
};

}  // namespace nvl72
