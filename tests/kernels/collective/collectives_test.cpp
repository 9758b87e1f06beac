#include "kernels/launch/ranks.hpp"
#include "tests/support/collective_reference.hpp"

#include <gtest/gtest.h>

namespace nvl72::kernels {
namespace {

// Slots of 256 bytes: 64 elements of a bulk message, 32 of a low-latency one. 1023 elements are
// several messages of every rank, 3 elements are less than one for each.
constexpr std::int64_t elements_max = 8 * 1023 + 64;
constexpr int sets = 2;

class EveryRow : public testing::TestWithParam<std::size_t> {};

TEST_P(EveryRow, GivesTheSerialResult) {
    auto const row = GetParam();
    for (int n = 1; n <= 8; ++n) {
        auto ranks = make_ranks({.ranks = n,
                                 .bytes_max = elements_max * element_bytes,
                                 .sets = sets,
                                 .slots = 2,
                                 .slot_bytes = 256});
        if (std::string reason; !ranks->runs(row, &reason)) GTEST_SKIP() << reason;
        // One set of ranks for all: the counters of one call are where the next begins.
        for (auto const& c : reference::cases_of(row, n, sets)) {
            ASSERT_EQ(reference::difference<float>(*ranks, c, sets, elements_max), "");
            ASSERT_EQ(reference::difference<std::int32_t>(*ranks, c, sets, elements_max), "");
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Table,
                         EveryRow,
                         testing::Range(std::size_t{0}, collectives().size()),
                         [](auto const& row) {
                             auto const& c = collectives()[row.param];
                             return std::string(c.name) + "_" + std::string(name_of(c.protocol));
                         });

}  // namespace
}  // namespace nvl72::kernels
