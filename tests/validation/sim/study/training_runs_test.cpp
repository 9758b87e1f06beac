#include "sim/base/error.hpp"
#include "sim/study/training_rows.hpp"

#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <vector>

namespace nvl72 {
namespace {

double mean_of(std::vector<double> const& values) {
    double sum = 0;
    for (double const value : values) sum += value;
    return sum / static_cast<double>(values.size());
}

/// Absolute errors of the shipped runs that are to be scored, by software and kind.
std::map<std::string, std::vector<double>> errors() {
    Library const library(NVL72_SOURCE_DIR "/configs");
    auto const table = CsvTable::load(library.folder() + "/measurements/training/runs.csv");
    std::map<std::string, std::vector<double>> found;
    for (auto const& run : read_training_table(table)) {
        if (!run.aside.empty()) continue;
        try {
            auto const point = training_run(run, library, {}).point;
            SweepRow const row = simulate_point(point, 0).row;
            double const error = run.step_asked
                                     ? row.step_s / *run.step_s - 1
                                     : row.tokens_per_s_per_gpu / *run.tokens_per_s_per_gpu - 1;
            bool const moe = point.model.experts > 0;
            found[run.software + (moe ? " moe " + run.model : " dense")].push_back(std::abs(error));
            if (run.memory_gib)
                found["memory"].push_back(std::abs(row.memory_gib / *run.memory_gib - 1));
        } catch (ConfigError const&) {
            found["refused"].push_back(1);
        }
    }
    return found;
}

// Bounds a little above what is reached; a constant that slips, or a row that is lost, shows.
TEST(TrainingRuns, LieAsNearAsWasReached) {
    auto const by = errors();
    for (auto const& [kind, all] : by) RecordProperty(kind, std::to_string(mean_of(all)));
    EXPECT_LT(mean_of(by.at("megatron-bridge dense")), 0.045);
    EXPECT_LT(mean_of(by.at("nemo-mlperf dense")), 0.065);
    EXPECT_LT(mean_of(by.at("megatron-bridge moe qwen3-30b-a3b")), 0.06);
    EXPECT_LT(mean_of(by.at("megatron-bridge moe deepseek-v3")), 0.08);
    EXPECT_LT(mean_of(by.at("torchtitan dense")), 0.20);
    EXPECT_LT(mean_of(by.at("memory")), 0.11);
    // Scored apart: a factor stands in its rows that no shared constant explains.
    EXPECT_GT(mean_of(by.at("megatron-bridge moe gpt-oss-120b")), 0.2);
    EXPECT_FALSE(by.contains("refused"));
}

}  // namespace
}  // namespace nvl72
