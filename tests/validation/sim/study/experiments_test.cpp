#include "sim/study/answer.hpp"
#include "sim/study/run.hpp"

#include <cmath>
#include <cstdio>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace nvl72 {
namespace {

/// Rows of a shipped experiment that stand beside a published figure; prints each error.
std::vector<SweepRow> published_rows(std::string const& name) {
    auto const experiment =
        load_experiment(NVL72_SOURCE_DIR "/configs/experiments/" + name + ".yaml", {});
    RunOptions options;
    options.trace = TraceLevel::none;
    options.threads = 2;
    std::vector<SweepRow> rows;
    for (SweepRow& row :
         run_experiment(experiment, Library(NVL72_SOURCE_DIR "/configs"), options).rows) {
        if (std::isnan(row.error)) continue;
        std::printf("%-22s %5ld GPUs, batch %5ld: %8.1f tokens/s/GPU, published %8.1f: %+.1f %%\n",
                    row.system.c_str(), static_cast<long>(row.gpus),
                    static_cast<long>(row.global_batch), row.tokens_per_s_per_gpu,
                    row.published_tokens_per_s_per_gpu, 100 * row.error);
        rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace

TEST(HopperVsNvl72, PredictsBothRowsWithin15PercentAndTheRatioWithin10) {
    auto const rows = published_rows("llama405b-hopper-vs-nvl72");
    ASSERT_EQ(rows.size(), 2U);
    for (SweepRow const& row : rows) EXPECT_LE(std::abs(row.error), 0.15) << row.system;
    double const published =
        rows[1].published_tokens_per_s_per_gpu / rows[0].published_tokens_per_s_per_gpu;
    double const ratio = explain_ratio(rows[0], rows[1]).ratio;
    std::printf("ratio %.3f, published %.3f: %+.1f %%\n", ratio, published,
                100 * (ratio / published - 1));
    EXPECT_LE(std::abs(ratio / published - 1), 0.10);
}

TEST(StrongScaling, PredictsEveryMeasuredRunWithin15Percent) {
    auto const rows = published_rows("llama405b-strong-scaling");
    EXPECT_EQ(rows.size(), 6U);
    for (SweepRow const& row : rows) {
        EXPECT_EQ(row.kind, "measured");
        EXPECT_LE(std::abs(row.error), 0.15) << row.system << ", " << row.gpus << " GPUs";
    }
}

/// Strong scaling never gains throughput per GPU: the batch stays, the bubble grows.
TEST(StrongScaling, LosesThroughputPerGpuWithEveryDoubling) {
    auto experiment =
        load_experiment(NVL72_SOURCE_DIR "/configs/experiments/llama405b-strong-scaling.yaml", {});
    std::erase_if(experiment.points, [](Point const& point) {
        return point.kind != PointKind::sweep || point.system.cluster.gpus < 1024;
    });
    RunOptions options;
    options.trace = TraceLevel::none;
    auto const rows =
        run_experiment(experiment, Library(NVL72_SOURCE_DIR "/configs"), options).rows;
    ASSERT_GE(rows.size(), 4U);
    for (std::size_t i = 1; i < rows.size(); ++i) {
        if (rows[i].gpus != 2 * rows[i - 1].gpus) continue;  // the next system
        EXPECT_LT(rows[i].tokens_per_s_per_gpu, rows[i - 1].tokens_per_s_per_gpu) << rows[i].gpus;
    }
}

/// Other dense models and layouts: the errors are printed for the record, the worst bounded
/// loosely.
TEST(DensePublished, PredictsOtherModels) {
    auto const rows = published_rows("llama-dense-published");
    EXPECT_GE(rows.size(), 5U);
    for (SweepRow const& row : rows) EXPECT_LE(std::abs(row.error), 0.20) << row.system;
}

}  // namespace nvl72
