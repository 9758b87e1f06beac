#pragma once

#include "sim/config/library.hpp"
#include "sim/study/fit_kernels.hpp"
#include "sim/study/validation_row.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// Kinds of tables that `validate` knows, in the order in which it shows them.
enum class ValidationKind : std::uint8_t { kernels, collectives, training };
template <>
struct EnumNames<ValidationKind> {
    static constexpr std::array words{"kernels", "collectives", "training"};
};

struct ValidationRequest {
    std::vector<ValidationKind> kinds;
    /// Files and folders: tables (CSV), nccl-tests logs, folders of logs with an INDEX.csv,
    /// experiments (YAML). Empty: the shipped measurements and experiments.
    std::vector<std::string> measurements;
    std::vector<std::string> calibrations;  ///< profiles that replace the shipped ones, by GPU
    std::string gpu;                        ///< of tables and logs that do not say
    std::string op;                         ///< of logs that do not say
};

/// Every row of every table with its prediction, in input order, and what was left aside.
struct Validation {
    std::vector<ValidationRow> rows;
    std::vector<std::string> notes;
};

/// The fit of a GPU's shipped profile, done again: what it says of rows left out of it.
struct Refit {
    std::string gpu;
    std::vector<SectionFit> fits;
};
/// Of every GPU whose profile calibrate writes from the shipped measurements; only the sections of
/// these kinds.
std::vector<Refit> refit_shipped(std::vector<ValidationKind> const& kinds, Library const& library);

Validation validate(ValidationRequest const& request, Library const& library);

}  // namespace nvl72
