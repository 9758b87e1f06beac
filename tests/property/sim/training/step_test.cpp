#include "sim/training/step.hpp"

#include "sim/base/error.hpp"
#include "sim/base/random.hpp"
#include "sim/study/point.hpp"
#include "tests/support/small_experiment.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace nvl72 {
namespace {

using support::shipped_library;
using support::small_experiment;

/// The small experiment's system, loaded, with some keys of it changed.
LoadedPoint small_point(std::vector<std::string> const& overrides = {}) {
    return load_point(small_experiment(overrides).points.at(0), shipped_library(), {});
}

StepResult step_of(LoadedPoint const& point) {
    return simulate_step(
        {point.model, point.parallel, point.fabric, point.profile, point.recipe, point.precision});
}

Picoseconds time_of(std::vector<std::string> const& overrides) {
    return step_of(small_point(overrides)).step;
}

/// Layouts of 16 GPUs that use every dimension somewhere.
std::vector<std::vector<std::string>> const layouts{
    {},
    {"systems.0.layout.tp=8", "systems.0.layout.vp=1"},
    {"systems.0.layout.tp=2", "systems.0.layout.cp=2"},
    {"systems.0.layout.tp=8", "systems.0.layout.pp=1", "systems.0.layout.vp=1"},
    {"systems.0.layout.tp=4", "systems.0.layout.cp=4", "systems.0.layout.pp=1",
     "systems.0.layout.vp=1", "global_batch=4"},
    {"systems.0.layout.tp=2", "systems.0.layout.pp=4", "systems.0.layout.vp=4"},
};

std::vector<std::string> with(std::vector<std::string> overrides, std::string const& more) {
    overrides.push_back(more);
    return overrides;
}

}  // namespace

TEST(WholeStep, PutsTheBytesOfItsTasksOnItsLinksAndNoneIsAboveCapacity) {
    for (auto const& layout : layouts) {
        StepResult const step = step_of(small_point(layout));
        std::vector<double> bytes(step.graph.resources().size(), 0);
        for (std::uint32_t t = 0; t < step.graph.tasks().size(); ++t) {
            for (Traffic const& traffic : step.graph.traffic(TaskId{t})) {
                bytes[traffic.resource.value] += traffic.amount;
            }
        }
        ASSERT_EQ(step.execution.carried.size(), bytes.size());
        for (std::size_t r = 0; r < bytes.size(); ++r) {
            EXPECT_NEAR(step.execution.carried[r], bytes[r], 1e-9 * bytes[r]);
        }
        ASSERT_FALSE(step.links.empty());
        double sent = 0;
        for (LinkUse const& link : step.links) {
            EXPECT_LE(link.bytes / link.capacity, to_seconds(step.step) * (1 + 1e-9)) << link.name;
            sent += link.bytes;
        }
        EXPECT_GT(sent, 0);
    }
}

TEST(WholeStep, SumsItsPartsInEveryClass) {
    for (auto const& layout : layouts) {
        StepResult const step = step_of(small_point(layout));
        ASSERT_EQ(step.by_class.size(), step.graph.classes().size());
        for (Breakdown const& part : step.by_class) {
            EXPECT_EQ(part.total(), step.step);
            EXPECT_GT(part.compute.count, 0);
            for (Picoseconds const exposed : part.exposed) EXPECT_GE(exposed.count, 0);
            EXPECT_GE(part.bubble.count, 0);
            EXPECT_EQ(part.idle.count, 0) << "a training step always waits for something";
        }
    }
}

TEST(WholeStep, IsNeverSlowerWithMoreNicBandwidth) {
    for (auto const& layout : layouts) {
        Picoseconds before{INT64_MAX};
        for (char const* rate : {"50 Gb/s", "100 Gb/s", "200 Gb/s", "400 Gb/s", "800 Gb/s"}) {
            Picoseconds const now =
                time_of(with(layout, std::string("systems.0.cluster.nic_line_rate=") + rate));
            EXPECT_LE(now, before) << rate;
            before = now;
        }
    }
}

TEST(WholeStep, IsNeverSlowerWithMoreNvlinkBandwidth) {
    for (auto const& layout : layouts) {
        Picoseconds before{INT64_MAX};
        for (char const* rate : {"5", "10", "20", "25", "50", "100"}) {
            support::TemporaryFile const cluster(
                std::string("base: hgx-h100-superpod\nnvlink: {link_bandwidth: ") + rate +
                    " GB/s}\n",
                ".yaml");
            Picoseconds const now =
                time_of(with(layout, "systems.0.cluster.name=" + cluster.path()));
            EXPECT_LE(now, before) << rate << " GB/s a link";
            before = now;
        }
    }
}

// Two layers fewer a time, one chunk a stage.
TEST(WholeStep, IsNeverSlowerWithFewerLayers) {
    for (auto const& layout : layouts) {
        LoadedPoint point = small_point(with(layout, "systems.0.layout.vp=1"));
        Picoseconds before{INT64_MAX};
        for (int layers = 32; layers > 0; layers -= 4) {
            point.model.layers = layers;
            point.parallel =
                check_layout(point.system.layout, point.fabric.gpus(), point.model,
                             point.system.global_batch.value, point.system.sequence_length.value);
            Picoseconds const now = step_of(point).step;
            EXPECT_LT(now, before) << layers << " layers";
            before = now;
        }
    }
}

// Faults of any kind are repaired one by one.
TEST(WholeStep, IsNeverSlowerWithOneFaultLess) {
    RandomStream random(31, "faults");
    for (auto const& layout : layouts) {
        LoadedPoint point = small_point(layout);
        ClusterChoice choice = point.system.cluster;
        auto const gpu = [&] { return "gpu " + std::to_string(random.below(16)); };
        for (int i = 0; i < 4; ++i) {
            std::string const link = gpu() + " link " + std::to_string(random.below(18));
            choice.faults.links.push_back({{}, link});
        }
        choice.faults.switch_chips.push_back({{}, "box 0 chip 1"});
        Picoseconds before{INT64_MAX};
        while (true) {
            point.fabric = build_fabric(choice, shipped_library());
            Picoseconds const now = step_of(point).step;
            EXPECT_LE(now, before) << choice.faults.links.size() << " links down";
            before = now;
            auto& faults = choice.faults.switch_chips.empty() ? choice.faults.links
                                                              : choice.faults.switch_chips;
            if (faults.empty()) break;
            faults.pop_back();
        }
        EXPECT_EQ(before, step_of(small_point(layout)).step) << "all repaired";
    }
}

TEST(WholeStep, HasASmallerBubbleWithMoreMicroBatches) {
    for (char const* chunks : {"1", "2"}) {
        double before = 1;
        for (int batch = 4; batch <= 128; batch *= 2) {
            StepResult const step =
                step_of(small_point({"systems.0.layout.vp=" + std::string(chunks),
                                     "global_batch=" + std::to_string(batch)}));
            double share = 0;
            for (Breakdown const& part : step.by_class) share += part.bubble / step.step;
            EXPECT_LT(share, before) << "batch " << batch;
            before = share;
        }
    }
}

TEST(WholeStep, IsNeverSlowerWithMoreOverlap) {
    for (auto const& layout : layouts) {
        LoadedPoint point = small_point(layout);
        point.recipe.overlap = {};  // everything, and no SMs taken
        Picoseconds const all = step_of(point).step;
        for (bool OverlapPolicy::* part :
             {&OverlapPolicy::tp, &OverlapPolicy::cp, &OverlapPolicy::dp, &OverlapPolicy::pp}) {
            point.recipe.overlap.*part = false;
            EXPECT_GE(step_of(point).step, all);
            point.recipe.overlap.*part = true;
        }
    }
}

// Shards of 64 GPUs lie across racks of 72 in two ways, and the quicker replicas wait for the
// others where they sum their gradients: that is no pipeline bubble, for there is no pipeline.
TEST(WholeStep, HasNoBubbleWithoutAPipeline) {
    for (auto const* fsdp : {"1", "16", "64"}) {
        StepResult const step = step_of(small_point(
            {"systems.0.cluster.name=gb200-nvl72-superpod", "systems.0.cluster.gpus=128",
             "systems.0.layout.tp=1", "systems.0.layout.pp=1", "systems.0.layout.vp=1",
             std::string("systems.0.layout.fsdp=") + fsdp, "global_batch=256"}));
        for (Breakdown const& parts : step.by_class)
            EXPECT_EQ(parts.bubble, Picoseconds{0}) << fsdp;
    }
}

}  // namespace nvl72
