#pragma once

#include "sim/interchange/foreign_job.hpp"

#include <map>

namespace nvl72 {

/// How a user wants a file read, and what he adds to it.
struct JobFileOptions {
    std::optional<JobFileKind> kind;           ///< none: seen from the content
    std::map<std::string, std::string> words;  ///< NAME=VALUE: variables of a script, and settings
};

/// The training job that a file or folder tells of. Throws ConfigError for one of no kind we know.
ForeignJob read_job_file(std::string const& path, JobFileOptions const& options);

}  // namespace nvl72
