#pragma once

#include "sim/base/units.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace nvl72 {

/// A machine of a workload that phases use: GPUs, CPU cores, a link.
struct PoolPlan {
    std::string name;
};

/// A bounded store between phases.
struct LinkPlan {
    std::string name;
    double capacity = 0;  ///< items
};

/// What a stage takes: on its pool, alone, and after that on none: the last ones' tail, during
/// which others may use it.
struct StageTime {
    StageTime(double on_pool_s, double after_s = 0) : on_pool(on_pool_s), after(after_s) {}
    double on_pool = 0, after = 0;  ///< seconds
};

/// One thing that a round does for so many items.
struct PhaseStage {
    std::string name;
    std::size_t pool = 0;
    bool elsewhere = false;  ///< on no machine of ours: it only takes its time
    std::function<StageTime(double items)> seconds;
};

/// Items to or from a link, for each item of the phase. Those given may carry a mark: the share of
/// them that came from people, say; one below 0 hands on what was taken.
struct Flow {
    std::size_t link = 0;
    double each = 1;
    double mark = -1;
};

/// Rounds of stages, over and over: take what a round needs, run its stages, give what it made.
struct PhasePlan {
    static constexpr std::size_t none = static_cast<std::size_t>(-1);
    std::string name;
    int priority = 0;          ///< on its pools; the highest runs, equals share
    double batch = 1;          ///< items of a round
    std::int64_t lanes = 1;    ///< rounds under way at once, each of batch / lanes items
    double total = 0;          ///< items after which it ends; 0: with the others
    std::int64_t repeats = 1;  ///< of the stages in a round: depths of a search
    std::vector<PhaseStage> stages;
    std::vector<Flow> takes, gives;
    std::size_t barrier = none;  ///< phases with the same number wait for one another each round
    std::size_t follows = none;  ///< a phase whose rounds are versions of weights
    std::int64_t publishes_every = 1;  ///< rounds of it between versions
    double reload_s = 0;               ///< on the first stage's pool, for a new version
};

struct WorkloadPlan {
    std::vector<PoolPlan> pools;
    std::vector<LinkPlan> links;
    std::vector<PhasePlan> phases;
    double span_s = 0;  ///< where it ends; 0: when phases with a total have done it
};

/// What a phase did. Times are sums over its lanes.
struct PhaseUse {
    std::int64_t rounds = 0;
    double items = 0;
    double stage_s = 0;  ///< in stages, from wanting the pool to the end
    double alone_s = 0;  ///< what these would have taken alone
    double input_wait_s = 0, output_wait_s = 0, barrier_wait_s = 0;
    double taken = 0, mark = 0;      ///< from its first link: items, and the mean of their marks
    double age = 0;                  ///< versions behind what it follows, mean over rounds
    std::vector<double> by_stage_s;  ///< alone, on pools
    std::vector<double> after_s;     ///< of each stage, on none
};

/// A stretch of time that a phase spent in a stage.
struct StageSpan {
    std::size_t phase = 0, stage = 0;
    double start_s = 0, end_s = 0;
};

struct WorkloadRun {
    double span_s = 0;
    std::vector<PhaseUse> phases;
    std::vector<double> pool_busy_s;
    std::vector<double> link_most, link_left;
    std::vector<StageSpan> spans;  ///< the first ones
};

/// Runs a workload: one process for each lane of each phase. Throws NoProgress where a phase waits
/// for what no other will bring, naming both.
WorkloadRun run_workload(WorkloadPlan const& plan);

}  // namespace nvl72
