#pragma once

#include "sim/base/table.hpp"
#include "sim/study/plan.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// What a person reads: the best layout, the front, and what each other choice would cost.
std::string plan_text(SystemPlan const& plan, std::optional<PlanGoal> const& goal);

/// Every row with all its columns, for csv and json.
Table plan_table(std::vector<SystemPlan> const& plans, std::optional<PlanGoal> const& goal);

/// "7,012,332 layouts: ..." with their rates.
std::string plan_counts_text(SystemPlan const& plan);

/// A file to write.
struct PlanFile {
    std::string path, text;
};
/// The experiment of `root` with every system's best layout, and the recipes it needs beside it.
std::vector<PlanFile> plan_files(Value root,
                                 std::vector<SystemPlan> const& plans,
                                 std::string const& output);

/// The KEY=VALUE words that make `run CONFIG` run the best layout; "" where a recipe has to change.
std::string plan_overrides(SystemPlan const& plan, std::size_t system);

/// An experiment of one system, as `--model` and the other options describe it.
struct PlanJobWords {
    std::string model, cluster, precision, recipe;
    std::int64_t gpus = 0, global_batch = 0, sequence = 0;
};
Value experiment_of(PlanJobWords const& words, LoadedConfigs& configs);
/// Which systems have a layout of their own; the others get an empty one.
std::vector<bool> complete_layouts(Value& root);

}  // namespace nvl72
