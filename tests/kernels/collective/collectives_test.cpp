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

/// Cases of a row: nothing, one element, less than one for each rank, less than a message, several;
/// large and small ones after each other. moe_* take whole rows of tokens, wide and narrow.
std::vector<reference::Case> cases_of(std::size_t row, int ranks) {
    auto const op = collectives()[row].op;
    std::vector<reference::Case> cases;
    if (op == Op::moe_dispatch || op == Op::moe_combine) {
        for (int const tokens : {1, 13, 5})
            for (int const hidden : {0, 1, 7, 16, 72})
                cases.push_back({row, tokens * hidden, false, 0, sets, tokens});
        return cases;
    }
    for (std::int64_t const count : {0, 1, 3, 17, 1023, 64, 2})
        for (bool const in_place : {false, true})
            cases.push_back({row, count, in_place, ranks / 2, sets});
    return cases;
}

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
        for (auto const& c : cases_of(row, n)) {
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
