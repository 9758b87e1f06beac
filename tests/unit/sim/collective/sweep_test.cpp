#include "sim/collective/sweep.hpp"

#include "sim/base/error.hpp"

#include <gtest/gtest.h>
#include <string>

namespace nvl72 {
namespace {

using namespace literals;

SweepAnswer answer_of(CollectiveSweep const& sweep, std::string const& cluster, std::int64_t gpus) {
    Library const library(NVL72_SOURCE_DIR "/configs");
    ClusterChoice choice;
    choice.name = cluster;
    choice.gpus = gpus;
    Fabric const fabric = build_fabric(choice, library);
    return run_sweep(sweep, load_profile(library, fabric.gpu().name), fabric);
}

TEST(CollectiveSweepSizes, SuffixesAreBinary) {
    EXPECT_EQ(parse_test_size("-b", "512M"), 512_MiB);
    EXPECT_EQ(parse_test_size("-b", "8G"), 8_GiB);
    EXPECT_EQ(parse_test_size("-b", "1k"), 1_KiB);
    EXPECT_EQ(parse_test_size("-b", "8"), 8_B);
    EXPECT_THROW(parse_test_size("-b", "8Q"), ConfigError);
    EXPECT_THROW(parse_test_size("-b", "-8"), ConfigError);
    EXPECT_THROW(parse_test_size("-b", ""), ConfigError);
}

TEST(CollectiveSweepSizes, AllGatherCountsOneRanksPart) {
    // 1 MiB of floats over 72 ranks: 262144 / 72 = 3640, aligned to 4 elements.
    auto const answer = answer_of({CollectiveOp::all_gather, "", 1_MiB, 1_MiB}, "gb200-nvl72", 72);
    ASSERT_EQ(answer.rows.size(), 1U);
    EXPECT_EQ(answer.rows[0].count, 3640);
    EXPECT_EQ(answer.rows[0].size, Bytes{3640L * 4 * 72});
}

TEST(CollectiveSweepSizes, BuffersTooSmallForTheirRanksAreLeftOutWithANote) {
    auto const answer = answer_of({CollectiveOp::alltoall, "", 8_B, 1_KiB}, "hgx-h100", 8);
    EXPECT_EQ(answer.rows.front().size, 128_B);
    EXPECT_NE(answer.notes.front().find("sizes to 64 left out"), std::string::npos);
}

TEST(CollectiveSweepSizes, NothingLeftIsAnError) {
    EXPECT_THROW(answer_of({CollectiveOp::alltoall, "", 8_B, 8_B}, "hgx-h100", 8), ConfigError);
}

TEST(CollectiveSweepText, HasTheColumnsOfNcclTests) {
    auto const text = nccl_tests_text(
        answer_of({CollectiveOp::all_reduce, "", 512_MiB, 512_MiB}, "gb200-nvl72", 72));
    // size count type redop root, then time algbw busbw #wrong twice.
    std::vector<std::string> cells;
    std::size_t const at = text.find("   536870912");
    ASSERT_NE(at, std::string::npos);
    std::string word;
    for (char const c : text.substr(at, text.find('\n', at) - at) + " ") {
        if (c != ' ') {
            word += c;
        } else if (!word.empty()) {
            cells.push_back(word);
            word.clear();
        }
    }
    ASSERT_EQ(cells.size(), 13U);
    EXPECT_EQ(cells[1], "134217728");
    EXPECT_EQ(cells[2], "float");
    EXPECT_EQ(cells[3], "sum");
    EXPECT_EQ(cells[4], "-1");
    EXPECT_EQ(cells[8], "N/A");
    EXPECT_EQ(cells[12], "N/A");
    EXPECT_EQ(cells[5], cells[9]);
    EXPECT_NE(text.find("# stays inside the rack"), std::string::npos);
}

}  // namespace
}  // namespace nvl72
