#include "sim/engine/event_queue.hpp"

#include "sim/base/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>
#include <vector>

namespace nvl72 {
namespace {

auto key(Event const& event) { return std::tuple(event.at, event.kind, event.subject); }

/// Increments of very different size, so that every bucket and many ties occur.
std::int64_t increment(RandomStream& random) {
    return static_cast<std::int64_t>(random.next() >> (20 + random.below(44)));
}

TEST(EventQueueOrder, EqualsASortedReferenceWhateverIsPushedMeanwhile) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        RandomStream random(seed, "event queue");
        EventQueue queue;
        std::vector<Event> reference, popped;
        auto const push = [&](std::int64_t at) {
            Event const event{Picoseconds{at}, static_cast<std::uint32_t>(random.below(3)),
                              static_cast<std::uint32_t>(random.below(50))};
            queue.push(event);
            reference.push_back(event);
        };
        for (int i = 0; i < 50; ++i) push(increment(random));
        while (!queue.empty()) {
            auto const instant = queue.pop_instant();
            std::vector<Event> const batch(instant.begin(), instant.end());
            // the whole instant of the reference, in order
            std::ranges::sort(reference,
                              [](Event const& a, Event const& b) { return key(a) < key(b); });
            auto const end = std::ranges::find_if(
                reference, [&](Event const& e) { return e.at != reference.front().at; });
            ASSERT_EQ(batch.size(), static_cast<std::size_t>(end - reference.begin()));
            for (std::size_t i = 0; i < batch.size(); ++i) {
                ASSERT_EQ(key(batch[i]), key(reference[i])) << "seed " << seed;
            }
            ASSERT_EQ(queue.now(), batch[0].at);
            reference.erase(reference.begin(), end);
            popped.insert(popped.end(), batch.begin(), batch.end());
            auto const pushes = popped.size() < 1000 ? random.below(3) : 0;
            for (std::uint64_t i = 0; i < pushes; ++i) {
                push(queue.now().count + (random.below(4) == 0 ? 0 : increment(random)));
            }
        }
        ASSERT_TRUE(reference.empty());
    }
}

}  // namespace
}  // namespace nvl72
