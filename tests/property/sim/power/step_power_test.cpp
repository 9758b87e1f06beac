#include "sim/power/step_power.hpp"

#include "sim/base/random.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

TEST(StepPower, PartsSumToTheJobAndEachGpuDrawsBetweenIdleAndItsTdp) {
    Library const library(NVL72_SOURCE_DIR "/configs");
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        RandomStream draw(seed, "activity");
        std::vector<std::string> const names{"hgx-h100-superpod", "hgx-b200-superpod",
                                             "gb200-nvl72-superpod", "gh200-superpod"};
        ClusterChoice choice;
        choice.name = names[draw.below(names.size())];
        choice.gpus = static_cast<std::int64_t>(8 * (1 + draw.below(40)));
        auto const fabric = build_fabric(choice, library);
        auto const& spec = fabric.cluster();
        auto setting =
            *load_power({}, library, spec.kind, spec.gpu, fabric.gpu().tdp, spec.unit_power);
        setting.cooling = static_cast<Cooling>(draw.below(3));
        double const step_s = 0.1 + 10 * draw.uniform();
        std::vector<GpuActivity> classes;
        for (int c = 0; c < 2; ++c) {
            GpuActivity same{static_cast<double>(choice.gpus) / 2, {}};
            double sum = 0;
            for (double& part : same.seconds) sum += part = draw.uniform();
            for (double& part : same.seconds) part *= step_s / sum;
            classes.push_back(same);
        }
        double const clock = 0.5 + draw.uniform() / 2;
        auto const drawn = step_power(setting, fabric, classes, step_s, clock);
        double sum = 0;
        for (auto const& part : drawn.parts) sum += part.joules;
        EXPECT_NEAR(sum / drawn.joules, 1, 1e-12) << seed;
        EXPECT_GE(drawn.gpu_w, setting.coefficients.gpu.idle * fabric.gpu().tdp.count - 1e-9);
        EXPECT_LE(drawn.gpu_w, fabric.gpu().tdp.count + 1e-9);
        EXPECT_LE(drawn.node_w, drawn.node_peak_w + 1e-9);
        auto const faster = step_power(setting, fabric, classes, step_s, clock * 1.1);
        EXPECT_GE(faster.cluster_w, drawn.cluster_w);
    }
}

}  // namespace
}  // namespace nvl72
