#include "sim/graph/breakdown.hpp"

#include "sim/base/error.hpp"

#include <algorithm>

namespace nvl72 {

namespace {

constexpr TaskId no_task{UINT32_MAX};

class Partition {
public:
    Partition(TaskGraph const& graph, Execution const& execution)
        : graph_(graph), execution_(execution), before_(graph.tasks().size(), no_task) {
        std::vector<TaskId> last(graph.streams().size(), no_task);
        for (std::uint32_t i = 0; i < graph.tasks().size(); ++i) {
            pipelined_ = pipelined_ || graph.tasks()[i].dimension == ParallelDimension::pp;
            TaskId& previous = last[graph.tasks()[i].stream.value];
            before_[i] = previous;
            previous = TaskId{i};
        }
    }

    std::vector<Breakdown> all() {
        std::vector<Breakdown> parts(graph_.classes().size());
        std::vector<Picoseconds> clock(parts.size());
        std::vector<TaskId> last(parts.size(), no_task);
        for (std::uint32_t i = 0; i < graph_.tasks().size(); ++i) {
            ClassId const who = graph_.class_of(TaskId{i});
            if (last[who.value] == no_task || finish(TaskId{i}) >= finish(last[who.value])) {
                last[who.value] = TaskId{i};
            }
            if (!graph_.streams()[graph_.tasks()[i].stream.value].compute) continue;
            Breakdown& part = parts[who.value];
            attribute(part, who, clock[who.value], start(TaskId{i}), TaskId{i});
            part.compute += finish(TaskId{i}) - start(TaskId{i});
            clock[who.value] = finish(TaskId{i});
        }
        for (std::uint32_t c = 0; c < parts.size(); ++c) {
            finish_class(parts[c], ClassId{c}, clock[c], last[c]);
        }
        return parts;
    }

private:
    [[nodiscard]] Picoseconds start(TaskId task) const { return execution_.start[task.value]; }
    [[nodiscard]] Picoseconds finish(TaskId task) const { return execution_.finish[task.value]; }

    /// The task whose finish let `task` start.
    [[nodiscard]] TaskId binding(TaskId task) const {
        TaskId latest = before_[task.value];
        for (TaskId const needed : graph_.needs(task)) {
            if (latest == no_task || finish(needed) > finish(latest)) latest = needed;
        }
        return latest;
    }

    /// Says what the compute stream of `who` waited for in [begin, end), where `task` starts at
    /// end.
    void attribute(Breakdown& part, ClassId who, Picoseconds begin, Picoseconds end, TaskId task) {
        while (begin < end) {
            TaskId const cause = binding(task);
            if (cause == no_task) {
                part.idle += end - begin;
                return;
            }
            Picoseconds const from = std::clamp(start(cause), begin, end);
            bool const communicates = graph_.tasks()[cause.value].kind != TaskKind::compute;
            bool const mine = graph_.class_of(cause) == who;
            Picoseconds const ran = end - from;
            auto const dimension = graph_.tasks()[cause.value].dimension;
            if (communicates && dimension != ParallelDimension::none) {
                part.exposed[static_cast<std::size_t>(dimension)] += ran;
            } else if (mine) {
                part.idle += ran;  // its own compute stream was free all the while
            } else {
                wait_for_peer(part, task, ran);
            }
            if (!mine) {
                wait_for_peer(part, task, from - begin);  // before that, it was not ready to send
                return;
            }
            end = from;
            task = cause;
        }
    }

    /// A peer is a stage of the pipeline; where there is none, a slower replica, late at the
    /// collective that joins them.
    void wait_for_peer(Breakdown& part, TaskId task, Picoseconds waited) const {
        if (pipelined_) {
            part.bubble += waited;
            return;
        }
        auto const dimension = graph_.tasks()[task.value].dimension;
        bool const told = dimension != ParallelDimension::none;
        part.exposed[static_cast<std::size_t>(told ? dimension : ParallelDimension::dp)] += waited;
    }

    /// From a class's last kernel to the end of the step.
    void finish_class(Breakdown& part, ClassId who, Picoseconds clock, TaskId last) {
        Picoseconds end = clock;
        if (last != no_task && finish(last) > clock) {
            end = finish(last);
            Picoseconds const from = std::max(start(last), clock);
            auto const dimension = graph_.tasks()[last.value].dimension;
            part.exposed[static_cast<std::size_t>(dimension)] += end - from;
            attribute(part, who, clock, from, last);
        }
        // The step ends together: a class that is done waits for its peers.
        auto& waited = pipelined_ ? part.bubble
                                  : part.exposed[static_cast<std::size_t>(ParallelDimension::dp)];
        waited += execution_.makespan - end;
    }

    TaskGraph const& graph_;
    Execution const& execution_;
    std::vector<TaskId> before_;
    bool pipelined_ = false;  ///< something is sent between stages
};

}  // namespace

Picoseconds Breakdown::total() const {
    Picoseconds sum = compute + bubble + idle;
    for (Picoseconds const part : exposed) sum += part;
    return sum;
}

std::vector<Breakdown> breakdown(TaskGraph const& graph, Execution const& execution) {
    auto parts = Partition(graph, execution).all();
    for (Breakdown const& part : parts) {
        NVL72_EXPECT(part.total() == execution.makespan,
                     "the parts of a breakdown sum to the step");
    }
    return parts;
}

}  // namespace nvl72
