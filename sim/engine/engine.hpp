#pragma once

#include "sim/engine/event_queue.hpp"
#include "sim/engine/sharing.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace nvl72 {

/// Runs activities on shared resources. The user starts activities and sets timers; run() calls
/// its handler back as they end, and the handler starts more:
///     void finished(uint32_t subject);                 an activity ended
///     void timer(uint32_t kind, uint32_t subject);     a time set by at() came
///     std::string describe(uint32_t subject);          optional: names one that cannot end
///     void settled();                                  optional: rates of the instant are known
/// Inside an instant the order is: finished by subject, activities whose latency is over, timers
/// by (kind, subject); what these start at the same instant comes after them. Then the resources
/// are shared anew, once.
class Engine {
public:
    ResourceId add_resource(Resource added) { return sharing_.add_resource(added); }
    /// From now() on.
    void set_capacity(ResourceId resource, double capacity) {
        sharing_.set_capacity(resource, capacity);
    }

    /// Starts an activity at now(): first its latency, which uses nothing, then its work.
    ActivityId start(Activity const& activity, std::uint32_t subject);
    /// Calls timer(kind, subject) at a time not before now().
    void at(Picoseconds when, std::uint32_t kind, std::uint32_t subject) {
        queue_.push({when, first_timer + kind, subject});
    }

    [[nodiscard]] Picoseconds now() const { return queue_.now(); }
    /// When the handler was last called; now() may be later, by an event that no longer held.
    [[nodiscard]] Picoseconds last_call() const { return last_call_; }

    /// Until nothing is pending. Throws NoProgress where activities are left that cannot end.
    template <class Handler>
    void run(Handler& handler);

    /// Work units per second, of a live activity; 0 during its latency.
    [[nodiscard]] double rate(ActivityId activity) const {
        return sharing_.at(activity.value).rate;
    }
    /// What one member of a resource has carried until now: its capacity, integrated where used.
    [[nodiscard]] double moved(ResourceId resource) const {
        return sharing_.moved(resource, now());
    }
    /// The max-min sharing below, for inspection: check(), solves().
    [[nodiscard]] Sharing const& sharing() const { return sharing_; }

private:
    static constexpr std::uint32_t completion = 0, arrival = 1, first_timer = 2;
    struct Finished {
        std::uint32_t subject, slot;
    };

    void settle();
    std::size_t take_completions(std::span<Event const> events);
    [[noreturn]] void no_progress(std::function<std::string(std::uint32_t)> const& describe) const;

    EventQueue queue_;
    Sharing sharing_;
    std::vector<Finished> finished_;
    Picoseconds last_call_;
};

template <class Handler>
void Engine::run(Handler& handler) {
    auto const share = [&] {
        settle();
        if constexpr (requires { handler.settled(); }) handler.settled();
    };
    share();
    while (!queue_.empty()) {
        do {
            auto const events = queue_.pop_instant();
            std::size_t next = take_completions(events);
            if (!finished_.empty() || next < events.size()) last_call_ = now();
            for (Finished const& ended : finished_) handler.finished(ended.subject);
            for (; next < events.size() && events[next].kind == arrival; ++next) {
                sharing_.join(events[next].subject);
            }
            for (; next < events.size(); ++next) {
                handler.timer(events[next].kind - first_timer, events[next].subject);
            }
        } while (queue_.more_now());
        share();
    }
    if (sharing_.live() == 0) return;
    if constexpr (requires { std::string(handler.describe(0U)); }) {
        no_progress([&](std::uint32_t subject) { return std::string(handler.describe(subject)); });
    } else {
        no_progress([](std::uint32_t subject) { return "activity " + std::to_string(subject); });
    }
}

}  // namespace nvl72
