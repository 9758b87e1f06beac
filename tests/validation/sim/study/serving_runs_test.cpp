#include "sim/study/measured_files.hpp"
#include "sim/study/serving_validation.hpp"

#include "tests/support/small_experiment.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <vector>

namespace nvl72 {
namespace {

using support::shipped_library;

/// Rows of the shipped tables, predicted once for all tests.
std::vector<ValidationRow> const& shipped_rows() {
    static std::vector<ValidationRow> const rows = [] {
        auto const library = shipped_library();
        ServingValidator validator(library, {});
        return validator.rows_of(library.folder() + "/measurements/serving/inferencemax.csv");
    }();
    return rows;
}

struct Errors {
    std::vector<double> sizes;
    [[nodiscard]] double quantile(double share) const {
        return sizes[static_cast<std::size_t>(share * static_cast<double>(sizes.size() - 1))];
    }
};

Errors errors_of(std::string const& regime, std::string const& metric) {
    Errors errors;
    for (auto const& row : shipped_rows()) {
        if (!row.scored() || row.metric != metric || !row.part.starts_with(regime)) continue;
        errors.sizes.push_back(std::abs(*row.error()));
    }
    std::ranges::sort(errors.sizes);
    fmt::print("{} {}: {} rows, median {:.1f} %, p90 {:.1f} %\n", regime, metric,
               errors.sizes.size(), 100 * errors.quantile(0.5), 100 * errors.quantile(0.9));
    return errors;
}

TEST(ServingRuns, PredictTimePerTokenOfJoinedServers) {
    auto const errors = errors_of("aggregated", "tpot_ms");
    ASSERT_GT(errors.sizes.size(), 600U);
    EXPECT_LT(errors.quantile(0.5), 0.07);
    EXPECT_LT(errors.quantile(0.9), 0.20);
}

TEST(ServingRuns, PredictTimeToFirstTokenOfJoinedServers) {
    auto const errors = errors_of("aggregated", "ttft_ms");
    EXPECT_LT(errors.quantile(0.5), 0.17);
    EXPECT_LT(errors.quantile(0.9), 0.58);
}

TEST(ServingRuns, PredictTimePerTokenOfServersApart) {
    auto const errors = errors_of("disaggregated", "tpot_ms");
    ASSERT_GT(errors.sizes.size(), 80U);
    EXPECT_LT(errors.quantile(0.5), 0.17);
    EXPECT_LT(errors.quantile(0.9), 0.40);
}

TEST(ServingRuns, HaveIntervalsThatCover) {
    std::size_t judged = 0, inside = 0;
    for (auto const& row : shipped_rows()) {
        if (!row.scored() || !row.spread.known()) continue;
        double const ratio = *row.measured / *row.predicted;
        ++judged;
        inside += row.spread.low <= ratio && ratio <= row.spread.high ? 1 : 0;
    }
    ASSERT_GT(judged, 1000U);
    EXPECT_GT(static_cast<double>(inside), 0.75 * static_cast<double>(judged));
}

TEST(ServingRuns, SayWhyARowIsNotPredicted) {
    support::TemporaryFile const file(
        "gpu,model,software,precision,input,output,clients,tp,ttft_ms,tpot_ms\n"
        "h100,Llama-3.1-70B,vllm,fp8,1024,1024,8,2,150.2,18.2\n"
        "h100,Llama-3.1-70B,vllm,fp8,1024,1024,8,1,150.2,18.2\n"
        "h100,Mamba-7B,vllm,fp8,1024,1024,8,1,150.2,18.2\n"
        "h100,Llama-3.1-70B,vllm,fp8,1024,1024,,2,150.2,18.2\n"
        "h100,Llama-3.1-70B,tgi,fp8,1024,1024,8,2,150.2,18.2\n",
        ".csv");
    auto const library = shipped_library();
    ServingValidator validator(library, {});
    auto const rows = validator.rows_of(file.path());
    ASSERT_EQ(rows.size(), 10U);  // two metrics each
    EXPECT_EQ(rows[0].status, "ok");
    EXPECT_EQ(rows[2].status, "does_not_fit");
    EXPECT_EQ(rows[4].status, "skipped");
    EXPECT_NE(rows[4].reason.find("Mamba"), std::string::npos) << rows[4].reason;
    EXPECT_EQ(rows[6].status, "skipped");
    EXPECT_NE(rows[6].reason.find("clients"), std::string::npos) << rows[6].reason;
    EXPECT_EQ(rows[8].status, "defaulted");
    EXPECT_NE(rows[8].reason.find("generic for tgi"), std::string::npos) << rows[8].reason;
}

TEST(ServingRuns, AreFoundAmongTheShippedMeasurements) {
    std::vector<std::string> notes;
    auto const files =
        measured_files({shipped_library().folder() + "/measurements/serving"}, notes);
    ASSERT_EQ(files.size(), 2U);
    for (auto const& file : files) EXPECT_EQ(file.kind, MeasuredFileKind::serving) << file.path;
}

TEST(ServingRuns, DoNotHearTheirMeasuredFigures) {
    support::TemporaryFile const file(
        "gpu,model,software,precision,input,output,clients,tp,ttft_ms,tpot_ms\n"
        "h100,Llama-3.1-70B,vllm,fp8,1024,1024,8,2,150.2,18.2\n"
        "h100,Llama-3.1-70B,vllm,fp8,1024,1024,8,2,15,1.8\n"
        "h100,Llama-3.1-70B,vllm,fp8,1024,1024,8,2,,\n",
        ".csv");
    auto const library = shipped_library();
    ServingValidator validator(library, {});
    auto const rows = validator.rows_of(file.path());
    ASSERT_EQ(rows.size(), 6U);
    for (std::size_t i = 2; i < 6; ++i) EXPECT_EQ(rows[i].predicted, rows[i % 2].predicted);
}

}  // namespace
}  // namespace nvl72
