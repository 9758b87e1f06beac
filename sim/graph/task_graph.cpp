#include "sim/graph/task_graph.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

namespace nvl72 {

namespace {

template <class T>
std::span<T const> slice(std::vector<T> const& items,
                         std::vector<std::uint32_t> const& begin,
                         std::uint32_t index) {
    return std::span<T const>(items).subspan(begin[index], begin[index + 1] - begin[index]);
}

}  // namespace

std::span<TaskId const> TaskGraph::needs(TaskId task) const {
    return slice(needs_, need_begin_, task.value);
}
std::span<TaskId const> TaskGraph::feeds(TaskId task) const {
    return slice(feeds_, feed_begin_, task.value);
}
std::span<Traffic const> TaskGraph::traffic(TaskId task) const {
    return slice(traffic_, traffic_begin_, task.value);
}

std::string TaskGraph::describe(TaskId id) const {
    Task const& task = tasks_[id.value];
    Stream const& stream = streams_[task.stream.value];
    RankClass const& who = classes_[stream.who.value];
    std::string text = fmt::format("{} (rank {}) {}: {}", who.name, who.representative.value,
                                   stream.name, phases_[task.phase]);
    if (task.micro_batch >= 0) text += fmt::format(", micro-batch {}", task.micro_batch);
    if (task.chunk >= 0) text += fmt::format(", chunk {}", task.chunk);
    return text;
}

namespace {

std::uint32_t next_index(std::size_t size) {
    NVL72_EXPECT(size < UINT32_MAX, "a graph holds fewer than 2^32 items");
    return static_cast<std::uint32_t>(size);
}

}  // namespace

ClassId TaskGraphBuilder::add_class(RankClass added) {
    graph_.classes_.push_back(std::move(added));
    return ClassId{next_index(graph_.classes_.size() - 1)};
}

StreamId TaskGraphBuilder::add_stream(Stream added) {
    graph_.streams_.push_back(std::move(added));
    return StreamId{next_index(graph_.streams_.size() - 1)};
}

ResourceId TaskGraphBuilder::add_resource(Resource added) {
    graph_.resources_.push_back(added);
    return ResourceId{next_index(graph_.resources_.size() - 1)};
}

std::uint32_t TaskGraphBuilder::add_phase(std::string name) {
    graph_.phases_.push_back(std::move(name));
    return next_index(graph_.phases_.size() - 1);
}

TaskId TaskGraphBuilder::add_task(Task task,
                                  std::span<TaskId const> needs,
                                  std::span<Traffic const> traffic) {
    TaskId const id{next_index(graph_.tasks_.size())};
    graph_.tasks_.push_back(task);
    for (TaskId const needed : needs) edges_.emplace_back(id, needed);
    graph_.traffic_begin_.push_back(next_index(graph_.traffic_.size()));
    graph_.traffic_.insert(graph_.traffic_.end(), traffic.begin(), traffic.end());
    return id;
}

void TaskGraphBuilder::add_need(TaskId task, TaskId needed) { edges_.emplace_back(task, needed); }

namespace {

/// Fills one direction of the edges as offsets and targets, in edge order.
template <class Key, class Target>
void index_edges(std::size_t tasks,
                 std::vector<std::pair<TaskId, TaskId>> const& edges,
                 Key key,
                 Target target,
                 std::vector<std::uint32_t>& begin,
                 std::vector<TaskId>& out) {
    begin.assign(tasks + 1, 0);
    for (auto const& edge : edges) ++begin[key(edge).value + 1];
    std::partial_sum(begin.begin(), begin.end(), begin.begin());
    out.resize(edges.size());
    std::vector<std::uint32_t> next(begin.begin(), begin.end() - 1);
    for (auto const& edge : edges) out[next[key(edge).value]++] = target(edge);
}

/// Follows unfinished predecessors from `start` until a task repeats: that is a cycle.
std::string cycle_text(TaskGraph const& graph,
                       std::vector<std::uint32_t> const& waiting,
                       std::vector<TaskId> const& stream_before) {
    std::uint32_t at = 0;
    while (waiting[at] == 0) ++at;
    std::vector<bool> seen(waiting.size(), false);
    std::vector<TaskId> path;
    while (!seen[at]) {
        seen[at] = true;
        path.emplace_back(at);
        auto const needs = graph.needs(TaskId{at});
        auto const unfinished =
            std::ranges::find_if(needs, [&](TaskId needed) { return waiting[needed.value] != 0; });
        at = unfinished != needs.end() ? unfinished->value : stream_before[at].value;
    }
    auto const first = std::ranges::find(path, TaskId{at});
    std::string text = "the schedule is a cycle: ";
    std::size_t shown = 0;
    for (auto step = first; step != path.end() && shown < 6; ++step, ++shown) {
        text += graph.describe(*step) + " waits for ";
    }
    return text + graph.describe(TaskId{at});
}

}  // namespace

TaskGraph TaskGraphBuilder::build() {
    std::size_t const count = graph_.tasks_.size();
    NVL72_EXPECT(count > 0, "a task graph holds at least one task");
    graph_.traffic_begin_.push_back(next_index(graph_.traffic_.size()));
    auto const waiter = [](auto const& edge) { return edge.first; };
    auto const needed = [](auto const& edge) { return edge.second; };
    index_edges(count, edges_, waiter, needed, graph_.need_begin_, graph_.needs_);
    index_edges(count, edges_, needed, waiter, graph_.feed_begin_, graph_.feeds_);

    // Kahn's order over needs and stream order; what is left over is in or behind a cycle.
    TaskId const none{UINT32_MAX};
    std::vector<TaskId> stream_before(count, none);
    std::vector<TaskId> stream_after(count, none);
    std::vector<TaskId> last(graph_.streams_.size(), none);
    std::vector<std::uint32_t> waiting(count, 0);
    for (std::uint32_t i = 0; i < count; ++i) {
        waiting[i] = static_cast<std::uint32_t>(graph_.needs(TaskId{i}).size());
        TaskId& before = last[graph_.tasks_[i].stream.value];
        if (before != none) {
            stream_before[i] = before;
            stream_after[before.value] = TaskId{i};
            ++waiting[i];
        }
        before = TaskId{i};
    }
    std::vector<TaskId> ready;
    for (std::uint32_t i = 0; i < count; ++i) {
        if (waiting[i] == 0) ready.emplace_back(i);
    }
    std::size_t done = 0;
    while (!ready.empty()) {
        TaskId const task = ready.back();
        ready.pop_back();
        ++done;
        for (TaskId const next : graph_.feeds(task)) {
            if (--waiting[next.value] == 0) ready.push_back(next);
        }
        TaskId const next = stream_after[task.value];
        if (next != none && --waiting[next.value] == 0) ready.push_back(next);
    }
    if (done != count) throw NoProgress(cycle_text(graph_, waiting, stream_before));
    return std::move(graph_);
}

}  // namespace nvl72
