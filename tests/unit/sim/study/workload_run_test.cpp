#include "sim/study/workload_run.hpp"

#include "sim/base/error.hpp"
#include "sim/study/workload_stages.hpp"
#include "tests/support/small_experiment.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

constexpr char const* text = R"(title: a factory
question: who waits?
workload:
  pools: [{name: writers, gpus: 4}, {name: trainer, gpus: 4}, {name: cpus, cores: 64}]
  links: [{name: texts, capacity: 4000}, {name: kept, capacity: 4e6}]
  phases:
    write: {kind: generate, on: writers, model: llama-3.1-8b, engine: generic, precision: fp8, layout: {tp: 1}, input: 500, output: 400, clients: 64, batch: 400, gives: [{link: texts, real: 0}]}
    check: {kind: cpu_exec, on: cpus, median: 0.2 s, batch: 400, takes: [{link: texts}], gives: [{link: kept, each: 200}]}
    train: {kind: train_loop, on: trainer, flops_per_item: 48e9, takes: [{link: kept}], batch: 40000, total: 2e6}
systems:
  - {name: h100, cluster: {name: hgx-h100-superpod, gpus: 8}}
)";

WorkloadResult run_of(std::vector<std::string> const& overrides = {}, int threads = 1) {
    support::TemporaryFile const file(text, ".yaml");
    RunOptions options;
    options.threads = threads;
    return run_workload_experiment(load_workload_experiment(file.path(), overrides),
                                   support::shipped_library(), options);
}

std::string refusal(std::vector<std::string> const& overrides) {
    try {
        run_of(overrides);
    } catch (ConfigError const& error) {
        return error.what();
    }
    return "";
}

TEST(WorkloadRun, RunsAFactoryBeforeATrainer) {
    auto const result = run_of();
    ASSERT_EQ(result.phases.size(), 3U);
    auto const& train = result.phases[2];
    EXPECT_NEAR(train.items, 2e6, 1e-3);
    // 48 GFLOP an item over 4 x 989.4 TFLOP/s at 40 %.
    EXPECT_NEAR(train.busy_share * result.rows[0].span_s, 2e6 * 48e9 / (4 * 989.4e12 * 0.4), 1);
    EXPECT_EQ(train.real_share, 0);
    EXPECT_GT(result.rows[0].energy_j, 0);
    EXPECT_NEAR(result.rows[0].energy_j, result.rows[0].cluster_w * result.rows[0].span_s,
                1e-6 * result.rows[0].energy_j);
    ASSERT_EQ(result.answer.size(), 1U);
    EXPECT_NE(result.answer[0].find("train idle"), std::string::npos);
}

TEST(WorkloadRun, IsTheSameForAnyNumberOfThreads) {
    std::vector<std::string> const sweep{"sweep={workload.phases.write.batch: [100, 200, 400]}"};
    EXPECT_EQ(run_of(sweep, 1).file.digest(), run_of(sweep, 3).file.digest());
    EXPECT_NE(run_of(sweep).file.find("swept"), nullptr);
}

TEST(WorkloadRun, TellsInOneLineWhatDoesNotAgree) {
    EXPECT_NE(refusal({"workload.phases.write.kind=generat"}).find("did you mean generate?"),
              std::string::npos);
    EXPECT_NE(refusal({"workload.phases.write.on=cpus"}).find("a pool of gpus"), std::string::npos);
    EXPECT_NE(refusal({"workload.phases.write.outptu=3"}).find("unknown key, did you mean output"),
              std::string::npos);
    EXPECT_NE(refusal({"workload.phases.train.takes.0.link=ketp"}).find("unknown link 'ketp'"),
              std::string::npos);
    EXPECT_NE(refusal({"systems.0.cluster.gpus=4"}).find("as the pools have"), std::string::npos);
    EXPECT_NE(refusal({"workload.phases.train.total=0"}).find("a span, or a phase with a total"),
              std::string::npos);
}

TEST(PhaseKinds, HaveNamesAndSummaries) {
    EXPECT_GE(phase_kinds().size(), 9U);
    for (auto const& kind : phase_kinds()) {
        EXPECT_FALSE(kind.summary.empty());
        EXPECT_EQ(phase_kind({std::string(kind.name), {}, ""}).name, kind.name);
    }
}

}  // namespace
}  // namespace nvl72
