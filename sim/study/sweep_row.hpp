#pragma once

#include "sim/graph/breakdown.hpp"
#include "sim/study/campaign_figures.hpp"
#include "sim/study/power_figures.hpp"
#include "sim/trace/result_file.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// Where a step went, in seconds, averaged over GPUs. The parts sum to the step.
struct StepParts {
    double compute = 0;
    double exposed_tp = 0;
    double exposed_cp = 0;
    double exposed_ep = 0;
    double exposed_dp = 0;
    double exposed_pp = 0;
    double bubble = 0;
    double idle = 0;
};

/// A part's column in the result file, its name in tables, and the member; in drawing order.
struct StepPart {
    std::string_view column;
    std::string_view title;
    double StepParts::* member;
};
extern std::array<StepPart, 8> const step_parts;

StepParts parts_of(Breakdown const& breakdown);

/// One simulated point, as /sweep of the result file holds it. NaN: none.
struct SweepRow {
    std::int64_t point = 0;
    std::string kind, system, cluster, gpu, model, recipe, precision;
    std::int64_t gpus = 0, sequence_length = 0, global_batch = 0;
    std::int64_t tp = 1, pp = 1, cp = 1, vp = 1, dp = 1, micro_batch = 1, micro_batches = 1;
    double step_p10_s = 0, step_p90_s = 0;  ///< 80 % of measured steps lie between; NaN: not known
    double drawn_p10_s = 0, drawn_p90_s = 0;  ///< for the errors of fitted constants alone
    double step_s = 0, tokens_per_s_per_gpu = 0, model_tflops_per_gpu = 0, mfu = 0;
    StepParts parts;
    double memory_gib = 0;
    PowerFigures power;
    CampaignFigures campaign;
    double published_tokens_per_s_per_gpu = 0, published_step_s = 0;
    double published_step_low_s = 0, published_step_high_s = 0;
    double error = 0;  ///< predicted / published throughput - 1
    std::string basis;
    double basis_share = 1;
    std::string published_source;
};

ResultTable to_table(std::vector<SweepRow> const& rows);

/// Reads /sweep of a result; throws ConfigError naming `path` and the column that is not there.
std::vector<SweepRow> sweep_rows(ResultFile const& result, std::string const& path);

}  // namespace nvl72
