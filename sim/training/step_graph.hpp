#pragma once

#include "sim/graph/task_graph.hpp"
#include "sim/training/schedule.hpp"
#include "sim/training/turn_cost.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace nvl72 {

/// One model chunk of one stage, priced. CostIds point into the step's CostBook.
struct StageChunk {
    TurnCost forward;
    TurnCost backward;
    CollectivePlan gradient_reduce;  ///< size 0: one data-parallel rank, nothing to reduce
    CollectivePlan parameter_gather;
};

/// One pipeline stage: a class of identical ranks.
struct StagePlan {
    std::string name;  ///< "stage 3"
    std::uint32_t gpus = 1;
    RankId representative;
    BytesPerSecond nvlink;  ///< per GPU and direction; 0: none
    BytesPerSecond nic;     ///< per GPU and direction; 0: none
    int sms = 1;
    std::vector<StageChunk> chunks;
    CollectivePlan send;  ///< one micro-batch's activations to the next stage (last: to the first)
    PricedCost optimizer;
};

/// Builds the task graph of one step: parameter all-gathers, the schedule's turns with their sends,
/// gradient reduce-scatters as chunks finish, the optimizer.
TaskGraph build_step_graph(PipelineShape const& pipeline,
                           std::vector<StagePlan> const& stages,
                           OverlapPolicy const& overlap,
                           CostBook& book);

/// Phases of a step, as `TaskGraph::phases` holds them and /ops names them.
inline constexpr std::array phase_names{"forward",
                                        "backward",
                                        "send forward",
                                        "send backward",
                                        "gradient reduce-scatter",
                                        "parameter all-gather",
                                        "optimizer"};

}  // namespace nvl72
