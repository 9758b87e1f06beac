#include "sim/study/serving_run.hpp"

#include "sim/base/error.hpp"
#include "sim/study/serving_answer.hpp"
#include "sim/study/serving_point.hpp"
#include "tests/support/small_experiment.hpp"

#include <cmath>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

constexpr char const* text = R"(title: two
question: which?
serving:
  model: llama-3.1-8b
  engine: generic
  precision: fp8
  requests: {clients: 8, input: 500, output: 100}
  slo: {ttft: 100 ms}
systems:
  - {name: one, cluster: {name: hgx-h100, gpus: 2}, serving: {layout: {tp: 1}}}
  - {name: two, cluster: {name: gb200-nvl72, gpus: 2}, serving: {layout: {tp: 2}}}
)";

ServingResult run_of(std::string const& config,
                     std::vector<std::string> const& overrides = {},
                     int threads = 1,
                     bool quick = false) {
    support::TemporaryFile const file(config, ".yaml");
    RunOptions options;
    options.threads = threads;
    return run_serving_experiment(load_serving_experiment(file.path(), overrides, quick),
                                  support::shipped_library(), options);
}

std::string refusal(std::string const& config, std::vector<std::string> const& overrides = {}) {
    try {
        run_of(config, overrides);
    } catch (ConfigError const& error) {
        return error.what();
    }
    return "";
}

TEST(ServingRun, GivesEverySystemWhatTheExperimentSaysAndItsOwn) {
    auto const result = run_of(text);
    ASSERT_EQ(result.rows.size(), 2U);
    EXPECT_EQ(result.rows[0].replicas, 2);
    EXPECT_EQ(result.rows[1].replicas, 1);
    EXPECT_EQ(result.rows[1].tp, 2);
    EXPECT_EQ(result.rows[0].requests, 80);
    ASSERT_EQ(result.answer.size() >= 1, true);
    EXPECT_TRUE(result.answer[0].starts_with("ratio: two gives ")) << result.answer[0];
}

TEST(ServingRun, ConservesTokensAndTime) {
    auto const result = run_of(text);
    for (auto const& row : result.rows) {
        // 80 requests of 100 tokens each, over the span and the GPUs.
        EXPECT_NEAR(row.tokens_per_s * row.span_s, 8000, 1e-6);
        EXPECT_NEAR(row.tokens_per_s_per_gpu * 2, row.tokens_per_s, 1e-9);
        EXPECT_NEAR(row.prompt_share + row.decode_share + row.idle_share, 1, 1e-9);
        EXPECT_NEAR(row.energy_per_token_j * row.tokens_per_s, row.cluster_w, 1e-6 * row.cluster_w);
        EXPECT_LT(row.tpot_low_s, row.tpot_s);
    }
    auto const* requests = result.file.find("requests");
    ASSERT_NE(requests, nullptr);
    EXPECT_EQ(requests->columns.front().rows(), 160U);
}

TEST(ServingRun, IsTheSameForAnyNumberOfThreads) {
    std::vector<std::string> const sweep{"sweep={serving.requests.clients: [1, 4, 16]}"};
    EXPECT_EQ(run_of(text, sweep, 1).file.digest(), run_of(text, sweep, 3).file.digest());
}

TEST(ServingRun, MarksThePointsThatNoneBeatsBothWays) {
    auto const result = run_of(text, {"sweep={serving.requests.clients: [1, 4, 16]}"});
    ASSERT_EQ(result.rows.size(), 6U);
    // More clients: more per GPU, less per user; all are on the front.
    for (auto const& row : result.rows) EXPECT_EQ(row.best, 1) << row.system;
    EXPECT_GT(speed_table(result.rows).rows(), 0U);
    EXPECT_EQ(result.file.find("requests"), nullptr);  // sweeps keep quantiles
    EXPECT_NE(result.file.find("latencies"), nullptr);
}

TEST(ServingRun, LeavesOutPointsOfASweepThatDoNotFit) {
    auto const result = run_of(text, {"serving.model=llama-3.1-70b", "systems.0.cluster.gpus=4",
                                      "systems.1.cluster.gpus=4", "serving.precision=bf16",
                                      "sweep={serving.layout.tp: [1, 4]}"});
    ASSERT_EQ(result.rows.size(), 3U);  // 141 GB of weights fit one GB200, not one H100
    EXPECT_NE(result.notes[0].find("left out"), std::string::npos);
}

TEST(ServingRun, RefusesWhatDoesNotAgreeInOneLine) {
    EXPECT_NE(refusal(text, {"systems.0.serving.layout.tp=4"}).find("a multiple of the 4"),
              std::string::npos);
    EXPECT_NE(refusal(text, {"serving.requests.rate=3"}).find("one of clients, rate and trace"),
              std::string::npos);
    EXPECT_NE(refusal(text, {"serving.precision=fp7"}).find("(expected"), std::string::npos);
    EXPECT_NE(refusal(text, {"serving.slots=x"}).find("a whole number"), std::string::npos);
}

TEST(ServingRun, SetsWhatQuickSays) {
    std::string const quick = std::string(text) + "quick: {serving.requests.count: 8}\n";
    EXPECT_EQ(run_of(quick, {}, 1, true).rows[0].requests, 8);
    EXPECT_EQ(run_of(quick).rows[0].requests, 80);
    // Of sweeps it leaves the ends.
    EXPECT_EQ(run_of(text, {"sweep={serving.requests.clients: [1, 2, 4]}"}, 1, true).rows.size(),
              4U);
}

TEST(ServingRun, StandsMeasuredRunsBesideTheirPredictions) {
    auto const result = run_of(text, {"systems.1.measured=[{set: {serving.requests.clients: 1}, "
                                      "published: {ttft: 40 ms, tpot: 5 ms}}]"});
    ASSERT_EQ(result.rows.size(), 3U);
    EXPECT_EQ(result.rows[2].kind, "measured");
    EXPECT_DOUBLE_EQ(result.rows[2].published_tpot_s, 0.005);
    EXPECT_TRUE(std::isnan(result.rows[1].published_tpot_s));
}

}  // namespace
}  // namespace nvl72
