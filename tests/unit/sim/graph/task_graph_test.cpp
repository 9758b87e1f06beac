#include "sim/graph/task_graph.hpp"

#include "sim/base/error.hpp"

#include <gtest/gtest.h>
#include <string>

namespace nvl72 {
namespace {

/// Two stages, one compute stream each, and one phase.
struct TwoStages {
    TaskGraphBuilder builder;
    StreamId first, second;

    TwoStages() {
        builder.add_phase("forward");
        first =
            builder.add_stream({builder.add_class({0, 1, RankId{0}, "stage 0"}), "compute", true});
        second =
            builder.add_stream({builder.add_class({0, 1, RankId{8}, "stage 1"}), "compute", true});
    }
    TaskId add(StreamId stream, std::vector<TaskId> const& needs, int micro_batch) {
        Task task;
        task.stream = stream;
        task.micro_batch = micro_batch;
        return builder.add_task(task, needs);
    }
};

std::string refusal(TaskGraphBuilder& builder) {
    try {
        (void)builder.build();
    } catch (NoProgress const& error) {
        EXPECT_EQ(error.code(), ExitCode::no_progress);
        EXPECT_EQ(static_cast<int>(error.code()), 4);
        return error.what();
    }
    return "built";
}

}  // namespace

TEST(TaskGraph, ACycleOfNeedsNamesTheRanksThatWait) {
    TwoStages two;
    TaskId const a = two.add(two.first, {}, 0);
    TaskId const b = two.add(two.second, {a}, 1);
    two.builder.add_need(a, b);
    std::string const text = refusal(two.builder);
    EXPECT_NE(text.find("stage 0 (rank 0) compute: forward, micro-batch 0"), std::string::npos)
        << text;
    EXPECT_NE(text.find("stage 1 (rank 8) compute: forward, micro-batch 1"), std::string::npos)
        << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << "one line";
}

// No two tasks need each other, but each stream would have to run its second task first.
TEST(TaskGraph, ACycleThroughStreamOrderNamesTheRanksThatWait) {
    TwoStages two;
    TaskId const a0 = two.add(two.first, {}, 0);
    TaskId const a1 = two.add(two.first, {}, 1);
    TaskId const b0 = two.add(two.second, {a1}, 2);
    TaskId const b1 = two.add(two.second, {}, 3);
    two.builder.add_need(a0, b1);
    (void)b0;
    std::string const text = refusal(two.builder);
    EXPECT_NE(text.find("rank 0"), std::string::npos) << text;
    EXPECT_NE(text.find("rank 8"), std::string::npos) << text;
}

TEST(TaskGraph, ATaskThatNeedsItselfIsACycle) {
    TwoStages two;
    TaskId const a = two.add(two.first, {}, 0);
    two.builder.add_need(a, a);
    EXPECT_NE(refusal(two.builder).find("rank 0"), std::string::npos);
}

TEST(TaskGraph, WhatATaskNeedsIsWhatFeedsIt) {
    TwoStages two;
    TaskId const a = two.add(two.first, {}, 0);
    TaskId const b = two.add(two.second, {}, 0);
    TaskId const c = two.add(two.first, {a, b}, 1);
    auto const graph = two.builder.build();
    ASSERT_EQ(graph.needs(c).size(), 2U);
    EXPECT_EQ(graph.needs(c)[0], a);
    EXPECT_EQ(graph.needs(c)[1], b);
    ASSERT_EQ(graph.feeds(b).size(), 1U);
    EXPECT_EQ(graph.feeds(b)[0], c);
    EXPECT_TRUE(graph.feeds(c).empty());
    EXPECT_EQ(graph.class_of(b), ClassId{1});
}

}  // namespace nvl72
