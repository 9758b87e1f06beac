#include "sim/base/random.hpp"
#include "sim/graph/breakdown.hpp"
#include "sim/training/step_graph.hpp"

#include <gtest/gtest.h>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace nvl72 {
namespace {

constexpr int cases = 60;
constexpr std::int64_t transfer_ps = 1;  ///< as good as free

int between(RandomStream& random, int low, int high) {
    return low + static_cast<int>(random.below(static_cast<std::uint64_t>(high) -
                                               static_cast<std::uint64_t>(low) + 1));
}

/// Interleaving needs micro-batches in groups of `stages`, as check_layout demands.
PipelineShape draw(RandomStream& random, std::size_t schedule) {
    PipelineShape shape;
    bool const interleaved = schedule == 1;
    shape.stages = between(random, interleaved ? 2 : 1, 6);
    shape.chunks = interleaved ? between(random, 2, 5) : 1;
    shape.micro_batches =
        interleaved ? shape.stages * between(random, 1, 4) : between(random, 1, 20);
    return shape;
}

PricedCost kernels(std::int64_t time) { return {Picoseconds{time}, Picoseconds{time}, {}}; }

struct Times {
    std::int64_t forward = 1'000'000, backward = 2'000'000, send = transfer_ps;
};

/// A step of equal chunks without tensor or data parallelism or an optimizer.
struct Ran {
    TaskGraph graph;
    Execution execution;
    std::vector<Breakdown> parts;

    Ran(PipelineShape const& shape, std::vector<Times> const& by_stage, bool overlap = true) {
        CostBook book([](Query const& query) {
            Picoseconds const time{std::get<Collective>(query).size.count};
            return Cost{time, time, {BasisKind::on_grid, ""}};
        });
        std::vector<StagePlan> stages;
        for (int s = 0; s < shape.stages; ++s) {
            Times const& times = by_stage[static_cast<std::size_t>(s) % by_stage.size()];
            StageChunk chunk;
            chunk.forward.compute = kernels(times.forward);
            chunk.backward.compute = kernels(times.backward);
            StagePlan stage;
            stage.name = "stage " + std::to_string(s);
            stage.chunks.assign(static_cast<std::size_t>(shape.chunks), chunk);
            stage.send.query.size = Bytes{times.send};
            stages.push_back(std::move(stage));
        }
        OverlapPolicy policy;
        policy.pp = overlap;
        graph = build_step_graph(shape, stages, intern_costs(stages, book), policy, book);
        std::vector<TaskTime> times;
        for (PricedCost const& cost : book.costs()) {
            times.push_back({cost.time - cost.bandwidth_part, cost.bandwidth_part});
        }
        execution = execute(graph, times);
        parts = breakdown(graph, execution);
    }
};

std::string text_of(PipelineShape const& shape) {
    return "pp " + std::to_string(shape.stages) + ", vp " + std::to_string(shape.chunks) +
           ", micro-batches " + std::to_string(shape.micro_batches);
}

}  // namespace

// The closed form of Narayanan et al. 2021: with equal stages and free transfers the step is the
// ideal time and (pp - 1) turns of one chunk, forward and backward: a share of
// (pp - 1) / (micro-batches x vp) of the ideal.
TEST(PipelineBubble, IsTheClosedFormWithEqualStagesAndFreeTransfers) {
    RandomStream random(11, "bubble");
    for (std::size_t schedule = 0; schedule < pipeline_schedules.size(); ++schedule) {
        for (int i = 0; i < cases; ++i) {
            PipelineShape const shape = draw(random, schedule);
            Times const times{1'000'000, i % 2 == 0 ? 2'000'000 : 1'000'000};
            Ran const ran(shape, {times});
            std::int64_t const chunk = times.forward + times.backward;
            std::int64_t const ideal = chunk * shape.micro_batches * shape.chunks;
            std::int64_t const bubble = chunk * (shape.stages - 1);
            // Each hop over the pipeline and back costs its picosecond.
            std::int64_t const hops =
                2 * transfer_ps * shape.stages * shape.chunks * shape.micro_batches;
            std::int64_t const step = ran.execution.makespan.count;
            EXPECT_GE(step, ideal + bubble) << text_of(shape);
            EXPECT_LE(step, ideal + bubble + hops) << text_of(shape);
            for (Breakdown const& part : ran.parts) {
                EXPECT_EQ(part.compute.count, ideal);
                EXPECT_NEAR(part.bubble / Picoseconds{ideal},
                            (shape.stages - 1.0) / (shape.micro_batches * shape.chunks), 1e-3)
                    << text_of(shape);
            }
        }
    }
}

TEST(PipelineSchedules, RunEveryTurnOfEveryStageOnce) {
    RandomStream random(12, "turns");
    for (std::size_t schedule = 0; schedule < pipeline_schedules.size(); ++schedule) {
        for (int i = 0; i < cases; ++i) {
            PipelineShape const shape = draw(random, schedule);
            for (int stage = 0; stage < shape.stages; ++stage) {
                std::set<std::tuple<bool, int, int>> seen;
                auto const turns = pipeline_schedules.at(schedule).turns(shape, stage);
                for (Turn const& turn : turns) {
                    ASSERT_TRUE(turn.micro_batch >= 0 && turn.micro_batch < shape.micro_batches);
                    ASSERT_TRUE(turn.chunk >= 0 && turn.chunk < shape.chunks);
                    // A chunk's backward comes after its forward.
                    if (!turn.forward) {
                        EXPECT_TRUE(seen.contains({true, turn.micro_batch, turn.chunk}))
                            << text_of(shape);
                    }
                    EXPECT_TRUE(seen.emplace(turn.forward, turn.micro_batch, turn.chunk).second)
                        << text_of(shape);
                }
                EXPECT_EQ(static_cast<int>(seen.size()), 2 * shape.micro_batches * shape.chunks);
            }
        }
    }
}

// Uneven stages, slow sends, blocking or not: the step runs to its end, every stage does its own
// turns and nothing else, and its parts sum to the step.
TEST(PipelineSchedules, CanRunWithAnyTimes) {
    RandomStream random(13, "times");
    for (std::size_t schedule = 0; schedule < pipeline_schedules.size(); ++schedule) {
        for (int i = 0; i < cases; ++i) {
            PipelineShape const shape = draw(random, schedule);
            std::vector<Times> by_stage;
            for (int s = 0; s < shape.stages; ++s) {
                by_stage.push_back({1 + static_cast<std::int64_t>(random.below(1000)),
                                    1 + static_cast<std::int64_t>(random.below(1000)),
                                    1 + static_cast<std::int64_t>(random.below(1000))});
            }
            Ran const ran(shape, by_stage, random.below(2) == 0);
            for (std::size_t s = 0; s < ran.parts.size(); ++s) {
                EXPECT_EQ(ran.parts[s].compute.count, (by_stage[s].forward + by_stage[s].backward) *
                                                          shape.micro_batches * shape.chunks)
                    << text_of(shape);
                EXPECT_EQ(ran.parts[s].total(), ran.execution.makespan) << text_of(shape);
            }
        }
    }
}

// A micro-batch walks the model's chunks in order forward, and back in the reverse order.
TEST(PipelineSchedules, PassEveryMicroBatchThroughTheModelInOrder) {
    RandomStream random(14, "order");
    for (std::size_t schedule = 0; schedule < pipeline_schedules.size(); ++schedule) {
        for (int i = 0; i < cases; ++i) {
            PipelineShape const shape = draw(random, schedule);
            Ran const ran(shape, {Times{}});
            auto const chunks =
                static_cast<std::size_t>(shape.stages) * static_cast<std::size_t>(shape.chunks);
            auto const batches = static_cast<std::size_t>(shape.micro_batches);
            std::vector<std::vector<std::int64_t>> start(batches,
                                                         std::vector<std::int64_t>(2 * chunks));
            auto finish = start;
            for (std::uint32_t t = 0; t < ran.graph.tasks().size(); ++t) {
                Task const& task = ran.graph.tasks()[t];
                if (task.kind != TaskKind::compute || task.micro_batch < 0) continue;
                auto const global = static_cast<std::size_t>(task.chunk * shape.stages) +
                                    ran.graph.class_of(TaskId{t}).value;
                bool const forward = task.phase == 0;
                auto const place = forward ? global : 2 * chunks - 1 - global;
                auto const m = static_cast<std::size_t>(task.micro_batch);
                start[m][place] = ran.execution.start[t].count;
                finish[m][place] = ran.execution.finish[t].count;
            }
            for (std::size_t m = 0; m < batches; ++m) {
                for (std::size_t p = 1; p < 2 * chunks; ++p) {
                    // Between stages a send lies between; the model's end turns round at once.
                    bool const sent = p != chunks && shape.stages > 1;
                    ASSERT_GE(start[m][p], finish[m][p - 1] + (sent ? transfer_ps : 0))
                        << text_of(shape) << ", micro-batch " << m << ", place " << p;
                }
            }
        }
    }
}

}  // namespace nvl72
