#include "sim/training/schedule.hpp"

#include <gtest/gtest.h>
#include <string>

namespace nvl72 {
namespace {

/// "F0.1" is the forward of micro-batch 0 through chunk 1.
std::string order(PipelineShape const& shape, int stage) {
    std::string text;
    for (Turn const& turn : schedule_for(shape).turns(shape, stage)) {
        if (!text.empty()) text += ' ';
        text += turn.forward ? 'F' : 'B';
        text += std::to_string(turn.micro_batch);
        if (shape.chunks > 1) text += '.' + std::to_string(turn.chunk);
    }
    return text;
}

}  // namespace

// Narayanan et al. 2021 (arXiv 2104.04473), figure 4: warm-up of stages - 1 - s forwards.
TEST(Schedule, OneForwardOneBackwardAsPublished) {
    EXPECT_EQ(order({3, 1, 4}, 0), "F0 F1 F2 B0 F3 B1 B2 B3");
    EXPECT_EQ(order({3, 1, 4}, 1), "F0 F1 B0 F2 B1 F3 B2 B3");
    EXPECT_EQ(order({3, 1, 4}, 2), "F0 B0 F1 B1 F2 B2 F3 B3");
}

TEST(Schedule, FewerMicroBatchesThanStagesAllWarmUp) {
    EXPECT_EQ(order({4, 1, 2}, 0), "F0 F1 B0 B1");
    EXPECT_EQ(order({4, 1, 2}, 3), "F0 B0 F1 B1");
}

// Micro-batches in groups of 2 stages, chunk after chunk; warm-up of 2 (2 - 1 - s) + (2 - 1) 2.
TEST(Schedule, InterleavedAsMegatronRunsIt) {
    EXPECT_EQ(order({2, 2, 4}, 0),
              "F0.0 F1.0 F0.1 F1.1 F2.0 B0.1 F3.0 B1.1 F2.1 B0.0 F3.1 B1.0 B2.1 B3.1 B2.0 B3.0");
    EXPECT_EQ(order({2, 2, 4}, 1),
              "F0.0 F1.0 F0.1 B0.1 F1.1 B1.1 F2.0 B0.0 F3.0 B1.0 F2.1 B2.1 F3.1 B3.1 B2.0 B3.0");
}

TEST(Schedule, IsInterleavedWhereAStageHoldsSeveralChunks) {
    EXPECT_EQ(schedule_for({4, 1, 8}).name, "1f1b");
    EXPECT_EQ(schedule_for({4, 2, 8}).name, "interleaved-1f1b");
}

}  // namespace nvl72
