#include "sim/study/equal.hpp"

#include "sim/base/error.hpp"
#include "tests/support/small_experiment.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

using support::experiment_of;
using support::shipped_library;

/// 1,024 H100 beside GB200 that are equal to them in something.
Experiment with_equal(std::string const& equal) {
    return experiment_of(R"(title: equal
question: equal in what?
model: llama-3.1-8b
recipe: megatron-bridge-26.06
precision: bf16
sequence_length: 2048
global_batch: 1024
systems:
  - {name: h100, cluster: {name: hgx-h100-superpod, gpus: 1024}, layout: {tp: 4}}
  - {name: gb200, cluster: {name: gb200-nvl72-superpod}, layout: {tp: 4}, equal: )" +
                         equal + "}\n");
}

std::int64_t gpus_at(std::string const& equal) {
    auto experiment = with_equal(equal);
    make_equal(experiment.points, shipped_library());
    return experiment.points[1].system.cluster.gpus;
}

TEST(Equal, GpusFollowTheRatioOfTheRatedNumbers) {
    EXPECT_EQ(gpus_at("{in: gpus, to: h100}"), 1024);
    // 1,024 x 10.2 kW / 8 over 120 kW / 72 is 783.4, of which whole replicas of 4 GPUs.
    EXPECT_EQ(gpus_at("{in: power, to: h100}"), 780);
    // 1,024 x 989.4 / 2,500 is 405.3.
    EXPECT_EQ(gpus_at("{in: peak, to: h100}"), 404);
    // 1,024 x 2.5 / 4.5 USD an hour is 568.9.
    EXPECT_EQ(gpus_at("{in: cost, to: h100}"), 568);
}

TEST(Equal, AnAmountOfPowerFeedsWholeReplicas) {
    // 150 MW are 1,250 racks of 120 kW.
    EXPECT_EQ(gpus_at("{in: power, amount: 150 MW}"), 90000);
}

TEST(Equal, TheBatchIsTheNearestThatDivides) {
    auto experiment = with_equal("{in: power, to: h100}");
    auto const notes = make_equal(experiment.points, shipped_library());
    EXPECT_EQ(experiment.points[1].system.global_batch.value, 975);  // 5 x 195 replicas
    EXPECT_EQ(experiment.points[0].system.global_batch.value, 1024);
    ASSERT_EQ(notes.size(), 1U);
    EXPECT_NE(notes[0].find("780 GPUs at equal power"), std::string::npos) << notes[0];
}

TEST(Equal, WhatItCannotBeEqualToIsRefused) {
    EXPECT_THROW(gpus_at("{in: power, to: h200}"), ConfigError);
    EXPECT_THROW(gpus_at("{in: power}"), ConfigError);
    EXPECT_THROW(gpus_at("{in: peak, amount: 1 MW}"), ConfigError);
    EXPECT_THROW(gpus_at("{in: power, amount: 3 kW}"), ConfigError);
}

}  // namespace
}  // namespace nvl72
