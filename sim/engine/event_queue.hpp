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
/// Tarjan, J. ACM 37, 1990). It is monotone: nothing is pushed before now(). Times are read as
/// digits; an event lies in the bucket of the highest digit in which its time differs from now(),
/// and of that digit's value, so it only moves down. The vectors are reused: no allocation per
/// event, nothing to tune to the run.
/// There is no cancel: whoever pops an event asks whether it still holds.
class EventQueue {
public:
    void push(Event event) {
        NVL72_EXPECT(event.at >= now_, "an event lies before the clock");
        put(event);
    }

    [[nodiscard]] bool empty() const { return here_.empty() && places_ == 0; }

    /// More was pushed at now() since the last pop. Never ask for the next time instead: moving the
    /// clock there would forbid pushes before it.
    [[nodiscard]] bool more_now() const { return !here_.empty(); }

    /// The last popped instant.
    [[nodiscard]] Picoseconds now() const { return now_; }

    /// Moves the clock to the next instant and takes all its events, sorted by (kind, subject).
    /// They stay valid until the next pop; what is pushed meanwhile at now() is popped next.
    std::span<Event const> pop_instant() {
        NVL72_EXPECT(!empty(), "no event to pop");
        if (here_.empty()) advance();
        batch_.clear();
        std::swap(batch_, here_);
        if (batch_.size() > 1) {
            std::ranges::sort(batch_,
                              [](Event const& a, Event const& b) { return order(a) < order(b); });
        }
        return batch_;
    }

private:
    static constexpr unsigned bits = 6;  // of a digit, so that its values fill one word of digits_
    static constexpr unsigned values = 1U << bits;

    static std::uint64_t order(Event const& event) {
        return std::uint64_t{event.kind} << 32 | event.subject;
    }

    void put(Event event) {
        auto const time = static_cast<std::uint64_t>(event.at.count);
        auto const difference = time ^ static_cast<std::uint64_t>(now_.count);
        if (difference == 0) return here_.push_back(event);
        auto const place = (static_cast<unsigned>(std::bit_width(difference)) - 1) / bits;
        auto const digit = static_cast<unsigned>(time >> (place * bits)) & (values - 1);
        buckets_[std::size_t{place} * values + digit].push_back(event);
        digits_[place] |= 1ULL << digit;
        places_ |= 1ULL << place;
    }

    /// The lowest digit of the lowest place holds the next instant; its other events move down.
    void advance() {
        auto const place = static_cast<unsigned>(std::countr_zero(places_));
        auto const digit = static_cast<unsigned>(std::countr_zero(digits_[place]));
        digits_[place] &= digits_[place] - 1;
        if (digits_[place] == 0) places_ &= places_ - 1;
        auto& bucket = buckets_[place * values + digit];
        now_ = std::ranges::min_element(bucket, [](Event const& a, Event const& b) {
                   return a.at < b.at;
               })->at;
        if (bucket.size() == 1) return std::swap(here_, bucket);
        for (Event const& event : bucket) put(event);
        bucket.clear();
    }

    static constexpr unsigned places = (63 + bits - 1) / bits;  // times are not negative
    std::array<std::vector<Event>, std::size_t{places} * values> buckets_;
    std::array<std::uint64_t, places> digits_{};  // bit d of place p: that bucket holds events
    std::uint64_t places_ = 0;                    // bit p: digits_[p] is not 0
    std::vector<Event> here_, batch_;             // at now(): pushed, popped
    Picoseconds now_;
};

}  // namespace nvl72
