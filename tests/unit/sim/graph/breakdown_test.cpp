#include "sim/graph/breakdown.hpp"

#include "sim/training/step_graph.hpp"

#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace nvl72 {
namespace {

using namespace literals;

constexpr int forward_turn = 0, backward_turn = 1;  // of phase_names

/// Every query costs what its size in bytes says: latency and work, in picoseconds.
CostBook book_of_sizes() {
    return CostBook([](Query const& query) {
        auto const& size = std::get<Collective>(query).size;
        return Cost{Picoseconds{size.count}, Picoseconds{size.count}, {BasisKind::on_grid, ""}};
    });
}

PricedCost kernels(Picoseconds time) { return {time, time, {}}; }

TurnCost turn(Picoseconds time, Picoseconds tp = 0_ps) {
    TurnCost cost;
    cost.compute = kernels(time);
    cost.communication[static_cast<std::size_t>(ParallelDimension::tp)].exposed = kernels(tp);
    return cost;
}

/// A communication of `time` picoseconds that uses no link, on `sms` of the stage's 100.
CollectivePlan plan(std::int64_t time, int sms = 0) {
    CollectivePlan plan;
    plan.query.size = Bytes{time};
    plan.sms = sms;
    return plan;
}

StagePlan stage(int number, StageChunk const& chunk, int chunks = 1) {
    StagePlan plan;
    plan.name = "stage " + std::to_string(number);
    plan.representative = RankId{static_cast<std::uint32_t>(number)};
    plan.sms = 100;
    plan.chunks.assign(static_cast<std::size_t>(chunks), chunk);
    plan.optimizer = kernels(50_ps);
    return plan;
}

/// A step, executed.
struct Ran {
    TaskGraph graph;
    Execution execution;
    std::vector<Breakdown> parts;

    Ran(PipelineShape const& shape,
        std::vector<StagePlan> const& stages,
        OverlapPolicy const& overlap) {
        CostBook book = book_of_sizes();
        graph = build_step_graph(default_schedule(shape.chunks), shape, stages,
                                 intern_costs(stages, book), overlap, book);
        std::vector<TaskTime> times;
        for (PricedCost const& cost : book.costs()) {
            times.push_back({cost.time - cost.bandwidth_part, cost.bandwidth_part});
        }
        execution = execute(graph, times);
        parts = breakdown(graph, execution);
    }

    /// Start and finish of one task.
    [[nodiscard]] std::pair<std::int64_t, std::int64_t> when(int stage,
                                                             std::uint32_t phase,
                                                             int micro_batch,
                                                             int chunk = 0) const {
        for (std::uint32_t i = 0; i < graph.tasks().size(); ++i) {
            Task const& task = graph.tasks()[i];
            if (graph.class_of(TaskId{i}).value == static_cast<std::uint32_t>(stage) &&
                task.phase == phase && task.micro_batch == micro_batch && task.chunk == chunk &&
                (phase > backward_turn || task.kind == TaskKind::compute)) {
                return {execution.start[i].count, execution.finish[i].count};
            }
        }
        return {-1, -1};
    }
    [[nodiscard]] Picoseconds exposed(std::size_t stage, ParallelDimension dimension) const {
        return parts.at(stage).exposed.at(static_cast<std::size_t>(dimension));
    }
};

using Span = std::pair<std::int64_t, std::int64_t>;

}  // namespace

// Forward 100 ps, backward 200, a send 10, the optimizer 50; 2 stages, 2 micro-batches, 1F1B.
//   stage 0: F0 F1 B0 B1 opt     stage 1: F0 B0 F1 B1 opt
//   stage 0 | F0 0-100 | F1 100-200 |  wait 220  | B0 420-620 | wait 100 | B1 720-920 | opt -970
//   stage 1 | wait 110 | F0 110-210 | B0 210-410 | F1 410-510 | B1 510-710 | opt -760 | wait 210
TEST(BreakdownByHand, OfTwoStagesAndTwoMicroBatches) {
    StageChunk chunk;
    chunk.forward = turn(100_ps);
    chunk.backward = turn(200_ps);
    std::vector<StagePlan> stages{stage(0, chunk), stage(1, chunk)};
    stages[0].send = plan(10);
    stages[1].send = plan(77);  // to stage 0's next chunk; a backward send crosses stage 0's link
    Ran const ran({2, 1, 2}, stages, {});

    EXPECT_EQ(ran.when(0, forward_turn, 0), Span(0, 100));
    EXPECT_EQ(ran.when(0, forward_turn, 1), Span(100, 200));
    EXPECT_EQ(ran.when(0, backward_turn, 0), Span(420, 620));
    EXPECT_EQ(ran.when(0, backward_turn, 1), Span(720, 920));
    EXPECT_EQ(ran.when(1, forward_turn, 0), Span(110, 210));
    EXPECT_EQ(ran.when(1, backward_turn, 0), Span(210, 410));
    EXPECT_EQ(ran.when(1, forward_turn, 1), Span(410, 510));
    EXPECT_EQ(ran.when(1, backward_turn, 1), Span(510, 710));
    EXPECT_EQ(ran.when(0, 2, 0), Span(100, 110));  // sends forward
    EXPECT_EQ(ran.when(0, 2, 1), Span(200, 210));
    EXPECT_EQ(ran.when(1, 3, 0), Span(410, 420));  // sends backward
    EXPECT_EQ(ran.when(1, 3, 1), Span(710, 720));
    EXPECT_EQ(ran.execution.makespan, 970_ps);

    // Of each wait the last 10 ps are the send that ended it, the rest the peer that was not ready.
    EXPECT_EQ(ran.parts[0].compute, 650_ps);  // 2 x (100 + 200) + 50
    EXPECT_EQ(ran.exposed(0, ParallelDimension::pp), 20_ps);
    EXPECT_EQ(ran.parts[0].bubble, 300_ps);  // 210 + 90
    EXPECT_EQ(ran.parts[0].idle, 0_ps);
    EXPECT_EQ(ran.parts[1].compute, 650_ps);
    EXPECT_EQ(ran.exposed(1, ParallelDimension::pp), 10_ps);
    EXPECT_EQ(ran.parts[1].bubble, 310_ps);  // 100 at the start, 210 at the end
    EXPECT_EQ(ran.parts[1].idle, 0_ps);
}

// The same with blocking sends: stage 0 F1 starts when F0 is sent (110) and stage 1's own waits
// move with it.
//   stage 0 | F0 0-100 s F1 110-210 s |  wait  | B0 420-620 | wait | B1 730-930 | opt -980
//   stage 1 | F0 110-210 | B0 210-410 s | F1 420-520 | B1 520-720 s | opt 730-780
TEST(BreakdownByHand, OfSendsThatBlock) {
    StageChunk chunk;
    chunk.forward = turn(100_ps);
    chunk.backward = turn(200_ps);
    std::vector<StagePlan> stages{stage(0, chunk), stage(1, chunk)};
    for (StagePlan& each : stages) each.send = plan(10);
    OverlapPolicy blocking;
    blocking.pp = false;
    Ran const ran({2, 1, 2}, stages, blocking);
    EXPECT_EQ(ran.when(0, forward_turn, 1), Span(110, 210));
    EXPECT_EQ(ran.when(1, forward_turn, 1), Span(420, 520));
    EXPECT_EQ(ran.when(0, backward_turn, 1), Span(730, 930));
    EXPECT_EQ(ran.execution.makespan, 980_ps);
    EXPECT_EQ(ran.parts[0].compute, 650_ps);
    // 100-110 own send; 220-420: own send 210-220, then the peer's at 410-420; 720-730 the peer's.
    EXPECT_EQ(ran.exposed(0, ParallelDimension::pp) + ran.parts[0].bubble, 330_ps);
    // Own sends at 410-420 and 720-730, the peer's at 100-110.
    EXPECT_EQ(ran.exposed(1, ParallelDimension::pp), 30_ps);
    EXPECT_EQ(ran.parts[1].bubble, 300_ps);  // 0-100, 780-980
}

// One stage, one micro-batch: gather 0-40, F 40-140, TP 140-170, B 170-370, TP 370-400, reduce
// 400-460, optimizer 460-510.
TEST(BreakdownByHand, OfWhatIsNotHidden) {
    StageChunk chunk;
    chunk.forward = turn(100_ps, 30_ps);
    chunk.backward = turn(200_ps, 30_ps);
    chunk.parameter_gather[dense_shards] = plan(40);
    chunk.gradient_reduce[dense_shards] = plan(60);
    for (bool const overlap : {true, false}) {
        OverlapPolicy policy;
        policy.dp = overlap;
        Ran const ran({1, 1, 1}, {stage(0, chunk)}, policy);
        EXPECT_EQ(ran.when(0, forward_turn, 0), Span(40, 140));
        EXPECT_EQ(ran.when(0, backward_turn, 0), Span(170, 370));
        EXPECT_EQ(ran.execution.makespan, 510_ps);
        EXPECT_EQ(ran.parts[0].compute, 350_ps);
        EXPECT_EQ(ran.exposed(0, ParallelDimension::tp), 60_ps);
        EXPECT_EQ(ran.exposed(0, ParallelDimension::dp), 100_ps);
        EXPECT_EQ(ran.parts[0].bubble, 0_ps);
        EXPECT_EQ(ran.parts[0].idle, 0_ps);
    }
}

// Two chunks on one stage: F0 F1 B1 B0. The reduce of chunk 1 (60 ps on 25 of 100 SMs) starts at
// 400 beside B0. It asks for less than half of the SMs and keeps its pace (max-min); B0 has the
// other 75, so 60 ps cost it 15: 215 instead of 200. Chunk 0's reduce is exposed.
TEST(BreakdownByHand, OfACollectiveThatTakesSmsFromKernels) {
    StageChunk chunk;
    chunk.forward = turn(100_ps);
    chunk.backward = turn(200_ps);
    chunk.gradient_reduce[dense_shards] = plan(60, 25);
    Ran const ran({1, 2, 1}, {stage(0, chunk, 2)}, {});
    EXPECT_EQ(ran.when(0, backward_turn, 0, 1), Span(200, 400));
    EXPECT_EQ(ran.when(0, 4, -1, 1), Span(400, 460));
    EXPECT_EQ(ran.when(0, backward_turn, 0, 0), Span(400, 615));
    EXPECT_EQ(ran.when(0, 4, -1, 0), Span(615, 675));
    EXPECT_EQ(ran.execution.makespan, 725_ps);
    EXPECT_EQ(ran.parts[0].compute, 665_ps);
    EXPECT_EQ(ran.exposed(0, ParallelDimension::dp), 60_ps);
}

// A chunk's gradients are whole after its last backward: F0 B0 F1 B1, then the reduce at 600.
TEST(BreakdownByHand, OfAReduceThatWaitsForTheLastMicroBatch) {
    StageChunk chunk;
    chunk.forward = turn(100_ps);
    chunk.backward = turn(200_ps);
    chunk.gradient_reduce[dense_shards] = plan(60);
    Ran const ran({1, 1, 2}, {stage(0, chunk)}, {});
    EXPECT_EQ(ran.when(0, backward_turn, 1), Span(400, 600));
    EXPECT_EQ(ran.when(0, 4, -1, 0), Span(600, 660));
    EXPECT_EQ(ran.execution.makespan, 710_ps);
}

// Each of 2 micro-batches is sent forward and back: either stage sends 2 x 70 B by its NIC and 2 x
// 30 B by NVLink, and receives as much, each way on its own half of a full-duplex link.
TEST(StepGraph, SendsLoadTheLinksOfBothEnds) {
    StageChunk chunk;
    chunk.forward = turn(100_ps);
    chunk.backward = turn(200_ps);
    std::vector<StagePlan> stages{stage(0, chunk), stage(1, chunk)};
    for (StagePlan& each : stages) {
        each.send = plan(10);
        each.send.load = {30, 70};
        each.nvlink = BytesPerSecond{1e15};
        each.nic = BytesPerSecond{1e15};
    }
    Ran const ran({2, 1, 2}, stages, {});
    EXPECT_EQ(ran.execution.makespan, 970_ps) << "as without traffic";
    for (std::size_t s = 0; s < 2; ++s) {
        // Per class: NVLink and NIC out, NVLink and NIC in, SMs.
        EXPECT_NEAR(ran.execution.carried.at(resources_per_class * s), 60, 1e-9)
            << "NVLink out of stage " << s;
        EXPECT_NEAR(ran.execution.carried.at(resources_per_class * s + 1), 140, 1e-9)
            << "NIC out of stage " << s;
        EXPECT_NEAR(ran.execution.carried.at(resources_per_class * s + 2), 60, 1e-9)
            << "NVLink into stage " << s;
        EXPECT_NEAR(ran.execution.carried.at(resources_per_class * s + 3), 140, 1e-9)
            << "NIC into stage " << s;
    }
}

}  // namespace nvl72
