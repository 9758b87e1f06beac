#include "sim/study/plan_space.hpp"

#include "sim/base/error.hpp"
#include "tests/support/plan_case.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <tuple>

namespace nvl72 {
namespace {

TEST(LayoutCuts, AreThoseThatTheLayoutsChecksTake) {
    // Llama-3.1-8B: 32 heads, 8 of keys, ffn 14336, so tp 1 .. 16 on 16 GPUs; cp of 4096 tokens; a
    // batch of 16 in dp = 16 / (tp cp pp).
    auto const library = support::shipped_library();
    auto const job = support::job_of({.gpus = 16, .batch = 16}, library);
    std::set<std::tuple<int, int, int>> cuts;
    for (auto const& cut : layout_cuts(job)) cuts.emplace(cut.tp, cut.cp, cut.pp);
    std::size_t expected = 0;
    for (int tp = 1; tp <= 16; ++tp) {
        for (int cp = 1; cp <= 16; ++cp) {
            for (int pp = 1; pp <= 16; ++pp) {
                Layout layout;
                layout.tp = tp;
                layout.cp = cp;
                layout.pp = pp;
                bool taken = true;
                try {
                    check_layout(layout, 16, job.point.model, 16, 4096);
                } catch (ConfigError const&) {
                    taken = false;
                }
                expected += taken ? 1 : 0;
                EXPECT_EQ(taken, cuts.contains({tp, cp, pp})) << tp << " " << cp << " " << pp;
            }
        }
    }
    EXPECT_EQ(cuts.size(), expected);
}

TEST(FixedAxes, KeepTheSearchToTheirValues) {
    auto const fixed = parse_fixed({"tp=2,4", "recompute=full", "ends=even"});
    ASSERT_EQ(fixed.size(), 3U);
    EXPECT_EQ(fixed[0].second, (std::vector<std::int64_t>{2, 4}));
    EXPECT_EQ(axis_word(fixed[1].first, fixed[1].second.front()), "full");
    auto const library = support::shipped_library();
    auto const job = support::job_of({.fixed = {"tp=2"}}, library);
    for (auto const& cut : layout_cuts(job)) EXPECT_EQ(cut.tp, 2);
}

TEST(FixedAxes, NameTheNearestKeyAndTheWordsOfAnAxis) {
    auto const says = [](std::string const& word) -> std::string {
        try {
            parse_fixed({word});
        } catch (ConfigError const& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_NE(says("tpp=2").find("did you mean tp?"), std::string::npos);
    EXPECT_NE(says("recompute=most").find("none | some | selective | full"), std::string::npos);
    EXPECT_NE(says("tp=two").find("whole numbers"), std::string::npos);
    EXPECT_NE(says("tp").find("KEY=VALUE"), std::string::npos);
}

TEST(RecipeVariants, BeginWithTheRecipeItself) {
    auto const library = support::shipped_library();
    for (char const* recipe : {"megatron-bridge-26.06", "nemo-mlperf", "torchtitan"}) {
        auto const job = support::job_of({.recipe = recipe}, library);
        ASSERT_FALSE(job.recipes.empty());
        EXPECT_TRUE(job.recipes.front().switches.empty());
        for (std::size_t i = 1; i < job.recipes.size(); ++i)
            EXPECT_FALSE(job.recipes[i].switches.empty()) << recipe << " " << i;
    }
}

TEST(LayoutPoint, ComesBackFromTheLayoutItWrites) {
    auto const library = support::shipped_library();
    auto const job = support::job_of({.gpus = 16, .batch = 32}, library);
    LayoutPoint point;
    point.tp = 2;
    point.pp = 4;
    point.vp = 3;
    point.schedule = static_cast<std::uint8_t>(&default_schedule(3) - pipeline_schedules.data());
    for (auto const ends : {LayoutEnds::uneven, LayoutEnds::loss_apart, LayoutEnds::ends_apart}) {
        point.ends = ends;
        EXPECT_EQ(point_of(job, parallel_of(job, point), layout_of(point)), point);
    }
}

}  // namespace
}  // namespace nvl72
