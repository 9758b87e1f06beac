#pragma once

#include "sim/interchange/foreign_job.hpp"
#include "sim/interchange/training_table.hpp"
#include "sim/model/architecture.hpp"
#include "sim/parallel/layout.hpp"

#include <map>
#include <string>
#include <vector>

namespace nvl72 {

/// A setting that became a key of ours.
struct TakenSetting {
    ForeignSetting setting;
    std::string ours;   ///< "layout.tp", "model.hidden"
    std::string value;  ///< as we write it
};

/// A setting that may touch a step and has no key of ours, and why.
struct OpenSetting {
    ForeignSetting setting;
    std::string reason;
};

/// A switch of the software that a release's recipe may have otherwise.
struct RecipeSwitch {
    std::string key;  ///< "overlap.tp"
    std::string value;
    std::string source;  ///< "derived: --tp-comm-overlap, line 12"
};

/// A foreign job in our terms: what its settings say, what they leave open, what they hold besides.
struct JobFacts {
    MeasuredTraining run;  ///< GPUs, batch, layout, precision, release; not the model
    Layout layout;         ///< the whole layout, each key with its place
    Architecture model;    ///< where `has_model`; vocab and max_sequence 0: not told
    bool has_model = false;
    std::map<std::string, std::string> model_sources;  ///< of the architecture's fields
    std::vector<RecipeSwitch> switches;
    bool recompute_told = false;
    bool gpus_assumed = false;
    Place gpus_place, batch_place, sequence_place, precision_place;

    std::vector<TakenSetting> taken;
    std::vector<OpenSetting> open;
    std::map<std::string, std::vector<std::string>> passed_over;  ///< names by reason
    std::vector<std::string> assumed;
};

/// Throws ConfigError at a value that no job can have.
JobFacts job_facts(ForeignJob const& job);

/// Why a setting that no key of ours took is passed over.
struct PassReason {
    std::string reason;
    bool open = false;  ///< it may touch a step: listed by itself
};
PassReason pass_reason(ForeignSetting const& setting, JobFileKind kind);

}  // namespace nvl72
