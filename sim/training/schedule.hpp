#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace nvl72 {

/// One turn of a pipeline stage: the forward or backward pass of one micro-batch through one of
/// the stage's model chunks.
struct Turn {
    bool forward = true;
    std::int32_t micro_batch = 0;
    std::int32_t chunk = 0;
};

/// What a schedule needs to know.
struct PipelineShape {
    int stages = 1;  ///< pipeline parallel size
    int chunks = 1;  ///< virtual pipeline size: model chunks per stage
    int micro_batches = 1;
};

/// A pipeline schedule: the order of turns on one stage.
struct PipelineSchedule {
    std::string_view name;
    std::string_view summary;
    std::vector<Turn> (*turns)(PipelineShape const& shape, int stage);
};

/// 1F1B (PipeDream-flush), and interleaved 1F1B as Megatron-LM runs it (Narayanan et al., 2021):
/// micro-batches in groups of `stages`, chunk after chunk; bubble
/// (stages-1)/(micro-batches*chunks).
extern std::array<PipelineSchedule, 2> const pipeline_schedules;

/// The schedule Megatron picks: interleaved when a stage holds several chunks.
PipelineSchedule const& schedule_for(PipelineShape const& shape);

}  // namespace nvl72
