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
#include <map>
#include <string_view>
#include <type_traits>
#include <variant>

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

/// Eight H100 that all-reduce 1 MiB as NCCL was told to.
SamplesFileDraft forced_draft() {
    SamplesFileDraft draft;
    draft.set("device_kind", "cuda");
    draft.set("device_name", "NVIDIA H100 80GB HBM3");
    double time = 30e-6;
    for (auto const& [algorithm, protocol] :
         std::vector<std::pair<char const*, char const*>>{{"auto", "auto"},
                                                          {"ring", "ll"},
                                                          {"ring", "ll128"},
                                                          {"ring", "simple"},
                                                          {"nvls", "simple"},
                                                          {"tree", "ll"},
                                                          {"tree", "simple"}}) {
        Block block{"nccl", "all_reduce", algorithm, protocol, "eager", "peer", 8, 1, 1 << 20};
        draft.add(block, time);
        time += 1e-6;
    }
    return draft;
}

TEST(MachineSamples, KeepTheAlgorithmThatNcclWasToldToTake) {
    auto draft = forced_draft();
    Block spanning{"nccl", "all_reduce", "nvls", "simple", "eager", "peer", 16, 2, 1 << 20};
    draft.add(spanning, 1e-3);  // NVLS stays in one box
    auto const machine = machine_of(draft);
    std::map<std::string, double> times;
    for (auto const& sample : machine.collectives) times[sample.algorithm] = sample.seconds;
    ASSERT_EQ(machine.collectives.size(), 5U);
    EXPECT_DOUBLE_EQ(times.at(""), 30e-6);
    EXPECT_DOUBLE_EQ(times.at("ring-ll"), 31e-6);
    EXPECT_DOUBLE_EQ(times.at("ring-ll128"), 32e-6);
    EXPECT_DOUBLE_EQ(times.at("ring-simple"), 33e-6);
    EXPECT_DOUBLE_EQ(times.at("nvls"), 34e-6);
    ASSERT_EQ(machine.notes.size(), 1U);
    EXPECT_NE(machine.notes[0].find("3 NCCL cases by nvls simple, tree ll, tree simple left aside"),
              std::string::npos)
        << machine.notes[0];
}

TEST(CompareProfile, JudgesAForcedBranchByItself) {
    auto const library = shipped();
    auto const data = read_measured_data({written(forced_draft(), "forced.h5")}, library, "");
    std::vector<std::string> parts;
    for (auto const& part : compare_profile(data, library, "h100").parts) {
        if (std::ranges::find(parts, part.part) == parts.end()) parts.push_back(part.part);
    }
    EXPECT_EQ(parts,
              (std::vector<std::string>{"collectives nvls", "collectives ring-ll",
                                        "collectives ring-ll128", "collectives ring-simple"}));
    auto const without = compare_profile(
        [&] {
            auto of_a100 = data;
            of_a100.gpu = "a100-40gb";
            for (auto& sample : of_a100.collectives) sample.gpu = "a100-40gb";
            return of_a100;
        }(),
        library, "a100-40gb");
    EXPECT_NE(without.findings.at(0).find("1 rows by NVLS left aside: a100-40gb has none"),
              std::string::npos)
        << without.findings[0];
}

/// An H100 whose memory kernels take 3 us and 2.5 TB/s, whose GEMM loses a tenth to 16 SMs.
SamplesFileDraft times_draft() {
    auto draft = gpu_draft("NVIDIA H100 80GB HBM3");
    for (std::int64_t bytes = 1 << 20; bytes <= (std::int64_t{1} << 30); bytes *= 4) {
        for (auto const* kind : {"copy", "fill", "reduce"}) {
            std::int64_t const traffic = std::string_view(kind) == "copy" ? 2 * bytes : bytes;
            draft.add_memory(kind, traffic, 3e-6 + static_cast<double>(traffic) / 2.5e12);
        }
    }
    draft.add_launch("kernel", 2.2e-6);
    draft.add_copy("gpu0", "gpu1", "ce", 1 << 20, 1e-3);  // the largest size counts
    draft.add_copy("gpu0", "gpu1", "ce", 1 << 30, 4e-3);
    draft.add_copy("gpu1", "gpu0", "ce", 1 << 30, 8e-3);
    draft.add_overlap("gemm_alone", 16, 1e-3);
    draft.add_overlap("gemm_with", 16, 1.1e-3);
    draft.add_overlap("collective_alone", 16, 1e-3);
    draft.add_overlap("collective_with", 16, 1.2e-3);
    return draft;
}

TEST(CalibrateSamples, FitsMemoryToItsOwnRowsAndNamesItsSpread) {
    auto const library = shipped();
    auto data = read_measured_data({written(times_draft(), "times.h5")}, library, "");
    data.samples.clear();  // one GEMM and three collectives make no section
    data.collectives.clear();
    auto const calibration = calibrate_profile(data, library);
    auto const path = temporary("times.yaml");
    std::ofstream(path) << calibration.text;
    auto const profile = load_profile(library, path);
    ASSERT_TRUE(profile.memory);
    EXPECT_NEAR(profile.memory->rate.count, 2.5e12, 0.01e12);
    EXPECT_NEAR(profile.memory->launch.count, 3e-6, 0.05e-6);
    EXPECT_FALSE(profile.memory->borrowed);
    MemoryTraffic const query{Bytes{1 << 24}, 1};
    EXPECT_EQ(cost(profile, query, Load::burst).basis.kind, BasisKind::interpolated);
    auto const spread = spread_of(profile, query, BasisKind::interpolated);
    EXPECT_LT(spread.high - spread.low, 0.02);  // the rows lie on the line
    EXPECT_NE(calibration.text.find("\n  memory:\n    inside"), std::string::npos)
        << calibration.text;

    Profile const h100 = load_profile(library, "h100");  // whose memory is its GEMMs'
    auto const borrowed = spread_of(h100, query, BasisKind::interpolated);
    auto const of_gemms = spread_of(h100, Gemm{}, BasisKind::interpolated);
    EXPECT_EQ(borrowed.low, of_gemms.low);
    EXPECT_EQ(borrowed.high, of_gemms.high);
}

TEST(CalibrateSamples, TooFewMemoryRowsLeaveWhatIsShipped) {
    auto const library = shipped();
    SamplesFileDraft draft = forced_draft();
    for (int i = 0; i < 8; ++i) draft.add_memory("copy", 1 << 20, 4e-6 + i * 1e-8);  // one size
    auto data = read_measured_data({written(draft, "few.h5")}, library, "");
    data.collectives.clear();
    auto const path = temporary("few.yaml");
    std::ofstream(path) << calibrate_profile(data, library).text;
    EXPECT_EQ(load_profile(library, path).memory->rate, load_profile(library, "h100").memory->rate);
}

TEST(MachineTimes, StandBesideWhatTheSimulatorReckonsWith) {
    auto const data = read_measured_data({written(times_draft(), "times.h5")}, shipped(), "");
    auto const table = table_of(data.times, {132, "2.5 us", "3 us"});
    auto const line = [&](std::size_t row) {
        std::vector<std::string> words;
        for (std::size_t i = 0; i < 6; ++i) {
            auto const* text = std::get_if<std::string>(&table.at(row, i));
            words.push_back(text == nullptr ? "" : *text);
        }
        return words;
    };
    using Words = std::vector<std::string>;
    ASSERT_EQ(table.rows(), 4U);
    EXPECT_EQ(line(0), (Words{"launch kernel", "", "2.20 us", "2.20 us", "2.20 us",
                              "GEMM 2.5 us, memory kernel 3 us"}));
    // 2^30 bytes in 8 ms and in 4 ms.
    EXPECT_EQ(line(1), (Words{"copy gpu to gpu by ce, 1073741824 bytes", "", "268.4 GB/s",
                              "134.2 GB/s", "268.4 GB/s", ""}));
    // 1 + 16/132 = 1.121
    EXPECT_EQ(line(2), (Words{"GEMM beside all_reduce, 16 SMs", "", "1.100 x", "1.100 x", "1.100 x",
                              "1.121 x"}));
    EXPECT_EQ(line(3), (Words{"all_reduce beside GEMM, 16 SMs", "", "1.200 x", "1.200 x", "1.200 x",
                              "1.000 x"}));
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

/// Parts' intervals in a profile of host_draft() whose cases took `slower` times as long in a
/// second block.
std::map<std::string, Spread> host_spreads(double slower) {
    auto draft = host_draft();
    for (auto& column : draft.tables.at(0).columns) {
        std::visit(
            [&](auto& values) {
                auto const before = values;
                values.insert(values.end(), before.begin(), before.end());
                if constexpr (std::is_same_v<std::decay_t<decltype(values)>, std::vector<double>>) {
                    for (std::size_t i = before.size(); i < values.size(); ++i) values[i] *= slower;
                }
            },
            column.values);
    }
    auto const data = read_measured_data({written(draft, "passes.h5")}, shipped(), "");
    auto const path = temporary("passes.yaml");
    std::ofstream(path) << calibrate_profile(data, shipped()).text;
    std::map<std::string, Spread> spreads;
    for (auto const& [part, row] : load_spec<ProfileFile>(path).spread)
        spreads[part] = {row.inside.at(0), row.inside.at(1)};
    return spreads;
}

TEST(CalibrateHost, CountsTheSpreadBetweenPassesIntoItsIntervals) {
    auto const steady = host_spreads(1);
    auto const busy = host_spreads(1.3);
    ASSERT_EQ(steady.size(), 2U);
    ASSERT_EQ(busy.size(), 2U);
    for (auto const& [part, spread] : busy) {
        // The rows are exact, so the passes are all there is: half of the blocks 1.3 times as slow.
        EXPECT_LT(steady.at(part).high, 1.01) << part;
        EXPECT_NEAR(spread.high, 1.3, 0.01) << part;
        EXPECT_NEAR(spread.low, 1 / 1.3, 0.01) << part;
    }
}

TEST(MachineSamples, SayThatTheMachineWasBusy) {
    auto draft = host_draft();
    EXPECT_TRUE(machine_of(draft).notes.empty());
    draft.set_drift(0.1, "collectives: 2 ranks");
    EXPECT_TRUE(machine_of(draft).notes.empty());
    draft.reals[0].second = 0.46;
    auto const notes = machine_of(draft).notes;
    ASSERT_EQ(notes.size(), 1U);
    EXPECT_NE(notes[0].find("the passes of collectives: 2 ranks differ by 46 %; measure when "
                            "quiet, or --blocks 20"),
              std::string::npos)
        << notes[0];
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
