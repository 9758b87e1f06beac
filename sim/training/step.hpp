#pragma once

#include "sim/cost/cost_book.hpp"
#include "sim/graph/breakdown.hpp"
#include "sim/graph/executor.hpp"
#include "sim/graph/replay.hpp"
#include "sim/graph/task_graph.hpp"
#include "sim/model/architecture.hpp"
#include "sim/parallel/layout.hpp"
#include "sim/parallel/memory.hpp"
#include "sim/training/recipe.hpp"
#include "sim/training/step_graph.hpp"
#include "topology/fabric.hpp"

#include <functional>
#include <string>
#include <vector>

namespace nvl72 {

struct Profile;

/// One training step to simulate; all referred-to specs outlive the call.
struct StepSpec {
    Architecture const& model;
    Parallel const& parallel;
    Fabric const& fabric;
    Profile const& profile;
    Recipe const& recipe;
    PrecisionPolicy const& precision;
    Grain grain = Grain::block;
    bool must_fit = true;  ///< false: memory is reported, not refused (a run that was seen to fit)
    bool fold = true;  ///< false: replicas of the model that are wired alike do not share a class
};

/// A shared resource of one class, and how full the step kept it.
struct LinkUse {
    std::string name;     ///< "stage 3 nvlink"
    double capacity = 0;  ///< B/s of one GPU, one direction
    double bytes = 0;     ///< sent by one GPU in the step
};

/// A simulated step: its time, where it went, what it stands on, and all it is made of.
struct StepResult {
    Picoseconds step;
    TaskGraph graph;
    Execution execution;
    std::vector<Breakdown> by_class;
    std::vector<double> hbm_share;  ///< by class: of its compute, in kernels that HBM bounds
    std::vector<Memory> memory;     ///< by stage
    std::vector<LinkUse> links;
    std::vector<BasisShare> shares;  ///< of the compute and exposed time, weighted by GPUs
    Seating seating;
    std::vector<StageCostIds> cost_ids;
    Replay replay;
};

/// What the software keeps, as memory counts it.
MemoryPolicy memory_policy(Recipe const& recipe, PrecisionPolicy const& precision);
/// What a turn on these links feels of a layout.
TurnShape turn_shape(Parallel const& parallel, StageLinks const& wiring, Grain grain);
/// Of a CPU's memory, what falls to one of its GPUs.
Bytes host_memory(ClusterSpec const& cluster);

/// Peak memory of each stage; throws DoesNotFit with the table of who owns each GiB.
std::vector<Memory> step_memory(StepSpec const& spec);

/// Memory of a class from `at` on: everything, and of that the activations.
struct MemoryAt {
    ClassId who;
    Picoseconds at;
    Bytes total, activations;
};
/// Of every class of a simulated step, in order of time; its peak is the class's of `step_memory`
/// where nothing but activations changes.
std::vector<MemoryAt> memory_over_time(StepSpec const& spec, StepResult const& done);

/// Simulates one step. Memory is checked first; `progress` is told the finished share.
StepResult simulate_step(StepSpec const& spec, std::function<void(double)> const& progress = {});

/// Times of the tasks of `done` at other prices, by CostId: `spec` is its own with another profile.
/// Replay takes them.
std::vector<TaskTime> reprice_step(StepSpec const& spec, StepResult const& done);
/// On links of other rates too: `seating` is the job's on such a fabric, in the same columns.
std::vector<TaskTime> reprice_step(StepSpec const& spec,
                                   StepResult const& done,
                                   Seating const& seating);

}  // namespace nvl72
