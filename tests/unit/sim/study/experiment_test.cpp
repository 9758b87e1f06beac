#include "sim/study/experiment.hpp"

#include "sim/base/error.hpp"
#include "sim/study/point.hpp"
#include "tests/support/small_experiment.hpp"

#include <filesystem>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

using support::experiment_of;
using support::small_experiment;

std::string small_text() { return std::string(support::small_experiment_text); }

/// The one line that refuses `text`.
std::string refusal_of(std::string const& text) {
    try {
        (void)experiment_of(text);
    } catch (ConfigError const& error) {
        return error.what();
    }
    return "accepted";
}

bool holds(std::string const& text, std::string const& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST(LoadExperiment, ASystemIsOnePoint) {
    auto const experiment = small_experiment();
    EXPECT_EQ(experiment.title, "a small run");
    EXPECT_EQ(experiment.seed, 1U);
    ASSERT_EQ(experiment.points.size(), 1U);
    auto const& [kind, system, tag] = experiment.points[0];
    EXPECT_EQ(kind, PointKind::system);
    EXPECT_EQ(system.name, "hgx-h100-superpod") << "no label: the cluster's name";
    EXPECT_EQ(system.layout.tp, 4);
    EXPECT_EQ(experiment.config, small_text());
}

// The product of the lists, first key slowest.
TEST(LoadExperiment, SweepsEveryCombination) {
    auto const experiment = experiment_of(
        small_text() + "sweep: {cluster.gpus: [16, 32], global_batch: [16, 32, 64]}\n");
    std::vector<std::pair<std::int64_t, std::int64_t>> drawn;
    for (Point const& point : experiment.points) {
        EXPECT_EQ(point.kind, PointKind::sweep);
        EXPECT_EQ(point.system.layout.pp, 2) << "what is not swept stays";
        drawn.emplace_back(point.system.cluster.gpus, point.system.global_batch.value);
    }
    std::vector<std::pair<std::int64_t, std::int64_t>> const wanted{{16, 16}, {16, 32}, {16, 64},
                                                                    {32, 16}, {32, 32}, {32, 64}};
    EXPECT_EQ(drawn, wanted);
}

TEST(LoadExperiment, ASystemMayNameItsFabric) {
    auto const library = support::shipped_library();
    auto const network_of = [&](std::string const& text) {
        return load_point(experiment_of(text).points.at(0), library, {})
            .profile.collectives->network;
    };
    EXPECT_EQ(network_of(small_text()).fabric, "infiniband");  // as the cluster's network
    auto const named = network_of(small_text() + "fabric: tcpxo\n");
    EXPECT_EQ(named.fabric, "tcpxo");
    EXPECT_FALSE(named.nvls);
    EXPECT_TRUE(holds(refusal_of(small_text() + "fabrik: tcpxo\n"), "fabrik"));
    EXPECT_THROW(network_of(small_text() + "fabric: tcpxp\n"), ConfigError);
    support::TemporaryFile const own(
        "title: mine\ncalibrated: {value: false, source: \"assumed: mine\"}\n", ".yaml");
    EXPECT_EQ(network_of(small_text() + "fabric: " + own.path() + "\n").fabric,
              std::filesystem::path(own.path()).stem().string());
}

TEST(LoadExperiment, ASystemInheritsWhatItLeavesOut) {
    auto const experiment = experiment_of(small_text() + R"(  - name: other
    cluster: {name: gb200-nvl72, gpus: 8}
    model: llama-3.1-70b
    precision: fp8
    global_batch: 24
    layout: {tp: 8}
)");
    ASSERT_EQ(experiment.points.size(), 2U);
    auto const& other = experiment.points[1].system;
    EXPECT_EQ(other.name, "other");
    EXPECT_EQ(other.model.value, "llama-3.1-70b");
    EXPECT_EQ(other.precision.value, "fp8");
    EXPECT_EQ(other.global_batch.value, 24);
    EXPECT_EQ(other.sequence_length.value, 2048) << "inherited";
    EXPECT_EQ(other.recipe.value, "megatron-bridge-26.06") << "inherited";
    EXPECT_EQ(other.layout.pp, 1) << "a layout of its own is whole: nothing of the first system";
    EXPECT_EQ(experiment.points[0].system.global_batch.value, 16) << "and the other way";
}

TEST(LoadExperiment, InheritsALayoutToo) {
    auto const experiment = experiment_of(R"(title: t
question: q
model: llama-3.1-8b
recipe: megatron-bridge-26.06
precision: bf16
sequence_length: 2048
global_batch: 16
layout: {tp: 8, pp: 2}
systems:
  - cluster: {name: hgx-h100-superpod, gpus: 16}
)");
    EXPECT_EQ(experiment.points.at(0).system.layout.tp, 8);
}

// A measured run differs from its system in what it sets, and the sweep does not touch it.
TEST(LoadExperiment, AMeasuredRunHasItsOwnSettings) {
    auto const experiment = experiment_of(small_text() + R"(    measured:
      - set: {cluster.gpus: 32, global_batch: 48, layout.vp: 1}
        published: {step: {value: 2.5 s, source: "measured: a log"}, step_p10: 2.4 s, step_p90: 2.7 s}
sweep: {global_batch: [16, 64]}
)");
    ASSERT_EQ(experiment.points.size(), 3U);
    EXPECT_EQ(experiment.points[0].system.global_batch.value, 16);
    EXPECT_EQ(experiment.points[1].system.global_batch.value, 64);
    EXPECT_FALSE(experiment.points[0].system.published.step);
    auto const& [kind, measured, tag] = experiment.points[2];
    EXPECT_EQ(kind, PointKind::measured);
    EXPECT_EQ(measured.cluster.gpus, 32);
    EXPECT_EQ(measured.global_batch.value, 48);
    EXPECT_EQ(measured.layout.vp, 1);
    EXPECT_EQ(measured.layout.tp, 4) << "what it does not set is the system's";
    ASSERT_TRUE(measured.published.step);
    EXPECT_EQ(measured.published.step->value, from_seconds(2.5));
    EXPECT_EQ(measured.published.step->source, "measured: a log");
}

TEST(LoadExperiment, OverridesTheFileAndKeepsThatInItsText) {
    auto const experiment = small_experiment({"systems.0.cluster.gpus=32", "global_batch=48"});
    EXPECT_EQ(experiment.points.at(0).system.cluster.gpus, 32);
    EXPECT_EQ(experiment.points.at(0).system.global_batch.value, 48);
    EXPECT_EQ(
        experiment.config,
        small_text() + "\n# override: systems.0.cluster.gpus=32\n# override: global_batch=48");
}

TEST(LoadExperiment, NamesTheLineAndKeyOfAMistake) {
    std::string text = refusal_of(small_text() + "sweep: {global_batch: 16}\n");
    EXPECT_TRUE(holds(text, ".yaml:11: sweep.global_batch")) << text;
    EXPECT_TRUE(holds(text, "a list such as [256, 512]")) << text;
    text = refusal_of(small_text() + "sweep: {global_batch: []}\n");
    EXPECT_TRUE(holds(text, "no values")) << text;
    text = refusal_of(small_text() + "sweeps: {global_batch: [16]}\n");
    EXPECT_TRUE(holds(text, "did you mean sweep")) << text;
    text = refusal_of(small_text() + "    global_batch: 0\n");
    EXPECT_TRUE(holds(text, ".yaml:11: systems[0].global_batch: 0 (expected 1 to 1000000000)"))
        << text;
    text = refusal_of(small_text() + "    sequence_length: 0\n");
    EXPECT_TRUE(holds(text, "systems[0].sequence_length: 0 (expected 1 to 1000000000)")) << text;
    text = refusal_of(small_text() + "seed: -1\n");
    EXPECT_TRUE(holds(text, ".yaml:11: seed: -1 (expected 0 or more)")) << text;
    text = refusal_of("title: t\nquestion: q\nsystems: []\n");
    EXPECT_TRUE(holds(text, ".yaml:3: systems: no systems")) << text;
    text = refusal_of(small_text() + "    measured: 3\n");
    EXPECT_TRUE(holds(text, "a list of {set, published}")) << text;
}

}  // namespace nvl72
