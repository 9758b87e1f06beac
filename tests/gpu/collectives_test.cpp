#include "kernels/launch/ranks.hpp"
#include "tests/support/collective_reference.hpp"

#include <gtest/gtest.h>

namespace nvl72::kernels {
namespace {

constexpr std::int64_t elements_max = 1 << 20;
constexpr int sets = 2;

struct Place {
    Where where;
    int ranks;
};

/// Every row of the table on the GPUs that are here, with the bodies that tests/kernels runs on threads.
class EveryRowOnGpus : public testing::TestWithParam<std::tuple<std::size_t, Place>> {};

TEST_P(EveryRowOnGpus, GivesTheSerialResult) {
    auto const& [row, place] = GetParam();
    if (auto const why = why_not(place.where); !why.empty()) GTEST_SKIP() << why;
    for (int const channels : {1, 3}) {
        std::unique_ptr<Ranks> ranks;
        try {
            ranks = make_ranks({.where = place.where, .ranks = place.ranks,
                                .bytes_max = elements_max * element_bytes, .sets = sets,
                                .channels = channels, .slots = 2, .slot_bytes = 1024});
        } catch (RanksError const& error) {   // fewer GPUs than ranks, or no way between them
            GTEST_SKIP() << error.what();
        }
        if (std::string reason; !ranks->runs(row, &reason)) GTEST_SKIP() << reason;
        auto cases = reference::cases_of(row, place.ranks, sets);
        auto const op = collectives()[row].op;
        bool const moe = op == Op::moe_dispatch || op == Op::moe_combine;
        if (!moe) cases.push_back({row, 100'003, false, 0, sets});
        for (auto const& c : cases) {
            ASSERT_EQ(reference::difference<float>(*ranks, c, sets, elements_max), "");
            ASSERT_EQ(reference::difference<std::int32_t>(*ranks, c, sets, elements_max), "");
        }
    }
}

std::string name_of_test(testing::TestParamInfo<std::tuple<std::size_t, Place>> const& info) {
    auto const& [row, place] = info.param;
    auto const& c = collectives()[row];
    return std::string(c.name) + "_" + std::string(name_of(c.protocol)) +
           (place.where == Where::gpus ? "_gpus_" : "_ranks_") + std::to_string(place.ranks);
}

INSTANTIATE_TEST_SUITE_P(
    Table, EveryRowOnGpus,
    testing::Combine(testing::Range(std::size_t{0}, collectives().size()),
                     testing::Values(Place{Where::one_gpu, 1}, Place{Where::one_gpu, 2},
                                     Place{Where::one_gpu, 5}, Place{Where::one_gpu, 8},
                                     Place{Where::gpus, 2}, Place{Where::gpus, 4},
                                     Place{Where::gpus, 8})),
    name_of_test);

TEST(OneGpu, RefusesMoreBlocksThanRunTogether) {
    if (auto const why = why_not(Where::one_gpu); !why.empty()) GTEST_SKIP() << why;
    auto const ranks = make_ranks({.where = Where::one_gpu, .ranks = 8, .channels = 500,
                                   .slots = 2, .slot_bytes = 128});
    try {
        ranks->run({.row = 0, .count = 1});
        FAIL() << "4000 blocks ran together";
    } catch (RanksError const& error) {
        EXPECT_NE(std::string(error.what()).find("4000 blocks cannot run together"),
                  std::string::npos)
            << error.what();
    }
}

}  // namespace
}  // namespace nvl72::kernels
