#pragma once

#include "sim/study/import_job.hpp"
#include "sim/training/recipe.hpp"

#include <filesystem>

namespace nvl72 {

/// The job while it becomes an experiment.
struct ImportDraft {
    ForeignJob const& job;
    ImportOptions const& options;
    Library const& library;
    ImportedJob result;
    SystemSpec system;
    std::string model_name;   ///< as the config names it
    std::string recipe_name;  ///< the same
    std::string model_source, recipe_source;
    std::string base_recipe;             ///< shipped
    std::vector<RecipeSwitch> switches;  ///< that differ from it
    std::vector<std::string> defaulted;  ///< what the resolver of tables left open
    std::vector<std::string> like;       ///< notes on the model

    /// "out.yaml" -> "out-model.yaml"
    [[nodiscard]] std::string beside(std::string const& what, std::string const& extension) const;
};

/// The name or file that stands for the job's model; writes a model file where none is shipped.
void choose_model(ImportDraft& draft);

/// The switches in which the job differs from a shipped recipe.
std::vector<RecipeSwitch> different_switches(Recipe const& recipe,
                                             std::vector<RecipeSwitch> const& told);
/// A recipe over `base` with these switches.
std::string recipe_text(std::string const& base,
                        std::vector<RecipeSwitch> const& switches,
                        std::string const& of);

/// The job's steps were measured, on GPUs whose number is known.
bool has_figures(ImportDraft const& draft);

/// The experiment config with what was left out as comments, and the row of a table.
std::string experiment_text(ImportDraft const& draft);
std::string row_text(ImportDraft const& draft);

/// Median, 10th and 90th percentile of the job's steps, in s.
struct StepFigures {
    double median = 0, p10 = 0, p90 = 0;
};
StepFigures step_figures(std::vector<double> steps);

}  // namespace nvl72
