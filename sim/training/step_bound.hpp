#pragma once

#include "sim/base/units.hpp"
#include "sim/parallel/schedule.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace nvl72 {

/// What the turns of one chunk on one stage take alone, and what moves its parameters.
struct ChunkTimes {
    std::array<Picoseconds, turn_kinds> turn{};  ///< by TurnKind; those the schedule has
    Picoseconds gather, reduce;                  ///< both shard groups, one after the other
    Picoseconds offload;  ///< of a micro-batch's activations, beside its forward and its backward

    [[nodiscard]] Picoseconds of(TurnKind kind) const {
        return turn[static_cast<std::size_t>(kind)];
    }
};

/// The times that make up one column of a step, alone on its links.
struct StepTimes {
    struct Stage {
        Picoseconds send, optimizer, exposed_dp;
    };
    PipelineSchedule const* schedule = nullptr;
    PipelineShape shape;
    std::vector<ChunkTimes> chunks;    ///< those that differ
    std::vector<std::uint16_t> which;  ///< by stage, then by held chunk: which of them
    std::vector<Stage> stages;
    bool overlaps_dp = true, overlaps_pp = true;
    bool reduces_every_turn = false;

    [[nodiscard]] ChunkTimes const& of(int stage, int chunk) const {
        auto const held = static_cast<std::size_t>(schedule->held_chunks(shape));
        return chunks[which[static_cast<std::size_t>(stage) * held +
                            static_cast<std::size_t>(chunk)]];
    }
};
/// What a schedule's order comes to on one stage, whatever its turns take.
struct StageOrder {
    using Counts = std::vector<std::array<std::int32_t, turn_kinds>>;  // by held chunk
    int first_chunk = 0;  ///< model chunk of the first turn
    bool first_reversed = false;
    int last_chunk = 0;  ///< model chunk of the last gradient that is handed on
    bool last_reversed = false;
    int first_held = 0, last_held = 0;  ///< held chunk that begins, and that ends last
    Counts turns;                       ///< of each kind
    Counts after;                       ///< of them, after that last gradient
};
/// By stage. Schedules repeat: what many micro-batches come to is drawn out from few.
std::vector<StageOrder> stage_orders(PipelineSchedule const& schedule, PipelineShape const& shape);

/// A time that no simulation of these turns beats, in closed form: for each stage, the way of the
/// first micro-batch to it, all its turns, and the way of the last gradient back.
Picoseconds step_bound(StepTimes const& times, std::vector<StageOrder> const& orders);

/// A tighter one: every turn in its place, as if links were never shared.
Picoseconds walked_step(StepTimes const& times);

}  // namespace nvl72
