#include "kernels/launch/ranks.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

namespace nvl72::kernels {
namespace {

/// What is said in refusal of f(), or "" when it is not refused.
template <class F>
std::string refusal(F f) {
    try {
        f();
    } catch (RanksError const& error) {
        return error.what();
    }
    return "";
}

std::size_t row_of(std::string_view name, Protocol protocol) {
    for (std::size_t row = 0; row < collectives().size(); ++row)
        if (collectives()[row].name == name && collectives()[row].protocol == protocol) return row;
    return collectives().size();
}

TEST(Ranks, NamesWhatIsWrongWithASpec) {
    EXPECT_EQ(refusal([] { make_ranks({.ranks = 17}); }), "17 ranks (expected 1 to 16)");
    EXPECT_EQ(refusal([] { make_ranks({.ranks = 0}); }), "0 ranks (expected 1 to 16)");
    EXPECT_EQ(refusal([] { make_ranks({.slots = 1}); }),
              "1 slot (expected 2 or more: a ring would wait for itself)");
    EXPECT_EQ(refusal([] { make_ranks({.slot_bytes = 100}); }),
              "slots of 100 bytes (expected a multiple of 128)");
}

TEST(Ranks, RefusesAJobThatDoesNotFit) {
    auto const ranks = make_ranks({.ranks = 2, .bytes_max = 128});
    auto const ring = row_of("ring_all_reduce", Protocol::bulk);
    auto run = [&](Job const& job) { return refusal([&] { ranks->run(job); }); };
    EXPECT_EQ(run({.row = ring, .count = 32}), "");
    EXPECT_EQ(run({.row = ring, .count = 33}),
              "ring_all_reduce: 33 elements do not fit buffers of 128 bytes");
    // All-to-all holds a part for each rank: 2 x 17 elements of 4 bytes are 136 bytes.
    EXPECT_EQ(run({.row = row_of("alltoall", Protocol::bulk), .count = 17}),
              "alltoall: 17 elements do not fit buffers of 128 bytes");
    EXPECT_EQ(run({.row = ring, .count = 1, .root = 2}),
              "ring_all_reduce: root 2 is none of 2 ranks");
    EXPECT_EQ(run({.row = ring, .count = 1, .iterations = 0}),
              "ring_all_reduce: no iterations (expected 1 or more)");
    EXPECT_EQ(run({.row = row_of("nvls_all_reduce", Protocol::multicast), .count = 1}),
              "nvls_all_reduce: host memory has no multicast");
    EXPECT_EQ(run({.row = row_of("moe_dispatch", Protocol::bulk), .count = 1}),
              "moe_dispatch: no routing yet (call route first)");
}

TEST(Ranks, RefusesAnExpertThatIsNotThere) {
    auto const ranks = make_ranks({.ranks = 2});
    MoeRouting routing{.tokens = 1, .top_k = 1, .experts_total = 4, .experts = {{0}, {4}}};
    EXPECT_EQ(refusal([&] { ranks->route(routing); }), "routing to expert 4 of 4");
    routing.experts = {{0}};
    EXPECT_EQ(refusal([&] { ranks->route(routing); }),
              "routing of another shape (expected [ranks][tokens * top_k] experts)");
}

TEST(Ranks, TimesEveryIterationAndTheirSum) {
    auto const ranks = make_ranks({.ranks = 2, .bytes_max = 4096});
    auto const timing = ranks->run(
        {.row = row_of("ring_all_reduce", Protocol::bulk), .count = 1024, .iterations = 20});
    ASSERT_EQ(timing.iteration_s.size(), 20U);
    EXPECT_NEAR(std::accumulate(timing.iteration_s.begin(), timing.iteration_s.end(), 0.0),
                timing.block_s, 1e-12);
    EXPECT_GT(timing.block_s, 0);
    EXPECT_LT(timing.block_s, 10);
}

TEST(Ranks, SayWhyThereAreNoGpus) {
    for (auto const where : {Where::one_gpu, Where::gpus}) {
        auto const why = why_not(where);
        if (why.empty()) continue;
        EXPECT_EQ(refusal([&] { make_ranks({.where = where, .ranks = 2}); }), why);
        EXPECT_EQ(why.find('\n'), std::string::npos) << why;
    }
    EXPECT_EQ(why_not(Where::host), "");
}

TEST(Routing, SendsATokenOnceToARankOfSeveralOfItsExperts) {
    // 2 ranks of 2 experts: token 0 goes to 0 and 1, both of rank 0; token 1 to one of each.
    MoeRouting const routing{
        .tokens = 2, .top_k = 2, .experts_total = 4, .experts = {{0, 1, 3, 0}, {2, 3, 2, 3}}};
    EXPECT_EQ(rows_sent(routing, 0), (std::vector<std::int64_t>{2, 1}));
    EXPECT_EQ(rows_sent(routing, 1), (std::vector<std::int64_t>{0, 2}));
}

TEST(Routing, DrawsDifferentExpertsForEachToken) {
    auto const routing = even_routing(4, 50, 8, 32, 7);
    for (auto const& experts : routing.experts) {
        ASSERT_EQ(experts.size(), 400U);
        for (auto token = experts.begin(); token != experts.end(); token += 8)
            EXPECT_EQ(std::set(token, token + 8).size(), 8U);
    }
    EXPECT_EQ(routing.experts, even_routing(4, 50, 8, 32, 7).experts);
    EXPECT_NE(routing.experts, even_routing(4, 50, 8, 32, 8).experts);
    // Chance that none of 8 of 32 experts is one of a rank's 8: 24 choose 8 / 32 choose 8 = 0.070.
    std::int64_t rows = 0;
    for (int rank = 0; rank < 4; ++rank)
        for (auto const sent : rows_sent(routing, rank)) rows += sent;
    EXPECT_NEAR(static_cast<double>(rows) / (4 * 50 * 4), 1 - 0.070, 0.03);
}

TEST(Counts, AreNcclsOfTheFullBuffer) {
    EXPECT_EQ(count_of(Op::all_reduce, 1024, 8), 256);
    EXPECT_EQ(count_of(Op::all_gather, 1024, 8), 32);  // of each rank
    EXPECT_EQ(count_of(Op::alltoall, 1000, 8), 31);    // 250 elements in 8 parts
    EXPECT_EQ(receive_elements(Op::all_gather, 32, 8), 256);
    EXPECT_EQ(send_elements(Op::reduce_scatter, 32, 8), 256);
}

}  // namespace
}  // namespace nvl72::kernels
