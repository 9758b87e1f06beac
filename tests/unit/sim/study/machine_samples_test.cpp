#include "sim/study/machine_samples.hpp"
#include "sim/base/error.hpp"
#include "sim/cost/profile.hpp"
#include "sim/study/calibrate.hpp"
#include "sim/study/compare_profile.hpp"
#include "tests/support/samples_file.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

namespace fs = std::filesystem;
using Block = SamplesFileDraft::Collective;

Library shipped() { return Library(NVL72_SOURCE_DIR "/configs"); }

std::string temporary(std::string const& name) {
    return (fs::path(testing::TempDir()) / ("machine_samples_" + name)).string();
}

std::string written(SamplesFileDraft const& draft, std::string const& name) {
    auto const path = temporary(name);
    draft.write(path);
    return path;
}

/// Of two threads: one-shot all-reduce of 2 us and 2 GB/s, alltoall (half the buffer) of 1 us and
/// 4 GB/s.
SamplesFileDraft host_draft() {
    SamplesFileDraft draft;
    for (std::int64_t bytes = 4096; bytes <= (4 << 20); bytes *= 4) {
        auto const size = static_cast<double>(bytes);
        Block block;
        block.bytes = bytes;
        block.algorithm = "one_shot";
        draft.add(block, 2e-6 + size / 2e9);
        block.op = "alltoall";
        block.algorithm = "direct";
        draft.add(block, 1e-6 + size / 2 / 4e9);
    }
    return draft;
}

SamplesFileDraft gpu_draft(std::string const& device) {
    SamplesFileDraft draft;
    draft.set("device_kind", "cuda");
    draft.set("device_name", device);
    draft.add_gemm("bf16", 4096, 4096, 4096, "eager", 300e-6);
    draft.add_gemm("bf16", 4096, 4096, 4096, "graph", 290e-6);
    draft.add_gemm("int4", 4096, 4096, 4096, "eager", 100e-6);
    Block block{"nccl", "all_reduce", "auto", "auto", "eager", "peer", 8, 1, 1 << 20, "bfloat16"};
    draft.add(block, 40e-6);
    block.launch = "graph";
    draft.add(block, 30e-6);
    block.launch = "eager";
    block.in_place = 1;
    draft.add(block, 41e-6);
    block.op = "all_gather";
    draft.add(block, 25e-6);
    block.in_place = 0;
    draft.add(block, 26e-6);
    block.algorithm = "ring";
    draft.add(block, 99e-6);
    return draft;
}

MachineSamples machine_of(SamplesFileDraft const& draft, std::string const& gpu = "") {
    return machine_samples(read_samples(written(draft, "gpu.h5")), shipped(), gpu);
}

TEST(MachineSamples, OfAGpuBecomeKernelsAndNcclsOwnChoices) {
    auto const machine = machine_of(gpu_draft("NVIDIA H100 80GB HBM3"));
    EXPECT_EQ(machine.gpu, "h100");
    ASSERT_EQ(machine.kernels.size(), 1U);  // in the graph; int4 is no precision of ours
    EXPECT_DOUBLE_EQ(machine.kernels[0].seconds, 290e-6);
    EXPECT_EQ(machine.notes.size(), 1U);
    std::vector<double> times;
    for (auto const& sample : machine.collectives) {
        times.push_back(sample.seconds);
        EXPECT_EQ(sample.query.shape.domains, 1);
        EXPECT_EQ(sample.query.bytes_per_element, 2);
    }
    std::ranges::sort(times);
    // all_gather out of place; all_reduce out of place and in place, launched eagerly.
    EXPECT_EQ(times, (std::vector{26e-6, 40e-6, 41e-6}));
}

TEST(MachineSamples, NodesStandInTheDomainsOfTheGpusCluster) {
    SamplesFileDraft draft;
    draft.set("device_kind", "cuda");
    draft.set("device_name", "NVIDIA GB200");
    Block const rack{"nccl", "all_reduce", "auto", "auto", "eager", "peer", 72, 18, 1 << 20};
    draft.add(rack, 1e-3);
    auto machine = machine_of(draft);
    ASSERT_EQ(machine.collectives.size(), 1U);
    EXPECT_EQ(machine.collectives[0].query.shape.domains, 1);  // 18 trays of one rack
    draft.set("device_name", "NVIDIA H100 80GB HBM3");
    machine = machine_of(draft);
    EXPECT_EQ(machine.collectives.at(0).query.shape.domains, 18);  // 4 GPUs of each box
    EXPECT_GT(machine.collectives.at(0).query.shape.per_gpu_nic.count, 0);
}

TEST(MachineSamples, AnUnknownGpuAsksForItsName) {
    try {
        (void)machine_of(gpu_draft("NVIDIA RTX 4090"));
        FAIL();
    } catch (ConfigError const& error) {
        EXPECT_NE(std::string(error.what()).find("expected --gpu NAME"), std::string::npos);
    }
    EXPECT_EQ(machine_of(gpu_draft("NVIDIA RTX 4090"), "h100").gpu, "h100");
    EXPECT_THROW(
        (void)machine_samples(read_samples(written(host_draft(), "host.h5")), shipped(), "h100"),
        ConfigError);
}

Calibration host_calibration() {
    auto const data = read_measured_data({written(host_draft(), "host.h5")}, shipped(), "");
    return calibrate_profile(data, shipped());
}

TEST(CalibrateHost, LeavesAProfileThatPredictsItsSamples) {
    auto const calibration = host_calibration();
    auto const path = temporary("host.yaml");
    std::ofstream(path) << calibration.text;
    auto const profile = load_profile(shipped(), path);
    EXPECT_EQ(profile.gpu, "localhost");
    Collective query;
    query.op = CollectiveOp::alltoall;
    query.algorithm = static_cast<std::uint8_t>(CollectiveAlgorithm::direct_bulk);
    query.size = Bytes{1 << 20};
    query.shape.ranks = query.shape.ranks_per_domain = 2;
    auto const priced = cost(profile, query, Load::burst);
    EXPECT_NEAR(to_microseconds(priced.time), 1 + 0.5 * 1048576 / 4e3, 1.5);
    EXPECT_EQ(priced.basis.kind, BasisKind::on_grid);
    EXPECT_THROW((void)cost(profile, Gemm{Precision::bf16, 64, 64, 64}, Load::burst), ConfigError);
    EXPECT_NE(calibration.text.find("date: {value: 2026-11-24"), std::string::npos)
        << calibration.text;
}

TEST(CalibrateHost, IsTheSameTextEachTime) {
    EXPECT_EQ(host_calibration().text, host_calibration().text);
}

TEST(CompareProfile, FindsAllReduceWithoutTheSwitches) {
    auto const library = shipped();
    auto const profile = load_profile(library, "h100");
    SamplesFileDraft draft;
    draft.set("device_kind", "cuda");
    draft.set("device_name", "NVIDIA H100 80GB HBM3");
    // Every size takes what the large ring takes: as if NVLS were off.
    for (std::int64_t bytes = 8 << 20; bytes <= (std::int64_t{1} << 30); bytes *= 2) {
        Collective query;
        query.op = CollectiveOp::all_reduce;
        query.algorithm = static_cast<std::uint8_t>(CollectiveAlgorithm::ring_simple);
        query.size = Bytes{bytes};
        query.shape.ranks = query.shape.ranks_per_domain = 8;
        query.shape.in_domain = profile.collectives->nvlink;
        Block block{"nccl", "all_reduce", "auto", "auto", "eager", "peer", 8, 1, bytes, "half"};
        draft.add(block, to_seconds(cost(profile, query, Load::burst).time));
    }
    auto const data = read_measured_data({written(draft, "slow.h5")}, library, "");
    auto const comparison = compare_profile(data, library, "h100");
    ASSERT_EQ(comparison.parts.size(), 1U);
    EXPECT_EQ(comparison.parts[0].part, "collectives nvls");
    EXPECT_TRUE(comparison.parts[0].differs);
    EXPECT_NE(comparison.parts[0].reason.find("NVLS is off"), std::string::npos);
    EXPECT_THROW((void)compare_profile(data, library, "b200"), ConfigError);
}

TEST(CompareProfile, SaysNothingOfAMachineLikeTheProfile) {
    auto const library = shipped();
    auto const path = temporary("same.yaml");
    std::ofstream(path) << host_calibration().text;
    auto const data = read_measured_data({written(host_draft(), "host.h5")}, library, "");
    for (auto const& part : compare_profile(data, library, path).parts) {
        EXPECT_NEAR(part.ratio, 1, 0.02) << part.part;
        EXPECT_EQ(part.reason, "") << part.part;
    }
}

}  // namespace
}  // namespace nvl72
