#pragma once

#include "sim/cost/changed_profiles.hpp"
#include "sim/study/training_constants.hpp"
#include "sim/study/training_rows.hpp"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// A measured run to fit to, and the step that it is of.
struct RunRow {
    MeasuredTraining run;
    TrainingRun built;
    double measured_s = 0;  ///< of a step
    double memory_gib = 0;  ///< of the fullest stage, predicted
    std::size_t job = 0;    ///< rows of equal jobs share one prediction
    bool apart = false;     ///< predicted, not fitted to
    bool stopped = false;   ///< its figure is of a whole job with its stops
    bool experts = false;   ///< of a mixture of experts
    std::string model, gpu, layout, release, precision;  ///< the groups that may be left out
};

/// Steps of runs at any values of the training constants. A step is simulated once, by `record`;
/// other values re-cost its recording (sim/graph/replay.hpp). What does not depend on a value that
/// changed is looked up.
class RunPredictor {
public:
    /// Rows set aside, without a figure, or impossible are left out, with a note.
    RunPredictor(std::vector<MeasuredTraining> const& runs,
                 TrainingFitFacts const& facts,
                 Library const& library);

    [[nodiscard]] std::vector<RunRow> const& rows() const { return rows_; }
    [[nodiscard]] std::vector<std::string> const& notes() const { return notes_; }
    /// Simulates every step at `values`, to be re-costed from there.
    void record(std::vector<double> const& values);
    /// Seconds of a row's step.
    [[nodiscard]] double seconds(std::size_t row, std::vector<double> const& values);
    /// Whether a constant stands in a file that the row's recipe or profile is read from.
    [[nodiscard]] bool depends(std::size_t row, std::size_t constant) const;

private:
    /// One job of rows: a step and all that prices it.
    struct Job {
        std::size_t row = 0;  ///< whose built point it has
        std::vector<char> depends;
        StepResult done;
        std::map<std::vector<double>, double> known;
    };

    [[nodiscard]] static std::vector<double> own(Job const& job, std::vector<double> const& values);
    [[nodiscard]] std::vector<char> depends_of(TrainingRun const& run);
    Profile const& profile(Job const& job, std::vector<double> const& values);
    Recipe recipe(Job const& job, std::vector<double> const& values);
    template <class Use>
    auto with_spec(Job const& job, std::vector<double> const& values, Use const& use);

    TrainingFitFacts const& facts_;
    Library const& library_;
    ChangedProfiles profiles_;
    std::vector<RunRow> rows_;
    std::vector<Job> jobs_;
    std::vector<std::string> notes_;
    std::map<std::string, Value> recipe_files_;
    std::map<std::pair<std::string, std::vector<double>>, Profile> priced_;
};

}  // namespace nvl72
