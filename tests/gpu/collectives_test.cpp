#include "kernels/launch/ranks.hpp"
#include "tests/support/collective_reference.hpp"

#include <gtest/gtest.h>

#include <iostream>

namespace nvl72::kernels {
namespace {

constexpr std::int64_t elements_max = 1 << 20;
constexpr int sets = 2;

struct Place {
    Where where;
    int ranks;
    int channels;
};

/// Every row of the table on the GPUs that are here, with the bodies that tests/kernels runs on
/// threads.
class EveryRowOnGpus : public testing::TestWithParam<Place> {};

TEST_P(EveryRowOnGpus, GivesTheSerialResult) {
    auto const& place = GetParam();
    if (auto const why = why_not(place.where); !why.empty()) GTEST_SKIP() << why;
    std::unique_ptr<Ranks> ranks;
    try {
        ranks = make_ranks({.where = place.where,
                            .ranks = place.ranks,
                            .bytes_max = elements_max * element_bytes,
                            .sets = sets,
                            .channels = place.channels,
                            .slots = 2,
                            .slot_bytes = 1024});
    } catch (RanksError const& error) {  // fewer GPUs than ranks, or no way between them
        GTEST_SKIP() << error.what();
    }
    for (std::size_t row = 0; row < collectives().size(); ++row) {
        if (std::string reason; !ranks->runs(row, &reason)) {
            std::cout << collectives()[row].name << ": " << reason << '\n';
            continue;
        }
        auto cases = reference::cases_of(row, place.ranks, sets);
        auto const op = collectives()[row].op;
        if (op != Op::moe_dispatch && op != Op::moe_combine)  // many messages too
            cases.push_back({row, 100'003, false, 0, sets});
        for (auto const& c : cases) {
            EXPECT_EQ(reference::difference<float>(*ranks, c, sets, elements_max), "");
            EXPECT_EQ(reference::difference<std::int32_t>(*ranks, c, sets, elements_max), "");
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Places,
                         EveryRowOnGpus,
                         testing::Values(Place{Where::one_gpu, 1, 1},
                                         Place{Where::one_gpu, 2, 3},
                                         Place{Where::one_gpu, 5, 1},
                                         Place{Where::one_gpu, 8, 3},
                                         Place{Where::gpus, 2, 3},
                                         Place{Where::gpus, 4, 1},
                                         Place{Where::gpus, 8, 3}),
                         [](auto const& info) {
                             return std::to_string(info.param.ranks) +
                                    (info.param.where == Where::gpus ? "_gpus" : "_ranks_on_a_gpu");
                         });

TEST(OneGpu, RefusesMoreBlocksThanRunTogether) {
    if (auto const why = why_not(Where::one_gpu); !why.empty()) GTEST_SKIP() << why;
    auto const ranks = make_ranks(
        {.where = Where::one_gpu, .ranks = 8, .channels = 500, .slots = 2, .slot_bytes = 128});
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
