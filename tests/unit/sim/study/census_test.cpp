#include "sim/study/census.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

namespace fs = std::filesystem;

/// Five fitted numbers: gemm.a, both of gemm.list, collectives.b, which lies at a bound, and one of
/// a GPU in a given.yaml. Words, and numbers of another source, do not count.
TEST(Census, CountsFittedNumbersByFileAndSectionAndThoseAtABoundApart) {
    auto const folder = fs::path(testing::TempDir()) / "census";
    fs::remove_all(folder);
    fs::create_directories(folder / "calibration");
    std::ofstream(folder / "calibration" / "x.yaml")
        << "gpu: x\n"
           "gemm:\n"
           "  a: {value: 2 us, source: \"fitted: 9 rows\"}\n"
           "  list: {value: [1, 2], source: \"fitted: 9 rows\"}\n"
           "  word: {value: ring, source: \"fitted: 9 rows\"}\n"
           "  other: {value: 3, source: \"assumed: as fitted elsewhere\"}\n"
           "collectives:\n"
           "  b: {value: 1, source: \"fitted: 9 rows; at its lower bound, so not determined\"}\n";
    std::ofstream(folder / "given.yaml")
        << "gpus:\n  x:\n    c: {value: 1.09, source: \"fitted: 3 runs\"}\n";
    std::ofstream(folder / "none.yaml") << "title: nothing fitted\n";
    auto const census = fitted_census(Library(folder.string()));
    ASSERT_EQ(census.size(), 2U);
    EXPECT_EQ(census[0].file, "calibration/x.yaml");
    EXPECT_EQ(census[0].determined, 3U);
    EXPECT_EQ(census[0].at_bound, 1U);
    EXPECT_EQ(census[0].sections.at("gemm"), 3U);
    EXPECT_EQ(census[0].sections.at("collectives"), 1U);
    EXPECT_EQ(census[1].sections.at("x"), 1U);
    auto const table = census_table(census);
    EXPECT_EQ(std::get<std::int64_t>(table.at(2, 1)), 5);
    EXPECT_EQ(std::get<std::int64_t>(table.at(2, 2)), 1);
}

/// Two GPUs of one family hold the same fit: three numbers, not six; the one that differs is own.
TEST(Census, CountsOneFitOfTwoProfilesOnce) {
    auto const folder = fs::path(testing::TempDir()) / "census_shared";
    fs::remove_all(folder);
    fs::create_directories(folder / "calibration");
    for (auto const* name : {"x", "y"}) {
        std::ofstream(folder / "calibration" / (std::string(name) + ".yaml"))
            << "collectives:\n"
               "  a: {value: 2 us, source: \"fitted: 9 rows\"}\n"
               "  list: {value: [1, 2], source: \"fitted: 9 rows\"}\n"
               "gemm:\n"
               "  b: {value: 1, source: \"fitted: rows of "
            << name << "\"}\n";
    }
    auto const census = fitted_census(Library(folder.string()));
    ASSERT_EQ(census.size(), 2U);
    EXPECT_EQ(census[0].determined, 4U);
    EXPECT_EQ(census[0].shared, 0U);
    EXPECT_EQ(census[1].determined, 1U);
    EXPECT_EQ(census[1].shared, 3U);
    EXPECT_EQ(std::get<std::int64_t>(census_table(census).at(2, 1)), 5);
}

}  // namespace
}  // namespace nvl72
