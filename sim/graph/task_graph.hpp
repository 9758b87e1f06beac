#pragma once

#include "sim/base/ids.hpp"
#include "sim/base/units.hpp"
#include "sim/config/quantity.hpp"
#include "sim/engine/types.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace nvl72 {

enum class TaskKind : std::uint8_t { compute, collective, transfer };

/// Which parallel dimension a communication belongs to; `none` for compute.
enum class ParallelDimension : std::uint8_t { none, tp, cp, ep, dp, pp };
template <>
struct EnumNames<ParallelDimension> {
    static constexpr std::array words{"none", "tp", "cp", "ep", "dp", "pp"};
};
inline constexpr std::size_t parallel_dimensions = 6;

/// Ranks that behave identically; folding them is exact (DESIGN: coarsest equitable partition).
struct RankClass {
    std::uint32_t gpu = 0;           ///< index of the GPU kind in the job
    std::uint32_t multiplicity = 1;  ///< ranks in the class
    RankId representative;
    std::string name;  ///< "stage 3"
};

/// A FIFO on every rank of a class. Tasks of one stream start in the order they were added.
struct Stream {
    ClassId who;
    std::string name;      ///< "compute", "tp", "dp", "pp send forward"
    bool compute = false;  ///< the one stream a class's breakdown partitions
};

/// One piece of work of every rank of a class. Tasks hold CostIds, not times, so re-costing
/// touches no graph.
struct Task {
    TaskKind kind = TaskKind::compute;
    ParallelDimension dimension = ParallelDimension::none;
    StreamId stream;
    CostId cost;
    std::uint32_t phase = 0;  ///< index into TaskGraph::phases
    std::int32_t micro_batch = -1;
    std::int32_t chunk = -1;  ///< model chunk (virtual stage) on this rank
};

/// Bytes (or picoseconds of an SM pool) that one member of the task's class puts on a resource
/// while the task runs; spread evenly over its bandwidth part.
struct Traffic {
    ResourceId resource;
    double amount = 0;
};

/// A static, acyclic graph of tasks over classes of ranks: a training step, an expanded
/// collective. Built once by TaskGraphBuilder, then immutable.
class TaskGraph {
public:
    [[nodiscard]] std::span<Task const> tasks() const { return tasks_; }
    [[nodiscard]] std::span<Stream const> streams() const { return streams_; }
    [[nodiscard]] std::span<RankClass const> classes() const { return classes_; }
    [[nodiscard]] std::span<Resource const> resources() const { return resources_; }
    [[nodiscard]] std::span<std::string const> phases() const { return phases_; }
    [[nodiscard]] std::span<TaskId const> needs(TaskId task) const;  ///< tasks it waits for
    [[nodiscard]] std::span<TaskId const> feeds(TaskId task) const;  ///< tasks that wait for it
    [[nodiscard]] std::span<Traffic const> traffic(TaskId task) const;
    [[nodiscard]] ClassId class_of(TaskId task) const {
        return streams_[tasks_[task.value].stream.value].who;
    }
    /// "stage 3 compute: forward, micro-batch 7, chunk 0"
    [[nodiscard]] std::string describe(TaskId id) const;

private:
    friend class TaskGraphBuilder;
    std::vector<Task> tasks_;
    std::vector<Stream> streams_;
    std::vector<RankClass> classes_;
    std::vector<Resource> resources_;
    std::vector<std::string> phases_;
    std::vector<std::uint32_t> need_begin_, feed_begin_, traffic_begin_;
    std::vector<TaskId> needs_, feeds_;
    std::vector<Traffic> traffic_;
};

/// Collects a graph and checks it: build() throws NoProgress naming the ranks of a cycle (through
/// needs or stream order).
class TaskGraphBuilder {
public:
    ClassId add_class(RankClass added);
    StreamId add_stream(Stream added);
    ResourceId add_resource(Resource added);
    std::uint32_t add_phase(std::string name);
    TaskId add_task(Task task,
                    std::span<TaskId const> needs,
                    std::span<Traffic const> traffic = {});
    /// An edge to a task added later than the one that waits: schedules are cyclic in code order.
    void add_need(TaskId task, TaskId needed);
    [[nodiscard]] TaskGraph build();

private:
    TaskGraph graph_;
    std::vector<std::pair<TaskId, TaskId>> edges_;  // (task, needed)
};

}  // namespace nvl72
