#include "sim/graph/executor.hpp"

#include "sim/base/error.hpp"
#include "sim/engine/engine.hpp"

#include <array>

namespace nvl72 {

namespace {

/// Work is counted in picoseconds at full rate, so an activity alone ends to the picosecond.
constexpr double full_rate = picoseconds_per_second;
constexpr std::size_t progress_every = 65536;

class Run {
public:
    Run(TaskGraph const& graph,
        std::span<TaskTime const> times,
        std::function<void(double)> const& progress)
        : graph_(graph), times_(times), progress_(progress) {
        for (Resource const& resource : graph.resources()) engine_.add_resource(resource);
        std::size_t const count = graph.tasks().size();
        execution_.start.resize(count);
        execution_.finish.resize(count);
        waiting_.resize(count);
        started_.resize(count, false);
        queues_.resize(graph.streams().size());
        heads_.resize(graph.streams().size(), 0);
        for (std::uint32_t i = 0; i < count; ++i) {
            waiting_[i] = static_cast<std::uint32_t>(graph.needs(TaskId{i}).size());
            queues_[graph.tasks()[i].stream.value].emplace_back(i);
        }
    }

    Execution run() {
        for (std::uint32_t s = 0; s < queues_.size(); ++s) start_head(StreamId{s});
        engine_.run(*this);
        NVL72_EXPECT(finished_ == waiting_.size(), "an acyclic graph runs to its end");
        execution_.makespan = last_finish_;
        for (std::uint32_t r = 0; r < graph_.resources().size(); ++r) {
            execution_.carried.push_back(engine_.moved(ResourceId{r}));
        }
        return std::move(execution_);
    }

    // What the engine calls.
    void finished(std::uint32_t subject) {
        TaskId const task{subject};
        execution_.finish[subject] = engine_.now();
        last_finish_ = engine_.now();
        ++finished_;
        if (progress_ && finished_ % progress_every == 0) {
            progress_(static_cast<double>(finished_) / static_cast<double>(waiting_.size()));
        }
        StreamId const stream = graph_.tasks()[subject].stream;
        ++heads_[stream.value];
        start_head(stream);
        for (TaskId const next : graph_.feeds(task)) {
            if (--waiting_[next.value] == 0) start_head(graph_.tasks()[next.value].stream);
        }
    }
    void timer(std::uint32_t, std::uint32_t) {}
    [[nodiscard]] std::string describe(std::uint32_t subject) const {
        return graph_.describe(TaskId{subject});
    }

private:
    void start_head(StreamId stream) {
        auto const& queue = queues_[stream.value];
        std::size_t const head = heads_[stream.value];
        if (head == queue.size()) return;
        TaskId const task = queue[head];
        if (waiting_[task.value] != 0 || started_[task.value]) return;
        started_[task.value] = true;
        execution_.start[task.value] = engine_.now();

        TaskTime const& time = times_[graph_.tasks()[task.value].cost.value];
        auto const work = static_cast<double>(time.work.count);
        uses_.clear();
        if (work > 0) {
            for (Traffic const& traffic : graph_.traffic(task)) {
                if (traffic.amount > 0) uses_.push_back({traffic.resource, traffic.amount / work});
            }
        }
        // One activity stands for one member of its class; resources are per member too.
        engine_.start({time.latency, work, full_rate, 1, uses_}, task.value);
    }

    TaskGraph const& graph_;
    std::span<TaskTime const> times_;
    std::function<void(double)> const& progress_;
    Engine engine_;
    Execution execution_;
    std::vector<std::uint32_t> waiting_;
    std::vector<char> started_;
    std::vector<std::vector<TaskId>> queues_;
    std::vector<std::size_t> heads_;
    std::vector<Usage> uses_;
    std::size_t finished_ = 0;
    Picoseconds last_finish_;
};

}  // namespace

Execution execute(TaskGraph const& graph,
                  std::span<TaskTime const> times,
                  std::function<void(double)> const& progress) {
    return Run(graph, times, progress).run();
}

}  // namespace nvl72
