#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// What a stage does in one turn. A backward may be cut in two: the gradient of its input, which
/// the stage before waits for, and that of its weights, which nobody does. `overlapped`: a forward
/// and a backward of two micro-batches side by side, so that one computes while the other
/// communicates.
enum class TurnKind : std::uint8_t {
    forward,
    backward,
    input_gradient,
    weight_gradient,
    overlapped
};
inline constexpr std::size_t turn_kinds = 5;

/// A micro-batch in one of the model chunks of a stage.
struct Visit {
    std::int32_t micro_batch = 0;
    std::int32_t chunk = 0;
    friend bool operator==(Visit const&, Visit const&) = default;
};

/// One turn of a pipeline stage.
struct Turn {
    TurnKind kind = TurnKind::forward;
    Visit own;
    Visit backward;  ///< the one beside `own`'s forward where the kind is overlapped

    /// Whose forward it is, whose gradient it hands on, and whose weights have theirs after it.
    [[nodiscard]] std::optional<Visit> runs_forward() const;
    [[nodiscard]] std::optional<Visit> returns_gradient() const;
    [[nodiscard]] std::optional<Visit> ends_backward() const;
};

/// What a schedule needs to know.
struct PipelineShape {
    int stages = 1;  ///< pipeline parallel size
    int chunks = 1;  ///< virtual pipeline size: model chunks per stage
    int micro_batches = 1;
};

/// Why a schedule cannot run a shape: the layout's key at fault, what it is and what would do.
struct ScheduleRefusal {
    std::string key, found, expected;
};

/// A pipeline schedule: the order of turns on one stage. Every stage keeps its order, and starts a
/// turn when what it needs is there.
struct PipelineSchedule {
    std::string_view name;
    std::string_view summary;
    std::vector<Turn> (*turns)(PipelineShape const& shape, int stage);
    std::optional<ScheduleRefusal> (*refusal)(PipelineShape const& shape);
    bool one_chunk = true;         ///< a stage's layers are in one piece; else in several
    bool keeps_all = false;        ///< every micro-batch is in flight at once
    bool splits_backward = false;  ///< has turns of both gradients
    /// Half of the micro-batches walk the stages from the last to the first, through a second copy
    /// of the model: a stage holds two chunks, its own and its mirror's.
    bool bidirectional = false;

    /// Model chunks that one stage holds, copies counted.
    [[nodiscard]] int held_chunks(PipelineShape const& shape) const;
    /// Chunks that a micro-batch walks through.
    [[nodiscard]] int model_chunks(PipelineShape const& shape) const;
    /// Which of them chunk `chunk` of `stage` is, and which stage computes it for a micro-batch.
    [[nodiscard]] int model_chunk(PipelineShape const& shape, int stage, int chunk) const;
    [[nodiscard]] int stage_of(PipelineShape const& shape, int model_chunk, int micro_batch) const;
    /// Whether a micro-batch walks the stages from the last to the first.
    [[nodiscard]] bool reversed(PipelineShape const& shape, int micro_batch) const;
};

/// GPipe (Huang et al. 2019); 1F1B (PipeDream-flush) and interleaved 1F1B as Megatron-LM runs it
/// (Narayanan et al. 2021); zero-bubble ZB-H1 (Qi et al. 2023, arXiv 2401.10241), which needs no
/// more memory than 1F1B's first stage; DualPipe (DeepSeek-V3, arXiv 2412.19437).
extern std::array<PipelineSchedule, 5> const pipeline_schedules;

/// The row of that name, or none.
PipelineSchedule const* find_schedule(std::string_view name);

/// What Megatron runs where nothing else is asked for: interleaved where a stage holds several
/// chunks.
PipelineSchedule const& default_schedule(int chunks);

}  // namespace nvl72
