#pragma once

#include "sim/study/plan_search.hpp"
#include "tests/support/small_experiment.hpp"

#include <fmt/format.h>
#include <string>
#include <vector>

namespace nvl72::support {

/// A job to be planned.
struct PlanCase {
    std::string model = "llama-3.1-8b", cluster = "hgx-h100-superpod";
    std::int64_t gpus = 8, batch = 16, sequence = 4096;
    std::string precision = "bf16", recipe = "megatron-bridge-26.06";
    std::vector<std::string> fixed = {};
    PlanScope scope = PlanScope::layouts;
};

inline PlanJob job_of(PlanCase const& one, Library const& library) {
    auto const experiment = experiment_of(fmt::format(
        "title: t\nquestion: q\nmodel: {}\nrecipe: {}\nprecision: {}\nsequence_length: {}\n"
        "global_batch: {}\nlayout: {{tp: 1}}\nsystems:\n  - cluster: {{name: {}, gpus: {}}}\n",
        one.model, one.recipe, one.precision, one.sequence, one.batch, one.cluster, one.gpus));
    LoadedConfigs configs(library, {});
    return plan_job(load_job(experiment.points.front(), configs), parse_fixed(one.fixed),
                    one.scope);
}

}  // namespace nvl72::support
