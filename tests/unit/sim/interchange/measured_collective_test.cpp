#include "sim/interchange/measured_collective.hpp"

#include "sim/base/error.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

TEST(MeasuredCollective, NamesGpusAsTheConfigsDo) {
    EXPECT_EQ(gpu_name("H100-SXM"), "h100");
    EXPECT_EQ(gpu_name("NVIDIA H100 80GB HBM3"), "h100");
    EXPECT_EQ(gpu_name("NVIDIA H100 96GB HBM3"), "h100-96gb");
    EXPECT_EQ(gpu_name("A100-40G"), "a100-40gb");
    EXPECT_EQ(gpu_name("NVIDIA A100-SXM4-80GB"), "a100-80gb");
    EXPECT_EQ(gpu_name("A100"), "a100");  // of which kind nobody says
    EXPECT_EQ(gpu_name(" GB200 "), "gb200");
    EXPECT_EQ(gpu_name("NVIDIA GB200 NVL72"), "gb200");
    EXPECT_EQ(gpu_name("NVIDIA GH200 120GB"), "gh200");
    EXPECT_EQ(gpu_name("H100 SXM5 80GB"), "h100");
    EXPECT_EQ(gpu_name("DGX-B200"), "b200");
    EXPECT_EQ(gpu_name("b200_sxm"), "b200");
    EXPECT_EQ(gpu_name("GB200NVL72"), "gb200");
    EXPECT_EQ(gpu_name("GB300_NVL72"), "gb300");
    EXPECT_EQ(gpu_name("B300"), "b300");
    EXPECT_EQ(gpu_name("NVIDIA H100NVL"), "h100nvl");  // another board
    EXPECT_EQ(gpu_name("h100-96gb"), "h100-96gb");
}

/// Their links are others, so their times say nothing of ours.
TEST(MeasuredCollective, KeepsPcieBoardsApart) {
    EXPECT_EQ(gpu_name("NVIDIA H100 PCIe"), "nvidia h100 pcie");
    EXPECT_EQ(gpu_name("NVIDIA H100 NVL"), "nvidia h100 nvl");
    EXPECT_EQ(gpu_name("AMD Instinct MI300X"), "amd instinct mi300x");
}

TEST(MeasuredCollective, KnowsOperationsByTheirTestPrograms) {
    EXPECT_EQ(collective_op("alltoall_perf"), CollectiveOp::alltoall);
    EXPECT_EQ(collective_op("all_reduce"), CollectiveOp::all_reduce);
    EXPECT_FALSE(collective_op("reduce"));
    EXPECT_FALSE(collective_op("hypercube_perf"));
}

TEST(MeasuredCollective, AimsAtTheSmallerTimeAndMayHaveNone) {
    MeasuredCollective row;
    take_times(row, 3e-6, 2e-6);
    EXPECT_DOUBLE_EQ(row.seconds, 2e-6);
    take_times(row = {}, 3e-6, std::nullopt);
    EXPECT_DOUBLE_EQ(row.seconds, 3e-6);
    EXPECT_EQ(row.status, RowStatus::ok);
    take_times(row = {}, std::nullopt, std::nullopt);
    EXPECT_EQ(row.status, RowStatus::ok);  // it can be predicted
    EXPECT_EQ(row.reason, "no time");
}

/// An all-reduce counts twice, other operations once; rows that are not ok do not count.
TEST(MeasuredCollective, IsFittedOutOfPlaceButForAllReduce) {
    std::vector<MeasuredCollective> rows(4);
    for (auto& row : rows) take_times(row, 3e-6, 2e-6);
    rows[1].query.op = CollectiveOp::all_gather;
    take_times(rows[2] = {}, std::nullopt, 4e-6);
    rows[2].query.op = CollectiveOp::alltoall;
    take_quality(rows[3], "noisy", "x.csv");
    EXPECT_EQ(rows[3].reason, "quality 'noisy' in x.csv");
    auto const samples = samples_to_fit(rows);
    ASSERT_EQ(samples.size(), 4U);
    EXPECT_DOUBLE_EQ(samples[0].seconds, 3e-6);
    EXPECT_DOUBLE_EQ(samples[1].seconds, 2e-6);
    EXPECT_DOUBLE_EQ(samples[2].seconds, 3e-6);
    EXPECT_DOUBLE_EQ(samples[3].seconds, 4e-6);
}

TEST(MeasuredCollective, RefusesAnUnknownLaunchMode) {
    EXPECT_EQ(launch_mode("graph", {}), LaunchMode::graph);
    EXPECT_EQ(launch_mode("", {}), LaunchMode::unknown);
    try {
        (void)launch_mode("lazy", {"x.csv", 3, "launch"});
        FAIL();
    } catch (ConfigError const& error) {
        EXPECT_STREQ(error.what(),
                     "x.csv:3: launch: 'lazy' (expected unknown | eager | graph | threads | "
                     "symmetric)");
    }
}

TEST(MeasuredCollective, ReadsTheChannelsThatARunAskedFor) {
    EXPECT_EQ(channels_asked("IB x8; NCCL_ALGO=Ring NCCL_MIN_NCHANNELS=32 IB_QPS=2"), 32);
    EXPECT_EQ(channels_asked("NCCL_MIN_NCHANNELS=32"), 32);
    EXPECT_EQ(channels_asked("NCCL_MIN_NCHANNELS=many"), 0);
    EXPECT_EQ(channels_asked("NCCL_MAX_NCHANNELS=4"), 0);
}

}  // namespace
}  // namespace nvl72
