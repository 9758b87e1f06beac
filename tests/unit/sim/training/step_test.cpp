#include "sim/training/step.hpp"

#include "sim/base/error.hpp"
#include "sim/study/point.hpp"
#include "tests/support/small_experiment.hpp"

#include <gtest/gtest.h>

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

}  // namespace nvl72
