#pragma once

#include "sim/config/library.hpp"
#include "sim/cost/profile.hpp"
#include "sim/interchange/job_facts.hpp"
#include "sim/study/experiment.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// Where an imported job runs and what is written.
struct ImportOptions {
    std::string cluster;  ///< of configs/clusters; "": the smallest of the job's GPU
    std::string gpu;      ///< of configs/gpus; "": as the file says
    std::string output;   ///< the experiment config; what it names lies beside it
    GivenProfiles calibrations;
};

struct ImportedFile {
    std::string path, text;
};

/// A foreign job as files of ours.
struct ImportedJob {
    JobFacts facts;
    std::vector<ImportedFile> files;  ///< the experiment first; a model, a recipe, a row of a table
    std::vector<std::string> warnings;  ///< what a user should know before he runs it
};

/// Turns a job into an experiment config that `run` takes, a model or recipe beside it where no
/// shipped one is the job's, and a row of a table where steps were measured. Nothing is left behind
/// when it throws (ConfigError at the setting that no job can have). `files` are written already:
/// the experiment was loaded from them.
ImportedJob import_job(ForeignJob const& job, ImportOptions const& options, Library const& library);

}  // namespace nvl72
