#include "sim/training/step_bound.hpp"

#include "sim/training/turn_times.hpp"
#include "tests/support/turn_bench.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

using namespace literals;

/// Forward 1 s, backward 2 s on every chunk; nothing to send or to sum.
StepTimes plain(char const* schedule, PipelineShape const& shape) {
    StepTimes times;
    times.schedule = find_schedule(schedule);
    times.shape = shape;
    times.chunks.resize(1);
    auto const set = [&](TurnKind kind, Picoseconds time) {
        times.chunks[0].turn[static_cast<std::size_t>(kind)] = time;
    };
    set(TurnKind::forward, 1_s);
    set(TurnKind::backward, 2_s);
    set(TurnKind::input_gradient, 1_s);
    set(TurnKind::weight_gradient, 1_s);
    set(TurnKind::overlapped, 3_s);
    times.which.assign(static_cast<std::size_t>(shape.stages * times.schedule->held_chunks(shape)),
                       0);
    times.stages.resize(static_cast<std::size_t>(shape.stages));
    return times;
}

Picoseconds bound_of(StepTimes const& times) {
    return step_bound(times, stage_orders(*times.schedule, times.shape));
}

TEST(StepBound, IsTheTextbookTimeOf1F1B) {
    // (micro-batches + stages - 1) x (forward + backward) = (8 + 3) x 3.
    auto const times = plain("1f1b", {4, 1, 8});
    EXPECT_EQ(bound_of(times), 33_s);
    EXPECT_EQ(walked_step(times), 33_s);
}

TEST(StepBound, IsTheTextbookTimeOfInterleaved1F1B) {
    // 8 micro-batches x 2 chunks x 3 s, and a bubble of 3 turns of each kind.
    auto const times = plain("interleaved", {4, 2, 8});
    EXPECT_EQ(bound_of(times), 57_s);
    EXPECT_EQ(walked_step(times), 57_s);
}

TEST(StepBound, WaitsForTheSlowestStage) {
    auto times = plain("1f1b", {4, 1, 8});
    times.chunks.push_back(times.chunks[0]);
    times.chunks[1].turn[static_cast<std::size_t>(TurnKind::forward)] = 2_s;
    times.which[2] = 1;
    // Two forwards to it, 8 turns of 4 s, two backwards from it.
    EXPECT_EQ(bound_of(times), 2 * 1_s + 8 * 4_s + 2 * 2_s);
    EXPECT_GE(walked_step(times), bound_of(times));
}

TEST(StepBound, EndsWithGradientsAndOptimizer) {
    auto times = plain("1f1b", {1, 1, 4});
    times.chunks[0].gather = 5_s;
    times.chunks[0].reduce = 7_s;
    times.stages[0] = {0_s, 3_s, 2_s};
    EXPECT_EQ(bound_of(times), 5_s + 12_s + 7_s + 2_s + 3_s);
    EXPECT_EQ(walked_step(times), bound_of(times));
}

TEST(StepBound, WaitsForWhatOffloadingTakesLonger) {
    auto times = plain("1f1b", {1, 1, 4});
    times.chunks[0].offload = 3_s;
    // 3 s for each of 8 turns; the bound lets the first one's activations leave before it.
    EXPECT_EQ(walked_step(times), 8 * 3_s);
    EXPECT_EQ(bound_of(times), 8 * 3_s - 2_s);
}

TEST(StepBound, IsNeverAboveTheWalk) {
    for (auto const& schedule : pipeline_schedules) {
        for (PipelineShape const& shape :
             {PipelineShape{2, 1, 4}, {4, 1, 8}, {4, 3, 8}, {8, 1, 32}, {4, 1, 6}}) {
            if (schedule.refusal(shape)) continue;
            auto times = plain(schedule.name.data(), shape);
            EXPECT_LE(bound_of(times), walked_step(times)) << schedule.name;
            times.chunks[0].offload = 4_s;
            EXPECT_LE(bound_of(times), walked_step(times)) << schedule.name << " offloads";
        }
    }
}

TEST(StageOrders, DrawnOutFromFewMicroBatchesAreThoseOfMany) {
    for (auto const& schedule : pipeline_schedules) {
        for (int const stages : {1, 2, 4, 6}) {
            for (int const chunks : {1, 2, 3}) {
                PipelineShape const shape{stages, chunks, 30 * stages};
                if (schedule.refusal(shape)) continue;
                auto const drawn = stage_orders(schedule, shape);
                for (int s = 0; s < stages; ++s) {
                    StageOrder::Counts counts(
                        static_cast<std::size_t>(schedule.held_chunks(shape)));
                    for (Turn const& turn : schedule.turns(shape, s)) {
                        ++counts[static_cast<std::size_t>(turn.own.chunk)]
                                [static_cast<std::size_t>(turn.kind)];
                    }
                    EXPECT_EQ(drawn[static_cast<std::size_t>(s)].turns, counts)
                        << schedule.name << " stages " << stages << " chunks " << chunks;
                }
            }
        }
    }
}

TEST(TurnTimes, AddUpToWhatPricingTheChunkTakes) {
    for (bool const overlap : {false, true}) {
        for (Picoseconds const launch : {0_us, 2_us, 50_us}) {
            support::Bench bench(4, 2);
            bench.overlap(overlap);
            bench.recipe.kernel_launch = launch;
            bench.model.layers = 5;
            CostBook book([&](Query const& query) {
                Picoseconds const time = std::visit(bench.prices, query);
                return Cost{time, time, {BasisKind::on_grid, ""}};
            });
            TurnTimes const times(bench.model, bench.precision, bench.recipe, bench.profile, book,
                                  bench.shape, true);
            TurnPricer const pricer(bench.model, bench.precision, bench.recipe, bench.profile,
                                    book);
            ChunkContent const chunk{{3}, true, true};
            auto const sum = times.of(chunk);
            EXPECT_EQ(sum.forward.total(), turn_time(pricer.forward(chunk, bench.shape)).total());
            EXPECT_EQ(sum.backward.total(), turn_time(pricer.backward(chunk, bench.shape)).total());
            EXPECT_EQ(sum.inputs.total(),
                      turn_time(pricer.backward(chunk, bench.shape, Gradients::inputs)).total());
            EXPECT_EQ(sum.weights.total(),
                      turn_time(pricer.backward(chunk, bench.shape, Gradients::weights)).total());
        }
    }
}

}  // namespace
}  // namespace nvl72
