#include "sim/base/random.hpp"
#include "sim/graph/breakdown.hpp"
#include "sim/training/step_graph.hpp"

#include <gtest/gtest.h>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nvl72 {
namespace {

constexpr int cases = 60;
constexpr std::int64_t transfer_ps = 1;  ///< as good as free

int between(RandomStream& random, int low, int high) {
    return low + static_cast<int>(random.below(static_cast<std::uint64_t>(high) -
                                               static_cast<std::uint64_t>(low) + 1));
}

/// A shape that the schedule can run.
PipelineShape draw(RandomStream& random, PipelineSchedule const& schedule) {
    PipelineShape shape;
    do {
        shape.stages = between(random, 1, 8);
        shape.chunks = between(random, 1, 5);
        shape.micro_batches = between(random, 1, 24);
    } while (schedule.refusal(shape));
    return shape;
}

PricedCost kernels(std::int64_t time) { return {Picoseconds{time}, Picoseconds{time}, {}}; }

/// Of one chunk. A backward takes what both gradients do.
struct Times {
    std::int64_t forward = 1'000'000, input = 1'000'000, weight = 1'000'000, send = transfer_ps;

    [[nodiscard]] std::int64_t backward() const { return input + weight; }
};

/// A step of equal chunks without tensor or data parallelism or an optimizer.
struct Ran {
    TaskGraph graph;
    Execution execution;
    std::vector<Breakdown> parts;

    Ran(PipelineSchedule const& schedule,
        PipelineShape const& shape,
        std::vector<Times> const& by_stage,
        bool overlap = true) {
        CostBook book([](Query const& query) {
            Picoseconds const time{std::get<Collective>(query).size.count};
            return Cost{time, time, {BasisKind::on_grid, ""}};
        });
        std::vector<StagePlan> stages;
        for (int s = 0; s < shape.stages; ++s) {
            Times const& times = by_stage[static_cast<std::size_t>(s) % by_stage.size()];
            StageChunk chunk;
            chunk.forward.compute = kernels(times.forward);
            chunk.backward.compute = kernels(times.backward());
            if (schedule.splits_backward) {
                chunk.input_gradient.emplace().compute = kernels(times.input);
                chunk.weight_gradient.emplace().compute = kernels(times.weight);
            }
            if (schedule.bidirectional) {
                chunk.overlapped = TurnPricer::overlapped(chunk.forward, chunk.backward);
            }
            StagePlan stage;
            stage.name = "stage " + std::to_string(s);
            stage.chunks.assign(static_cast<std::size_t>(schedule.held_chunks(shape)), chunk);
            stage.send.query.size = Bytes{times.send};
            stages.push_back(std::move(stage));
        }
        OverlapPolicy policy;
        policy.pp = overlap;
        graph = build_step_graph(schedule, shape, stages, intern_costs(stages, book), policy, book);
        std::vector<TaskTime> times;
        for (PricedCost const& cost : book.costs()) {
            times.push_back({cost.time - cost.bandwidth_part, cost.bandwidth_part});
        }
        execution = execute(graph, times);
        parts = breakdown(graph, execution);
    }
};

std::string text_of(PipelineSchedule const& schedule, PipelineShape const& shape) {
    return std::string(schedule.name) + ", pp " + std::to_string(shape.stages) + ", vp " +
           std::to_string(shape.chunks) + ", micro-batches " + std::to_string(shape.micro_batches);
}

/// Every hop over the pipeline and back costs its picosecond.
std::int64_t hops(PipelineShape const& shape) {
    return 2 * transfer_ps * shape.stages * shape.chunks * shape.micro_batches;
}

/// What a stage waits for beside its own turns.
std::int64_t bubble_of(PipelineSchedule const& schedule,
                       PipelineShape const& shape,
                       Times const& times) {
    std::int64_t const turns = std::int64_t{shape.micro_batches} * shape.chunks;
    return Ran(schedule, shape, {times}).execution.makespan.count -
           turns * (times.forward + times.backward());
}

PipelineSchedule const& row(std::string_view name) { return *find_schedule(name); }

}  // namespace

// The closed form of Narayanan et al. 2021: with equal stages and free transfers the step is the
// ideal time and (pp - 1) turns of one chunk, forward and backward: a share of
// (pp - 1) / (micro-batches x vp) of the ideal.
TEST(PipelineBubble, IsTheClosedFormWithEqualStagesAndFreeTransfers) {
    RandomStream random(11, "bubble");
    for (char const* name : {"gpipe", "1f1b", "interleaved"}) {
        for (int i = 0; i < cases; ++i) {
            PipelineShape const shape = draw(random, row(name));
            Times const times{1'000'000, 1 + static_cast<std::int64_t>(random.below(2'000'000)),
                              1 + static_cast<std::int64_t>(random.below(2'000'000))};
            Ran const ran(row(name), shape, {times});
            std::int64_t const chunk = times.forward + times.backward();
            std::int64_t const ideal = chunk * shape.micro_batches * shape.chunks;
            std::int64_t const bubble = chunk * (shape.stages - 1);
            std::int64_t const step = ran.execution.makespan.count;
            EXPECT_GE(step, ideal + bubble) << text_of(row(name), shape);
            EXPECT_LE(step, ideal + bubble + hops(shape)) << text_of(row(name), shape);
            for (Breakdown const& part : ran.parts) {
                EXPECT_EQ(part.compute.count, ideal);
                EXPECT_NEAR(part.bubble / Picoseconds{ideal},
                            (shape.stages - 1.0) / (shape.micro_batches * shape.chunks), 1e-3)
                    << text_of(row(name), shape);
            }
        }
    }
}

// Qi et al. 2023, ZB-H1: (pp - 1) (F + B - W), B and W the gradients of inputs and weights, where
// W fills the gaps that B leaves: W <= B, and as many micro-batches as stages.
TEST(PipelineBubble, OfZeroBubbleIsTheClosedForm) {
    RandomStream random(15, "zero bubble");
    PipelineSchedule const& zero_bubble = row("zero-bubble");
    for (int i = 0; i < cases; ++i) {
        PipelineShape shape = draw(random, zero_bubble);
        shape.micro_batches += shape.stages;
        Times times;
        times.weight = 1 + static_cast<std::int64_t>(random.below(1'000'000));
        times.input = times.weight + static_cast<std::int64_t>(random.below(1'000'000));
        std::int64_t const expected =
            (shape.stages - 1) * (times.forward + times.input - times.weight);
        std::int64_t const bubble = bubble_of(zero_bubble, shape, times);
        EXPECT_GE(bubble, expected) << text_of(zero_bubble, shape);
        EXPECT_LE(bubble, expected + hops(shape)) << text_of(zero_bubble, shape);
    }
}

// DeepSeek-V3 (arXiv 2412.19437), table 2: (pp / 2 - 1) (F&B + B - 3 W), B of inputs and weights
// together; an overlapped pair without communication takes F + B. Uniform: F = the input's part of
// B, W no more than that.
TEST(PipelineBubble, OfDualPipeIsTheClosedForm) {
    RandomStream random(16, "dual pipe");
    PipelineSchedule const& dual_pipe = row("dualpipe");
    for (int i = 0; i < cases; ++i) {
        PipelineShape const shape = draw(random, dual_pipe);
        Times times;
        times.weight = 500'000 + static_cast<std::int64_t>(random.below(500'000));
        std::int64_t const pair = times.forward + times.backward();
        std::int64_t const expected =
            (shape.stages / 2 - 1) * (pair + times.backward() - 3 * times.weight);
        std::int64_t const bubble = bubble_of(dual_pipe, shape, times);
        EXPECT_GE(bubble, expected) << text_of(dual_pipe, shape);
        EXPECT_LE(bubble, expected + hops(shape)) << text_of(dual_pipe, shape);
    }
}

// The same layers: interleaved cuts a stage into chunks of a part of its time each.
TEST(PipelineBubble, IsNoLargerThan1F1BsWithFreeTransfers) {
    RandomStream random(17, "against 1f1b");
    for (char const* name : {"interleaved", "zero-bubble"}) {
        for (int i = 0; i < cases; ++i) {
            PipelineShape const shape = draw(random, row(name));
            auto const time = [&] {
                return 1 + static_cast<std::int64_t>(random.below(2'000'000));
            };
            Times const chunk{time(), time(), time()};
            Times const stage{chunk.forward * shape.chunks, chunk.input * shape.chunks,
                              chunk.weight * shape.chunks};
            PipelineShape const plain{shape.stages, 1, shape.micro_batches};
            EXPECT_LE(Ran(row(name), shape, {chunk}).execution.makespan.count,
                      Ran(row("1f1b"), plain, {stage}).execution.makespan.count + hops(shape))
                << text_of(row(name), shape);
        }
    }
}

TEST(PipelineSchedules, RunEveryTurnOfEveryStageOnce) {
    RandomStream random(12, "turns");
    for (PipelineSchedule const& schedule : pipeline_schedules) {
        for (int i = 0; i < cases; ++i) {
            PipelineShape const shape = draw(random, schedule);
            std::set<std::pair<int, int>> computed;  // model chunk and micro-batch, over all stages
            for (int stage = 0; stage < shape.stages; ++stage) {
                std::set<std::pair<int, int>> begun, returned, ended;
                auto const place = [&](Visit const& visit) {
                    EXPECT_GE(visit.micro_batch, 0);
                    EXPECT_LT(visit.micro_batch, shape.micro_batches);
                    int const chunk = schedule.model_chunk(shape, stage, visit.chunk);
                    EXPECT_EQ(schedule.stage_of(shape, chunk, visit.micro_batch), stage);
                    return std::pair(chunk, visit.micro_batch);
                };
                for (Turn const& turn : schedule.turns(shape, stage)) {
                    if (auto const visit = turn.runs_forward()) {
                        EXPECT_TRUE(begun.insert(place(*visit)).second) << text_of(schedule, shape);
                        EXPECT_TRUE(computed.insert(place(*visit)).second);
                    }
                    // A chunk's gradients come after its forward, its weights' last.
                    if (auto const visit = turn.returns_gradient()) {
                        EXPECT_TRUE(begun.contains(place(*visit))) << text_of(schedule, shape);
                        EXPECT_TRUE(returned.insert(place(*visit)).second);
                    }
                    if (auto const visit = turn.ends_backward()) {
                        EXPECT_TRUE(returned.contains(place(*visit))) << text_of(schedule, shape);
                        EXPECT_TRUE(ended.insert(place(*visit)).second);
                    }
                }
                EXPECT_EQ(begun, returned) << text_of(schedule, shape);
                EXPECT_EQ(begun, ended) << text_of(schedule, shape);
            }
            EXPECT_EQ(static_cast<int>(computed.size()),
                      schedule.model_chunks(shape) * shape.micro_batches)
                << text_of(schedule, shape);
        }
    }
}

// Uneven stages, slow sends, blocking or not: the step runs to its end, every stage does its own
// turns and nothing else, and its parts sum to the step.
TEST(PipelineSchedules, CanRunWithAnyTimes) {
    RandomStream random(13, "times");
    for (PipelineSchedule const& schedule : pipeline_schedules) {
        for (int i = 0; i < cases; ++i) {
            PipelineShape const shape = draw(random, schedule);
            std::vector<Times> by_stage;
            for (int s = 0; s < shape.stages; ++s) {
                auto const time = [&] { return 1 + static_cast<std::int64_t>(random.below(1000)); };
                by_stage.push_back({time(), time(), time(), time()});
            }
            Ran const ran(schedule, shape, by_stage, random.below(2) == 0);
            for (std::size_t s = 0; s < ran.parts.size(); ++s) {
                EXPECT_EQ(ran.parts[s].compute.count,
                          (by_stage[s].forward + by_stage[s].backward()) * shape.micro_batches *
                              shape.chunks)
                    << text_of(schedule, shape);
                EXPECT_EQ(ran.parts[s].total(), ran.execution.makespan) << text_of(schedule, shape);
            }
        }
    }
}

// A micro-batch walks the model's chunks in order forward, and back in the reverse order.
TEST(PipelineSchedules, PassEveryMicroBatchThroughTheModelInOrder) {
    RandomStream random(14, "order");
    for (PipelineSchedule const& schedule : pipeline_schedules) {
        for (int i = 0; i < cases; ++i) {
            PipelineShape const shape = draw(random, schedule);
            Ran const ran(schedule, shape, {Times{}});
            auto const chunks = static_cast<std::size_t>(schedule.model_chunks(shape));
            std::vector<std::vector<std::pair<std::int64_t, std::int64_t>>> walk(
                static_cast<std::size_t>(shape.micro_batches),
                std::vector<std::pair<std::int64_t, std::int64_t>>(2 * chunks));
            std::vector<std::vector<Turn>> turns;
            for (int s = 0; s < shape.stages; ++s) turns.push_back(schedule.turns(shape, s));
            std::vector<std::size_t> done(turns.size(), 0);
            for (std::uint32_t t = 0; t < ran.graph.tasks().size(); ++t) {
                Task const& task = ran.graph.tasks()[t];
                if (task.kind != TaskKind::compute || task.micro_batch < 0) continue;
                auto const stage = ran.graph.class_of(TaskId{t}).value;
                Turn const& turn = turns[stage].at(done[stage]++);
                auto const note = [&](Visit const& visit, bool ahead) {
                    auto const chunk = static_cast<std::size_t>(
                        schedule.model_chunk(shape, static_cast<int>(stage), visit.chunk));
                    walk[static_cast<std::size_t>(visit.micro_batch)]
                        [ahead ? chunk : 2 * chunks - 1 - chunk] = {ran.execution.start[t].count,
                                                                    ran.execution.finish[t].count};
                };
                if (auto const visit = turn.runs_forward()) note(*visit, true);
                if (auto const visit = turn.returns_gradient()) note(*visit, false);
            }
            for (auto const& places : walk) {
                for (std::size_t p = 1; p < 2 * chunks; ++p) {
                    // Between stages a send lies between; the model's end turns round at once.
                    bool const sent = p != chunks && shape.stages > 1;
                    ASSERT_GE(places[p].first, places[p - 1].second + (sent ? transfer_ps : 0))
                        << text_of(schedule, shape) << ", place " << p;
                }
            }
        }
    }
}

}  // namespace nvl72
