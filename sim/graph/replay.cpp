#include "sim/graph/replay.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <functional>
#include <queue>
#include <utility>

namespace nvl72 {

namespace {

constexpr std::uint32_t no_task = UINT32_MAX;
constexpr std::size_t lanes = 8;  // sets of times that one pass takes: a cache line
using Lanes = std::array<double, lanes>;

struct LaneTime {
    Lanes latency{}, work{};  // picoseconds
};

std::vector<LaneTime> lanes_of(std::span<std::vector<TaskTime> const> sets) {
    std::vector<LaneTime> times(sets.front().size());
    for (std::size_t lane = 0; lane < sets.size(); ++lane) {
        NVL72_EXPECT(sets[lane].size() == times.size(), "a time for each cost of the recording");
        for (std::size_t cost = 0; cost < times.size(); ++cost) {
            times[cost].latency[lane] = static_cast<double>(sets[lane][cost].latency.count);
            times[cost].work[lane] = static_cast<double>(sets[lane][cost].work.count);
        }
    }
    return times;
}

Lanes makespans(Replay const& recorded, std::vector<LaneTime> const& times) {
    std::vector<Lanes> finish(recorded.steps.size());
    Lanes last{};
    std::size_t need = 0;
    for (std::size_t i = 0; i < finish.size(); ++i) {
        Replay::Step const& step = recorded.steps[i];
        Lanes start{};
        for (; need < step.needs_end; ++need) {
            Lanes const& before = finish[recorded.needs[need]];
            for (std::size_t l = 0; l < lanes; ++l) start[l] = std::max(start[l], before[l]);
        }
        LaneTime const& time = times[step.cost.value];
        for (std::size_t l = 0; l < lanes; ++l) {
            finish[i][l] = start[l] + (time.latency[l] + time.work[l] * step.stretch);
            last[l] = std::max(last[l], finish[i][l]);
        }
    }
    return last;
}

/// Tasks by their start. Of those that start together some may be over at once and start others:
/// none goes before a task that it needs, or that is ahead in its stream.
std::vector<TaskId> start_order(TaskGraph const& graph, Execution const& execution) {
    auto const tasks = graph.tasks();
    std::vector<std::size_t> waits_for(tasks.size());
    std::vector<std::uint32_t> next_in_stream(tasks.size(), no_task);
    std::vector<std::uint32_t> last_of_stream(graph.streams().size(), no_task);
    for (std::uint32_t i = 0; i < tasks.size(); ++i) {
        waits_for[i] = graph.needs(TaskId{i}).size();
        auto& before = last_of_stream[tasks[i].stream.value];
        if (before != no_task) {
            next_in_stream[before] = i;
            ++waits_for[i];
        }
        before = i;
    }
    using Ready = std::pair<std::int64_t, std::uint32_t>;  // start and task
    std::priority_queue<Ready, std::vector<Ready>, std::greater<>> ready;
    for (std::uint32_t i = 0; i < tasks.size(); ++i) {
        if (waits_for[i] == 0) ready.emplace(execution.start[i].count, i);
    }
    auto const done = [&](std::uint32_t i) {
        if (--waits_for[i] == 0) ready.emplace(execution.start[i].count, i);
    };
    std::vector<TaskId> order;
    while (!ready.empty()) {
        std::uint32_t const at = ready.top().second;
        ready.pop();
        order.emplace_back(at);
        for (TaskId const fed : graph.feeds(TaskId{at})) done(fed.value);
        if (next_in_stream[at] != no_task) done(next_in_stream[at]);
    }
    NVL72_EXPECT(order.size() == tasks.size(), "a graph that ran has no cycle");
    return order;
}

}  // namespace

Replay record(TaskGraph const& graph, std::span<TaskTime const> times, Execution const& execution) {
    auto const tasks = graph.tasks();
    auto const order = start_order(graph, execution);
    Replay recorded;
    std::vector<std::uint32_t> step_of(tasks.size());
    std::vector<std::uint32_t> last_of_stream(graph.streams().size(), no_task);
    for (std::uint32_t i = 0; i < order.size(); ++i) {
        TaskId const id = order[i];
        Task const& task = tasks[id.value];
        step_of[id.value] = i;
        for (TaskId const needed : graph.needs(id)) {
            recorded.needs.push_back(step_of[needed.value]);
        }
        auto& before = last_of_stream[task.stream.value];
        if (before != no_task) recorded.needs.push_back(before);
        before = i;
        TaskTime const& alone = times[task.cost.value];
        auto const working = execution.finish[id.value] - execution.start[id.value] - alone.latency;
        double const stretch = alone.work.count > 0 ? static_cast<double>(working.count) /
                                                          static_cast<double>(alone.work.count)
                                                    : 1;
        recorded.steps.push_back(
            {task.cost, static_cast<std::uint32_t>(recorded.needs.size()), stretch});
    }
    return recorded;
}

std::vector<Picoseconds> replay(Replay const& recorded,
                                std::span<std::vector<TaskTime> const> sets) {
    std::vector<Picoseconds> spans;
    for (std::size_t first = 0; first < sets.size(); first += lanes) {
        std::size_t const count = std::min(lanes, sets.size() - first);
        Lanes const last = makespans(recorded, lanes_of(sets.subspan(first, count)));
        for (std::size_t lane = 0; lane < count; ++lane) {
            spans.emplace_back(std::llround(last.at(lane)));
        }
    }
    return spans;
}

}  // namespace nvl72
