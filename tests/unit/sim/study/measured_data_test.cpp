#include "sim/study/measured_data.hpp"

#include "sim/base/error.hpp"
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
