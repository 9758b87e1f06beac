#include "sim/parallel/schedule.hpp"

#include <gtest/gtest.h>
#include <string>

namespace nvl72 {
namespace {

std::string word(char kind, Visit const& visit, bool chunks) {
    std::string text = kind + std::to_string(visit.micro_batch);
    if (chunks) text += '.' + std::to_string(visit.chunk);
    return text;
}

/// "F0.1" is the forward of micro-batch 0 through chunk 1, B its backward, I and W the gradients of
/// input and weights, F2+B1 an overlapped pair.
std::string order(std::string_view name, PipelineShape const& shape, int stage) {
    PipelineSchedule const& schedule = *find_schedule(name);
    bool const chunks = schedule.held_chunks(shape) > 1;
    std::string text;
    for (Turn const& turn : schedule.turns(shape, stage)) {
        if (!text.empty()) text += ' ';
        text += word("FBIWF"[static_cast<std::size_t>(turn.kind)], turn.own, chunks);
        if (turn.kind == TurnKind::overlapped) text += '+' + word('B', turn.backward, chunks);
    }
    return text;
}

}  // namespace

TEST(Schedule, GPipeTurnsRoundWhenEveryMicroBatchIsThrough) {
    EXPECT_EQ(order("gpipe", {2, 1, 3}, 0), "F0 F1 F2 B2 B1 B0");
    EXPECT_EQ(order("gpipe", {2, 1, 3}, 1), "F0 F1 F2 B2 B1 B0");
}

// Narayanan et al. 2021 (arXiv 2104.04473), figure 4: warm-up of stages - 1 - s forwards.
TEST(Schedule, OneForwardOneBackwardAsPublished) {
    EXPECT_EQ(order("1f1b", {3, 1, 4}, 0), "F0 F1 F2 B0 F3 B1 B2 B3");
    EXPECT_EQ(order("1f1b", {3, 1, 4}, 1), "F0 F1 B0 F2 B1 F3 B2 B3");
    EXPECT_EQ(order("1f1b", {3, 1, 4}, 2), "F0 B0 F1 B1 F2 B2 F3 B3");
}

TEST(Schedule, FewerMicroBatchesThanStagesAllWarmUp) {
    EXPECT_EQ(order("1f1b", {4, 1, 2}, 0), "F0 F1 B0 B1");
    EXPECT_EQ(order("1f1b", {4, 1, 2}, 3), "F0 B0 F1 B1");
}

// Micro-batches in groups of 2 stages, chunk after chunk; warm-up of 2 (2 - 1 - s) + (2 - 1) 2.
TEST(Schedule, InterleavedAsMegatronRunsIt) {
    EXPECT_EQ(order("interleaved", {2, 2, 4}, 0),
              "F0.0 F1.0 F0.1 F1.1 F2.0 B0.1 F3.0 B1.1 F2.1 B0.0 F3.1 B1.0 B2.1 B3.1 B2.0 B3.0");
    EXPECT_EQ(order("interleaved", {2, 2, 4}, 1),
              "F0.0 F1.0 F0.1 B0.1 F1.1 B1.1 F2.0 B0.0 F3.0 B1.0 F2.1 B2.1 F3.1 B3.1 B2.0 B3.0");
}

// Qi et al. 2023 (arXiv 2401.10241), ZB-H1: 1F1B whose stage s has s weight gradients outstanding.
TEST(Schedule, ZeroBubblePutsWeightGradientsOffByTheStage) {
    EXPECT_EQ(order("zero-bubble", {3, 1, 4}, 0), "F0 F1 F2 I0 W0 F3 I1 W1 I2 W2 I3 W3");
    EXPECT_EQ(order("zero-bubble", {3, 1, 4}, 1), "F0 F1 I0 F2 I1 W0 F3 I2 W1 I3 W2 W3");
    EXPECT_EQ(order("zero-bubble", {3, 1, 4}, 2), "F0 I0 F1 I1 F2 I2 W0 F3 I3 W1 W2 W3");
}

// Two stages, micro-batches 0 and 1 from stage 0 and 2 and 3 from stage 1. Chunk 0 is the stage's
// own, chunk 1 its mirror's.
TEST(Schedule, DualPipeComesFromBothEnds) {
    EXPECT_EQ(order("dualpipe", {2, 1, 4}, 0), "F0.0 F2.1 F1.0 B2.1 F3.1+B0.0 B3.1 I1.0 W1.0");
    EXPECT_EQ(order("dualpipe", {2, 1, 4}, 1), "F2.1 F0.0 F3.1 B0.0 F1.0+B2.1 B1.0 I3.1 W3.1");
}

TEST(Schedule, IsInterleavedWhereAStageHoldsSeveralChunks) {
    EXPECT_EQ(default_schedule(1).name, "1f1b");
    EXPECT_EQ(default_schedule(2).name, "interleaved");
}

TEST(Schedule, RefusesWhatItCannotRunAtTheKeyAtFault) {
    auto const key = [](std::string_view name, PipelineShape const& shape) {
        auto const refusal = find_schedule(name)->refusal(shape);
        return refusal ? refusal->key : "runs";
    };
    EXPECT_EQ(key("gpipe", {4, 1, 8}), "runs");
    EXPECT_EQ(key("gpipe", {4, 2, 8}), "vp");
    EXPECT_EQ(key("1f1b", {4, 2, 8}), "vp");
    EXPECT_EQ(key("interleaved", {4, 1, 8}), "schedule");
    EXPECT_EQ(key("interleaved", {4, 2, 6}), "vp") << "6 micro-batches are no multiple of 4";
    EXPECT_EQ(key("zero-bubble", {1, 1, 8}), "schedule");
    EXPECT_EQ(key("zero-bubble", {4, 2, 8}), "vp");
    EXPECT_EQ(key("dualpipe", {3, 1, 8}), "schedule");
    EXPECT_EQ(key("dualpipe", {4, 1, 6}), "schedule") << "fewer than 2 x 4 micro-batches";
    EXPECT_EQ(key("dualpipe", {2, 1, 5}), "schedule") << "5 cannot be halved";
    EXPECT_EQ(key("dualpipe", {4, 1, 8}), "runs");
}

}  // namespace nvl72
