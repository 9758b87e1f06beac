#include "sim/study/plan_search.hpp"
#include "tests/support/plan_case.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <optional>
#include <random>

namespace nvl72 {
namespace {

using support::PlanCase;

/// Small jobs whose layouts can all be simulated: dense and with experts, boxes and racks, every
/// schedule, with and without FSDP, CP and recomputation.
std::vector<PlanCase> small_cases() {
    return {
        {.gpus = 8,
         .batch = 16,
         .fixed = {"ends=even,loss_apart", "vp=1,2", "zero=1", "micro_batch=1,2",
                   "cp_comm_type=p2p"}},
        {.model = "qwen3-30b-a3b",
         .cluster = "gb200-nvl72",
         .gpus = 8,
         .batch = 16,
         .precision = "mxfp8",
         .fixed = {"ends=even", "vp=1,2", "zero=1", "micro_batch=1", "cp=1",
                   "recompute=none,full"}},
        {.model = "llama-3.2-3b",
         .cluster = "hgx-h200-superpod",
         .gpus = 16,
         .batch = 32,
         .sequence = 8192,
         .precision = "fp8",
         .fixed = {"ends=even,as_layers", "vp=1,2", "zero=0,1", "micro_batch=1", "recompute=none"}},
    };
}

TEST(PlanSearch, FindsWhatSimulatingEveryLayoutFinds) {
    auto const library = support::shipped_library();
    for (auto const& one : small_cases()) {
        SCOPED_TRACE(one.model);
        auto const job = support::job_of(one, library);
        PlanSearch search(job, 2);
        ASSERT_GT(search.layouts().size(), 50U);
        ASSERT_LT(search.layouts().size(), 1500U);
        std::optional<TriedLayout> fastest;
        for (auto const& layout : search.layouts()) {
            TriedLayout const tried = search.simulate(layout);
            if (!fastest || tried.step < fastest->step) fastest = tried;
        }
        auto const found = search.best();
        ASSERT_TRUE(found);
        EXPECT_EQ(found->step, fastest->step);
        EXPECT_LT(search.counts().simulated, static_cast<std::int64_t>(search.layouts().size()));
    }
}

/// A few of all layouts of larger jobs, drawn with a seed.
TEST(PlanSearch, NeverBoundsAStepAboveItsSimulation) {
    auto const library = support::shipped_library();
    std::vector<PlanCase> const cases{
        {.gpus = 32, .batch = 64, .fixed = {"vp=1,2,4"}, .scope = PlanScope::software},
        {.model = "mixtral-8x7b", .gpus = 64, .batch = 128, .fixed = {"vp=1,2", "micro_batch=1,2"}},
        {.model = "deepseek-v2-lite",
         .cluster = "gb200-nvl72-superpod",
         .gpus = 144,
         .batch = 144,
         .precision = "mxfp8"},
        {.model = "gemma-2b",
         .cluster = "hgx-h100-superpod",
         .gpus = 16,
         .batch = 48,
         .recipe = "torchtitan-eager"},
    };
    std::mt19937_64 random(7);
    for (auto const& one : cases) {
        SCOPED_TRACE(one.model);
        auto const job = support::job_of(one, library);
        PlanSearch search(job, 2);
        LayoutBounder walker(job);
        auto const& all = search.layouts();
        ASSERT_GT(all.size(), 100U);
        for (int i = 0; i < 25; ++i) {
            BoundedLayout const& drawn = all[random() % all.size()];
            SCOPED_TRACE(layout_words(job, drawn.layout));
            Picoseconds const walked = walker.walk(drawn.layout);
            TriedLayout const tried = search.simulate(drawn);
            EXPECT_LE(drawn.bound, walked);
            EXPECT_LE(walked, tried.step);
            // Nothing but shared links, and what outlasts a turn, lies between.
            EXPECT_GT(to_seconds(walked), 0.5 * to_seconds(tried.step));
        }
    }
}

TEST(PlanSearch, CountsMemoryAsTheSimulationDoes) {
    auto const library = support::shipped_library();
    std::mt19937_64 random(11);
    for (auto const& one :
         {PlanCase{.gpus = 16, .batch = 32, .fixed = {"vp=1,3"}, .scope = PlanScope::software},
          PlanCase{.model = "deepseek-v2-lite",
                   .gpus = 16,
                   .batch = 32,
                   .fixed = {"vp=1,2", "micro_batch=1,2"}}}) {
        auto const job = support::job_of(one, library);
        PlanSearch const search(job, 2);
        auto const& all = search.layouts();
        for (int i = 0; i < 100; ++i) {
            BoundedLayout const& drawn = all[random() % all.size()];
            SCOPED_TRACE(layout_words(job, drawn.layout));
            auto const policy =
                memory_policy(job.recipes.at(drawn.layout.recipe).recipe, job.point.precision);
            Memory const worst =
                worst_memory(parallel_of(job, drawn.layout), job.point.model, policy);
            EXPECT_LE(std::abs((worst.total() - drawn.memory).count), 2);
        }
    }
}

TEST(PlanSearch, AnswersTheSameOnAnyNumberOfThreads) {
    auto const library = support::shipped_library();
    auto const job = support::job_of({.gpus = 8, .batch = 16, .fixed = {"ends=even"}}, library);
    PlanSearch one(job, 1), three(job, 3);
    EXPECT_EQ(one.best()->layout, three.best()->layout);
    EXPECT_EQ(one.counts().simulated, three.counts().simulated);
    EXPECT_EQ(one.counts().bounded, three.counts().bounded);
}

}  // namespace
}  // namespace nvl72
