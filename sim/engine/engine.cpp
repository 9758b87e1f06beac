#include "sim/engine/engine.hpp"

#include "sim/base/error.hpp"

#include <algorithm>

namespace nvl72 {

ActivityId Engine::start(Activity const& activity, std::uint32_t subject) {
    std::uint32_t const slot = sharing_.admit(activity, subject);
    auto& live = sharing_.at(slot);
    if (live.uses_count == 0) {
        live.finish_at = live.queued_at =
            now() + activity.latency + from_seconds(activity.work / activity.rate_max);
        queue_.push({live.finish_at, completion, slot});
    } else if (activity.latency.count > 0) {
        queue_.push({now() + activity.latency, arrival, slot});
    } else {
        sharing_.join(slot);
    }
    return ActivityId{slot};
}

void Engine::settle() {
    for (std::uint32_t const slot : sharing_.settle(now())) {
        queue_.push({sharing_.at(slot).finish_at, completion, slot});
    }
}

/// Gathers and frees the activities that end now, by subject; returns the first other event.
/// An event that comes before its activity's finish_at is renewed, one of another time is void.
std::size_t Engine::take_completions(std::span<Event const> events) {
    finished_.clear();
    std::size_t next = 0;
    for (; next < events.size() && events[next].kind == completion; ++next) {
        std::uint32_t const slot = events[next].subject;
        auto& live = sharing_.at(slot);
        if (live.queued_at != now()) continue;
        if (live.finish_at == now()) {
            live.queued_at = never;
            finished_.push_back({live.subject, slot});
        } else {
            live.queued_at = live.finish_at;
            if (live.finish_at != never) queue_.push({live.finish_at, completion, slot});
        }
    }
    for (Finished const& ended : finished_) sharing_.release(ended.slot);
    std::ranges::sort(finished_,
                      [](Finished const& a, Finished const& b) { return a.subject < b.subject; });
    return next;
}

/// Names the first few that wait, and the resources they wait for.
void Engine::no_progress(std::function<std::string(std::uint32_t)> const& describe) const {
    std::vector<Finished> stuck;
    for (std::uint32_t slot = 0; slot < sharing_.slots(); ++slot) {
        if (sharing_.at(slot).joined) stuck.push_back({sharing_.at(slot).subject, slot});
    }
    std::ranges::sort(stuck,
                      [](Finished const& a, Finished const& b) { return a.subject < b.subject; });
    std::string message = "no progress: nothing is pending, " + std::to_string(stuck.size()) +
                          " activities cannot end";
    for (std::size_t i = 0; i < std::min<std::size_t>(stuck.size(), 4); ++i) {
        message += "; ";
        message += describe(stuck[i].subject);
        message += " waits for resource";
        for (auto const& use : sharing_.at(stuck[i].slot).uses()) {
            bool const down = sharing_.capacity(ResourceId{use.resource}) == 0;
            message += ' ';
            message += std::to_string(use.resource);
            if (down) message += " (capacity 0)";
        }
    }
    throw NoProgress(message);
}

}  // namespace nvl72
