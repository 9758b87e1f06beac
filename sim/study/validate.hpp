#pragma once

#include "sim/config/library.hpp"
#include "sim/interchange/log_folder.hpp"
#include "sim/study/validation_row.hpp"

#include <string>
#include <vector>

namespace nvl72 {

struct ValidationRequest {
    std::vector<ValidationKind> kinds;
    /// Files and folders: tables (CSV), nccl-tests logs, folders of logs with an INDEX.csv,
    /// experiments (YAML). Empty: the shipped measurements and experiments.
    std::vector<std::string> measurements;
    std::vector<std::string> calibrations;  ///< profiles that replace the shipped ones, by GPU
    GivenFacts given;                       ///< of tables and logs that do not say
};

/// Every row of every table with its prediction, in input order, and what was left aside.
struct Validation {
    std::vector<ValidationRow> rows;
    std::vector<std::string> notes;
};

Validation validate(ValidationRequest const& request, Library const& library);

}  // namespace nvl72
