#include "sim/training/step.hpp"

#include "sim/base/error.hpp"
#include "sim/cost/profile.hpp"
#include "sim/study/point.hpp"
#include "tests/support/small_experiment.hpp"

#include <array>
#include <gtest/gtest.h>
#include <string_view>

namespace nvl72 {
namespace {

using support::shipped_library;
using support::small_experiment;

/// What a job that does not fit says.
std::string refusal_of(std::vector<std::string> const& overrides) {
    LoadedPoint const point =
        load_point(small_experiment(overrides).points.at(0), shipped_library(), {});
    try {
        (void)simulate_point(point, 0);
    } catch (DoesNotFit const& error) {
        EXPECT_EQ(error.code(), ExitCode::does_not_fit);
        EXPECT_EQ(static_cast<int>(error.code()), 3);
        return error.what();
    }
    return "fits";
}

std::vector<TaskId> tasks_of(TaskGraph const& graph, std::string_view phase) {
    std::vector<TaskId> found;
    for (std::uint32_t i = 0; i < graph.tasks().size(); ++i) {
        if (graph.phases()[graph.tasks()[i].phase] == phase) found.emplace_back(i);
    }
    return found;
}

}  // namespace

// 405B on 16 GPUs: 4 x 2 ranks share 405e9 x 2 B of weights, over 100 GB each.
TEST(StepMemory, RefusesWhatDoesNotFitAndSaysWhoOwnsWhat) {
    std::string const text = refusal_of({"model=llama-3.1-405b", "systems.0.layout.vp=1"});
    for (char const* owner : {"weights", "gradients", "optimizer", "activations", "total"}) {
        EXPECT_NE(text.find(owner), std::string::npos) << owner << " in\n" << text;
    }
    EXPECT_NE(text.find("GiB"), std::string::npos) << text;
}

TEST(StepMemory, LetsWhatFitsRun) { EXPECT_EQ(refusal_of({}), "fits"); }

// One stage's classes: as many GPUs as its share of the job, first ranks in order.
TEST(StepResult, HasOneClassAStage) {
    LoadedPoint const point = load_point(small_experiment().points.at(0), shipped_library(), {});
    auto const done = simulate_point(point, 0);
    auto const classes = done.step.graph.classes();
    ASSERT_EQ(classes.size(), 2U);
    EXPECT_EQ(classes[0].multiplicity, 8U);
    EXPECT_EQ(classes[0].representative, RankId{0});
    EXPECT_EQ(classes[1].representative, RankId{8});
    EXPECT_EQ(done.step.memory.size(), 2U);
    // 16 sequences over dp 2 and micro-batch 1: 8 micro-batches x 2 chunks x 2 directions a stage.
    int turns = 0;
    for (Task const& task : done.step.graph.tasks()) {
        turns += task.kind == TaskKind::compute && task.micro_batch >= 0 ? 1 : 0;
    }
    EXPECT_EQ(turns, 2 * 8 * 2 * 2);
}

// tokens/s/GPU = 16 x 2048 / step / 16; MFU = FLOPs a token x that over 989.4 TFLOP/s.
TEST(SimulatePoint, FiguresOfARowAgree) {
    LoadedPoint const point = load_point(small_experiment().points.at(0), shipped_library(), {});
    SweepRow const row = simulate_point(point, 7).row;
    EXPECT_EQ(row.point, 7);
    EXPECT_NEAR(row.tokens_per_s_per_gpu * row.step_s, 2048, 1e-9);
    EXPECT_NEAR(row.mfu, row.model_tflops_per_gpu * 1e12 / point.fabric.gpu().peak.bf16.count,
                1e-12);
    double parts = 0;
    for (StepPart const& part : step_parts) parts += row.parts.*part.member;
    EXPECT_NEAR(parts, row.step_s, 1e-9 * row.step_s);
    EXPECT_EQ(row.dp, 2);
    EXPECT_EQ(row.micro_batches, 8);
    EXPECT_TRUE(row.error != row.error) << "nothing was published";
}

TEST(SimulatePoint, MfuIsOfThePeakOfTheBlocksPrecision) {
    LoadedPoint const point =
        load_point(small_experiment({"precision=fp8"}).points.at(0), shipped_library(), {});
    SweepRow const row = simulate_point(point, 0).row;
    EXPECT_NEAR(row.mfu, row.model_tflops_per_gpu * 1e12 / point.fabric.gpu().peak.fp8->count,
                1e-12);
}

// Lost links slow the whole stage, whichever of its two tensor-parallel groups has them.
TEST(SimulateStep, KeepsThePaceOfTheSlowestGroup) {
    auto const step_s = [](std::vector<std::string> const& overrides) {
        auto const point =
            load_point(small_experiment(overrides).points.at(0), shipped_library(), {});
        return simulate_point(point, 0).row.step_s;
    };
    double const whole = step_s({});
    double const first = step_s({"systems.0.cluster.faults.links=[gpu 1 link 2, gpu 1 link 3]"});
    double const last = step_s({"systems.0.cluster.faults.links=[gpu 6 link 2, gpu 6 link 3]"});
    EXPECT_GT(first, whole);
    EXPECT_DOUBLE_EQ(first, last);
}

// 96 GPUs, 48 a stage: GPU 0 sends to GPU 48 in its rack, GPU 24 to GPU 72 in the next. The
// replicas from GPU 24 on load the NICs with their sends; nothing else of stage 0 leaves the rack.
TEST(SimulateStep, SendsOverTheLinksOfEachPair) {
    auto const point = load_point(
        small_experiment({"systems.0.cluster.name=gb200-nvl72-superpod",
                          "systems.0.cluster.gpus=96", "systems.0.layout.vp=1", "global_batch=48"})
            .points.at(0),
        shipped_library(), {});
    auto const done = simulate_point(point, 0);
    auto const sent = [&](std::string const& name) {
        for (LinkUse const& link : done.step.links) {
            if (link.name == name) return link.bytes;
        }
        return -1.0;
    };
    EXPECT_EQ(sent("stage 0 like rank 0 nic"), 0);
    // 4 micro-batches forward, of 2048 tokens x 4096 / 4 x 2 B; what comes back is received.
    EXPECT_NEAR(sent("stage 0 like rank 24 nic"), 4 * 2048.0 * 1024 * 2, 1e-3);
}

// Of 16 GPUs with two NICs each, GPU 13 (stage 1) has lost one; the two GPUs of its tray share the
// 3 that are left, and their replica goes by them. GPU 3 is of the other one.
TEST(SimulateStep, HasTheLinksOfTheWorstGpuOfAReplica) {
    support::TemporaryFile const cluster(
        "base: hgx-h100-superpod\ngpus_per_tray: 2\nnics: {per_gpu: 2, line_rate: 200 Gb/s}\n",
        ".yaml");
    auto const point =
        load_point(small_experiment({"systems.0.cluster.name=" + cluster.path(),
                                     "systems.0.cluster.faults.nics=[gpu 13 nic 0]",
                                     "systems.0.cluster.faults.links=[gpu 3 link 5]"})
                       .points.at(0),
                   shipped_library(), {});
    auto const links = simulate_point(point, 0).step.links;
    // NVLink and NIC of stages 0 and 1, of the replica of rank 0 and then that of rank 4.
    constexpr std::array capacities{17 * 25e9, 50e9, 18 * 25e9, 50e9,
                                    18 * 25e9, 50e9, 18 * 25e9, 1.5 * 25e9};
    ASSERT_EQ(links.size(), capacities.size());
    for (std::size_t i = 0; i < links.size(); ++i) {
        EXPECT_DOUBLE_EQ(links[i].capacity, capacities.at(i)) << links[i].name;
    }
}

// Two layers over two stages and 64 x 4096 tokens: the last stage's BF16 logits alone are
// 262144 x 128256 x 2 B = 67 GB; the first stage would fit.
TEST(StepMemory, ChecksTheFullestStage) {
    LoadedPoint point =
        load_point(small_experiment({"systems.0.layout.tp=1", "systems.0.layout.vp=1",
                                     "systems.0.layout.micro_batch=1"})
                       .points.at(0),
                   shipped_library(), {});
    point.model.layers = 2;
    point.system.layout.micro_batch = 64;
    point.parallel = check_layout(point.system.layout, 16, point.model, 512, 4096);
    try {
        (void)simulate_point(point, 0);
        FAIL() << "it fits";
    } catch (DoesNotFit const& error) {
        EXPECT_NE(std::string(error.what()).find("stage 1"), std::string::npos) << error.what();
    }
}

// Llama-3.1-8B, tp 4, pp 2, vp 2: a chunk has 8 of 32 layers.
//   a layer's matrices / 4   attention 4096 x (2 x 4096 + 2 x 1024) / 4 = 10,485,760
//                            ffn       3 x 4096 x 14336 / 4             = 44,040,192
//   8 layers and 16 norms    8 x 54,525,952 + 16 x 4096                 = 436,273,152
//   embedding, or head       128256 / 4 x 4096                          = 131,334,144
constexpr std::int64_t parameters_of_chunk = 436'273'152;
constexpr std::int64_t table_parameters = 131'334'144;
constexpr std::int64_t final_norm = 4096;

// A ring of 2 data-parallel ranks sends half of each buffer; gradients and gathered parameters have
// 2 bytes each: as many bytes as parameters.
TEST(SimulateStep, DataParallelTrafficIsEveryParameterTheHeadsToo) {
    auto point = load_point(small_experiment().points.at(0), shipped_library(), {});
    point.recipe.overlap.dp_hidden = 1;  // else one more task a stage is what cannot hide
    ASSERT_EQ(point.parallel.dp, 2);
    auto const done = simulate_point(point, 0);
    std::int64_t const sent[2][2] = {
        {parameters_of_chunk + table_parameters, parameters_of_chunk},
        {parameters_of_chunk, parameters_of_chunk + table_parameters + final_norm}};
    TaskGraph const& graph = done.step.graph;
    for (std::string_view const phase : {"gradient reduce-scatter", "parameter all-gather"}) {
        auto const tasks = tasks_of(graph, phase);
        ASSERT_EQ(tasks.size(), 4U) << phase;
        for (TaskId const id : tasks) {
            auto const stage = graph.class_of(id).value;
            auto const chunk = static_cast<std::size_t>(graph.tasks()[id.value].chunk);
            EXPECT_NEAR(graph.traffic(id)[0].amount, static_cast<double>(sent[stage][chunk]), 1)
                << graph.describe(id);
        }
    }
}

// Its 2 data-parallel (or context-parallel) ranks step half of a stage's parameters each, at the
// recipe's 30 bytes of HBM traffic; alone with its optimizer state a rank steps all.
TEST(SimulateStep, OptimizerStepsTheShardOfOneRank) {
    auto const times_of = [](LoadedPoint const& point) {
        auto const done = simulate_point(point, 0);
        std::vector<Picoseconds> times;
        for (TaskId const id : tasks_of(done.step.graph, "optimizer")) {
            times.push_back(done.step.execution.finish[id.value] -
                            done.step.execution.start[id.value]);
        }
        return times;
    };
    std::int64_t const first = 2 * parameters_of_chunk + table_parameters;
    auto const expected = [&](LoadedPoint const& point, std::int64_t ranks) {
        std::vector<Picoseconds> times;
        for (std::int64_t const parameters : {first, first + final_norm}) {
            MemoryTraffic const traffic{Bytes{parameters / ranks * 30}, 1};
            times.push_back(cost(point.profile, traffic, Load::sustained).time);
        }
        return times;
    };
    for (char const* cp : {"1", "2"}) {
        auto const overrides = std::vector{std::string("systems.0.layout.cp=") + cp};
        auto point = load_point(small_experiment(overrides).points.at(0), shipped_library(), {});
        EXPECT_EQ(times_of(point), expected(point, 2)) << "cp " << cp;
        point.recipe.state.distributed_optimizer = false;
        EXPECT_EQ(times_of(point), expected(point, 1)) << "cp " << cp;
    }
}

// Key-value exchanges that nothing hides are part of the step, and so of what it stands on: the
// shares of the bases sum to the compute and the exposed communication of all GPUs. (One stage:
// with more, what is exposed while a peer is late counts as bubble.)
TEST(SimulateStep, ExposedContextParallelTimeIsOnTheBasis) {
    auto point = load_point(small_experiment({"systems.0.layout.cp=2", "systems.0.layout.pp=1",
                                              "systems.0.layout.vp=1"})
                                .points.at(0),
                            shipped_library(), {});
    point.recipe.overlap.cp = false;
    auto const done = simulate_point(point, 0);
    double busy = 0, exposed_cp = 0, shares = 0;
    for (std::size_t c = 0; c < done.step.by_class.size(); ++c) {
        Breakdown const& part = done.step.by_class[c];
        double const gpus = done.step.graph.classes()[c].multiplicity;
        busy += gpus * to_seconds(part.compute);
        for (Picoseconds const exposed : part.exposed) busy += gpus * to_seconds(exposed);
        exposed_cp +=
            gpus * to_seconds(part.exposed[static_cast<std::size_t>(ParallelDimension::cp)]);
    }
    for (BasisShare const& share : done.step.shares) shares += share.seconds;
    ASSERT_GT(exposed_cp, 0.01 * busy) << "else this test sees nothing";
    EXPECT_NEAR(shares, busy, 1e-3 * busy);
}

// ZeRO-2: 2 stages of 2 chunks reduce the gradients of each of 8 micro-batches, and hold half of
// them over dp 2.
TEST(SimulateStep, ReducesShardedGradientsAfterEveryMicroBatch) {
    auto point = load_point(small_experiment().points.at(0), shipped_library(), {});
    point.recipe.overlap.dp_hidden = 1;  // else one more task a stage is what cannot hide
    auto const whole = simulate_point(point, 0);
    point.recipe.state.shard_gradients = true;
    auto const sharded = simulate_point(point, 0);
    EXPECT_EQ(tasks_of(whole.step.graph, "gradient reduce-scatter").size(), 2U * 2);
    EXPECT_EQ(tasks_of(sharded.step.graph, "gradient reduce-scatter").size(), 2U * 2 * 8);
    EXPECT_EQ(2 * sharded.step.memory[0].gradients, whole.step.memory[0].gradients);
    EXPECT_GE(sharded.step.step, whole.step.step);
}

// tp 2 x pp 4 x cp 2 leave dp 1, but gradients are summed over context-parallel ranks too.
TEST(SimulateStep, ReducesGradientsOverContextParallelRanks) {
    auto point = load_point(small_experiment({"systems.0.layout.tp=2", "systems.0.layout.pp=4",
                                              "systems.0.layout.cp=2"})
                                .points.at(0),
                            shipped_library(), {});
    point.recipe.overlap.dp_hidden = 1;  // else one more task a stage is what cannot hide
    ASSERT_EQ(point.parallel.dp, 1);
    int reduces = 0;
    auto const done = simulate_point(point, 0);
    for (Task const& task : done.step.graph.tasks()) reduces += task.phase == 4 ? 1 : 0;
    EXPECT_EQ(reduces, 4 * 2) << "one a chunk of each stage";
}

// Each quarter of the data-parallel collectives that cannot hide takes as long as the others, and
// counts as exposed.
TEST(SimulateStep, WaitsForWhatOfDataParallelCollectivesCannotHide) {
    auto point = load_point(small_experiment().points.at(0), shipped_library(), {});
    std::vector<double> steps, exposed;
    for (double const hidden : {1.0, 0.75, 0.5}) {
        point.recipe.overlap.dp_hidden = hidden;
        auto const done = simulate_point(point, 0);
        steps.push_back(done.row.step_s);
        double waited = 0;
        for (Breakdown const& part : done.step.by_class) {
            waited += to_seconds(part.exposed[static_cast<std::size_t>(ParallelDimension::dp)]);
        }
        exposed.push_back(waited);
    }
    EXPECT_GT(steps[1], steps[0]);
    EXPECT_NEAR(steps[2] - steps[1], steps[1] - steps[0], 1e-3 * steps[0]);
    EXPECT_GT(exposed[1], exposed[0]);
    EXPECT_GT(exposed[2], exposed[1]);
}

}  // namespace nvl72
