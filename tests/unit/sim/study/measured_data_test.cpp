#include "sim/study/measured_data.hpp"

#include "sim/base/error.hpp"
#include "sim/study/calibrations.hpp"
#include "tests/support/folder.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

namespace fs = std::filesystem;

Library library() { return Library(NVL72_SOURCE_DIR "/configs"); }

using support::folder;

std::string message_of(std::vector<std::string> const& paths, std::string const& gpu) {
    try {
        (void)read_measured_data(paths, library(), gpu);
        return "no error";
    } catch (ConfigError const& error) {
        return error.what();
    }
}

std::string const kernels = "gpu,kind,precision,m,n,k,time_us\n";

TEST(MeasuredData, AFolderLeavesOtherTablesAsideAndSaysSo) {
    auto const path = folder("mixed", {{"a.csv", kernels + "h100,gemm,bf16,1,1,1,1\n"},
                                       {"b.csv", "city,people\nBern,1\n"},
                                       {"c.txt", ""}});
    auto const data = read_measured_data({path}, library(), "h100");
    EXPECT_EQ(data.samples.size(), 1U);
    EXPECT_EQ(data.gemm_origin, "a.csv");
    ASSERT_EQ(data.notes.size(), 1U);
    EXPECT_NE(data.notes[0].find("b.csv: no table of measurements that we read, left aside"),
              std::string::npos);
}

/// One size of two H100 in one box.
std::string const log_of_two =
    "./all_reduce_perf -b 1M\n"
    "# nThread 1 nGpus 2 minBytes 1048576 maxBytes 1048576 step: 2(factor) warmup iters: 5\n"
    "#  Rank  0 Group  0 Pid 1 on n1 device  0 [0x18] NVIDIA H100 80GB HBM3\n"
    "#  Rank  1 Group  0 Pid 1 on n1 device  1 [0x2a] NVIDIA H100 80GB HBM3\n"
    "     1048576        262144     float     sum      -1   100.00   10.49   10.49  0  90.00  "
    "11.65 "
    "  11.65  0\n"
    "# Avg bus bandwidth    : 11\n";

TEST(MeasuredData, NamesTheUsersOwnLogs) {
    auto const path = folder(
        "own-logs", {{"mine.log", log_of_two}, {"a.csv", kernels + "h100,gemm,bf16,1,1,1,1\n"}});
    auto const data = read_measured_data({path}, library(), "h100");
    EXPECT_EQ(data.logs, "mine.log");
    ASSERT_EQ(data.collectives.size(), 2U);
    EXPECT_EQ(read_measured_data({path + "/a.csv"}, library(), "h100").logs, "");
}

TEST(Calibrations, SayWhereTheNumbersComeFrom) {
    std::string const fitted =
        "sustained: 1.2\nscaled_from: h100\n"
        "spread:\n  gemm bf16:\n    inside: [0.9, 1.1]\n    fit:\n      rows: 3\n      constants: "
        "1\n"
        "      median: 0.1\n      worst: 0.2\n";
    auto const path = folder("calibrations", {});
    fs::create_directories(path + "/calibration");
    std::ofstream(path + "/calibration/a.yaml") << "gpu: h200\n" << fitted;
    std::ofstream(path + "/calibration/b.yaml") << "gpu: h200\nlogs: mine.log\n" << fitted;
    std::ofstream(path + "/calibration/c.yaml") << "gpu: h200\nlogs: mine.log\ndate: 2026-11-24\n"
                                                << fitted;
    auto const csv = calibrations_table(Library(path)).csv();
    EXPECT_NE(csv.find("a,h200,fitted from published; the rest"), std::string::npos) << csv;
    EXPECT_NE(csv.find("b,h200,measured: user's logs; the rest"), std::string::npos) << csv;
    EXPECT_NE(csv.find("c,h200,measured; the rest"), std::string::npos) << csv;
}

TEST(MeasuredData, BadInputSaysWhatIsMissing) {
    auto const path =
        folder("bad", {{"two.csv", kernels + "h100,gemm,bf16,1,1,1,1\nb200,gemm,bf16,1,1,1,1\n"},
                       {"empty.csv", "dtype,m,n,k,time_us\n"}});
    auto const empty = folder("empty", {});
    EXPECT_EQ(message_of({empty}, ""),
              empty +
                  ": nothing measured in this folder (expected a table of kernels or "
                  "collectives (CSV), an nccl-tests log, samples of nvl72-measure, an "
                  "experiment (YAML), or a folder of these)");
    EXPECT_EQ(message_of({"/no/such"}, ""), "/no/such: no such file");
    EXPECT_EQ(message_of({path + "/empty.csv"}, "h100"),
              "--from: no GEMM, attention, MoE or collective rows, and no samples");
    EXPECT_EQ(message_of({path + "/two.csv"}, ""),
              "--from: rows of b200, h100 (expected one GPU, or --gpu NAME)");
    EXPECT_EQ(message_of({path + "/two.csv"}, "gb200"),
              "--gpu: no rows of gb200 (they are of b200, h100)");
}

}  // namespace
}  // namespace nvl72
