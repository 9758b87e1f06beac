#pragma once

#include "sim/graph/task_graph.hpp"
#include "sim/training/schedule.hpp"
#include "sim/training/turn_cost.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// Parameters by the ranks that hold the same ones: all data-parallel ranks, or fewer of experts.
enum ShardGroup : std::uint8_t { dense_shards, expert_shards };
inline constexpr std::size_t shard_groups = 2;

/// One model chunk of one stage, priced. CostIds point into the step's CostBook.
struct StageChunk {
    TurnCost forward;
    TurnCost backward;
    /// By ShardGroup. Size 0: one rank, nothing to move.
    std::array<CollectivePlan, shard_groups> gradient_reduce, parameter_gather;
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
    /// Of the data-parallel collectives of a step, what cannot hide; 0: nothing.
    PricedCost data_parallel_exposed;
};

/// CostIds of one chunk's turn; a communication without a time has none, and no task.
struct TurnCostIds {
    CostId compute;
    std::array<std::optional<CostId>, parallel_dimensions> hidden, exposed;
};

/// CostIds of one stage, by chunk where there are several.
struct StageCostIds {
    std::vector<TurnCostIds> forward, backward;
    std::vector<std::array<std::optional<CostId>, shard_groups>> reduce, gather;
    CostId send, optimizer;
    std::optional<CostId> data_parallel_exposed;
};

/// Enters the costs of the stages into an empty book. `like` are those of the same job at other
/// prices: then each cost has the id it has there, and what is waited for without a task there is
/// part of the turn's kernels here.
std::vector<StageCostIds> intern_costs(std::vector<StagePlan> const& stages,
                                       CostBook& book,
                                       std::vector<StageCostIds> const* like = nullptr);

/// Builds the task graph of one step: parameter all-gathers, the schedule's turns with their sends,
/// gradient reduce-scatters as chunks finish, the optimizer. `ids` are of these stages in `book`.
TaskGraph build_step_graph(PipelineShape const& pipeline,
                           std::vector<StagePlan> const& stages,
                           std::vector<StageCostIds> const& ids,
                           OverlapPolicy const& overlap,
                           CostBook const& book);

/// Phases of a step, as `TaskGraph::phases` holds them and /ops names them.
inline constexpr std::array phase_names{"forward",
                                        "backward",
                                        "send forward",
                                        "send backward",
                                        "gradient reduce-scatter",
                                        "parameter all-gather",
                                        "optimizer"};

}  // namespace nvl72
