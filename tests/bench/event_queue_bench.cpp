// Events per second of the pending-event set in the hold model (pop one, push one later), the
// radix heap beside std::priority_queue with the same events, order and increments.

#include "sim/base/random.hpp"
#include "sim/engine/engine.hpp"
#include "sim/engine/event_queue.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <ctime>
#include <queue>
#include <tuple>
#include <vector>

namespace {

using namespace nvl72;

struct Later {
    bool operator()(Event const& a, Event const& b) const {
        return std::tie(a.at, a.kind, a.subject) > std::tie(b.at, b.kind, b.subject);
    }
};
using Reference = std::priority_queue<Event, std::vector<Event>, Later>;

/// Exponential increments of mean 1 ms; drawn beforehand so that only the queue is timed.
std::vector<std::int64_t> increments() {
    RandomStream random(1, "hold model");
    std::vector<std::int64_t> drawn(1 << 20);
    for (auto& increment : drawn) {
        increment = from_seconds(random.exponential(1e-3)).count;
    }
    return drawn;
}

template <class Queue>
void fill(Queue& queue, std::vector<std::int64_t> const& drawn, std::int64_t pending) {
    for (std::int64_t i = 0; i < pending; ++i) {
        auto const index = static_cast<std::size_t>(i) % drawn.size();
        queue.push({Picoseconds{drawn[index]}, static_cast<std::uint32_t>(i) & 3U,
                    static_cast<std::uint32_t>(i)});
    }
}

Picoseconds hold(Reference& queue, std::vector<std::int64_t> const& drawn, std::int64_t events) {
    for (std::int64_t i = 0; i < events; ++i) {
        Event event = queue.top();
        queue.pop();
        event.at += Picoseconds{drawn[static_cast<std::size_t>(i) % drawn.size()]};
        queue.push(event);
    }
    return queue.top().at;
}

Picoseconds hold(EventQueue& queue, std::vector<std::int64_t> const& drawn, std::int64_t events) {
    for (std::int64_t i = 0; i < events;) {
        for (Event event : queue.pop_instant()) {
            event.at += Picoseconds{drawn[static_cast<std::size_t>(i++) % drawn.size()]};
            queue.push(event);
        }
    }
    return queue.now();
}

constexpr std::int64_t events = 1 << 21;

template <class Queue>
double events_per_second(std::int64_t pending, std::vector<std::int64_t> const& drawn) {
    Queue queue;
    fill(queue, drawn, pending);
    hold(queue, drawn, std::max(events, 2 * pending));  // reach the steady state
    auto const begin = std::clock();                    // CPU time: the machine may be shared
    benchmark::DoNotOptimize(hold(queue, drawn, events));
    return static_cast<double>(events) * CLOCKS_PER_SEC / static_cast<double>(std::clock() - begin);
}

/// Both queues in turn, so that what slows the machine slows both.
void hold_model(benchmark::State& state) {
    auto const drawn = increments();
    double radix = 0, reference = 0;
    for (auto _ : state) {
        radix += events_per_second<EventQueue>(state.range(0), drawn);
        reference += events_per_second<Reference>(state.range(0), drawn);
    }
    auto const rounds = static_cast<double>(state.iterations());
    state.counters["radix_events_per_s"] = radix / rounds;
    state.counters["priority_queue_events_per_s"] = reference / rounds;
    state.counters["ratio"] = radix / reference;
}
BENCHMARK(hold_model)
    ->Arg(1000)
    ->Arg(100'000)
    ->Arg(1'000'000)
    ->Iterations(5)
    ->Unit(benchmark::kMillisecond);

/// Chains of activities, one live on each link: the fast path of a training step.
struct Chains {
    Engine& engine;
    std::vector<std::vector<Usage>> const& uses;
    std::int64_t left = 0;
    double rate_max = 0;

    void finished(std::uint32_t subject) {
        if (left-- > 0) start(subject);
    }
    void timer(std::uint32_t, std::uint32_t) {}
    void start(std::uint32_t subject) {
        Activity activity;
        activity.latency = Picoseconds{1'000'000 + subject};
        activity.work = 1e6 + 10 * subject;
        activity.rate_max = rate_max;
        activity.uses = uses[subject % uses.size()];
        engine.start(activity, subject);
    }
};

/// range(0): chains on each of 200 pairs of links; range(1): per cent of a link one wants.
void engine_chains(benchmark::State& state) {
    constexpr std::int64_t activities = 1'000'000;
    for (auto _ : state) {
        Engine engine;
        std::vector<std::vector<Usage>> uses(200);
        for (auto& each : uses) {
            each = {{engine.add_resource({50e9, 1}), 1}, {engine.add_resource({900e9, 1}), 2}};
        }
        double const rate_max = 50e9 * static_cast<double>(state.range(1)) / 100;
        Chains chains{engine, uses, activities, rate_max};
        for (std::uint32_t i = 0; i < 200 * state.range(0); ++i) chains.start(i);
        engine.run(chains);
        state.counters["solves"] = static_cast<double>(engine.sharing().solves());
    }
    state.counters["activities_per_s"] = benchmark::Counter(
        static_cast<double>(activities * state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(engine_chains)
    ->Args({1, 100})
    ->Args({2, 50})
    ->Args({2, 100})
    ->Args({6, 100})
    ->Unit(benchmark::kMillisecond);

}  // namespace
