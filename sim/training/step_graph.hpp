#pragma once

#include "sim/graph/task_graph.hpp"
#include "sim/parallel/schedule.hpp"
#include "sim/training/seating.hpp"
#include "sim/training/turn_cost.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// One model chunk of one stage, priced. CostIds point into the step's CostBook.
struct StageChunk {
    TurnCost forward;
    TurnCost backward;
    /// Where the schedule has such turns; `overlapped` is this chunk's forward beside the backward
    /// of the stage's other chunk.
    std::optional<TurnCost> input_gradient, weight_gradient, overlapped;
    /// By ShardGroup. Size 0: one rank, nothing to move.
    std::array<CollectivePlan, shard_groups> gradient_reduce, parameter_gather;
    double offloaded = 0;  ///< bytes to the CPU's memory in a forward, and back for its backward
    PricedCost offload;    ///< the time of that

    /// Null where the chunk has no turns of that kind.
    [[nodiscard]] TurnCost const* turn(TurnKind kind) const;
};

/// One pipeline stage of one column, which is replicas of the model that are wired alike: a class
/// of identical ranks.
struct StagePlan {
    std::string name;  ///< "stage 3"
    std::uint32_t gpus = 1;
    RankId representative;
    BytesPerSecond nvlink;  ///< per GPU and direction; 0: none
    BytesPerSecond nic;     ///< per GPU and direction; 0: none
    BytesPerSecond host;    ///< to the CPU's memory, per GPU and direction; 0: none
    int sms = 1;
    std::vector<StageChunk> chunks;
    CollectivePlan send;  ///< one micro-batch's activations to the next stage (last: to the first)
    PricedCost optimizer;
    bool reduces_every_turn =
        false;  ///< gradients are not summed over micro-batches first (ZeRO-2)
    /// Of the data-parallel collectives of a step, what cannot hide; 0: nothing.
    PricedCost data_parallel_exposed;
};

/// CostIds of one chunk's turn; a communication without a time has none, and no task.
struct TurnCostIds {
    CostId compute;
    std::vector<CostId> operators;  ///< in its place, where turns run by operator
    std::array<std::optional<CostId>, parallel_dimensions> hidden, exposed;
};

/// CostIds of one stage, by chunk where there are several.
struct StageCostIds {
    std::vector<std::array<std::optional<TurnCostIds>, turn_kinds>> turns;
    std::vector<std::array<std::optional<CostId>, shard_groups>> reduce, gather;
    std::vector<std::optional<CostId>> offload;
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
/// `stages` are those of every column, one column after the other.
TaskGraph build_step_graph(PipelineSchedule const& schedule,
                           PipelineShape const& pipeline,
                           std::vector<StagePlan> const& stages,
                           std::vector<StageCostIds> const& ids,
                           OverlapPolicy const& overlap,
                           CostBook const& book);

/// Resources of each class of the graph, in this order: NVLink and NICs out, then in, SMs, and the
/// CPU's memory out and in.
inline constexpr std::size_t resources_per_class = 7;

/// Phases of a step, as `TaskGraph::phases` holds them and /ops names them.
inline constexpr std::array phase_names{"forward",
                                        "backward",
                                        "send forward",
                                        "send backward",
                                        "gradient reduce-scatter",
                                        "parameter all-gather",
                                        "optimizer",
                                        "input gradient",
                                        "weight gradient",
                                        "forward beside backward",
                                        "offload",
                                        "reload"};

}  // namespace nvl72
