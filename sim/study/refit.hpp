#pragma once

#include "sim/config/library.hpp"
#include "sim/study/fit_kernels.hpp"
#include "sim/study/validation_row.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// The fit of a GPU's shipped profile, done again: what it says of rows left out of it.
struct Refit {
    std::string gpu;
    std::vector<SectionFit> fits;
};
/// Of every GPU whose profile calibrate writes from the shipped measurements; only the sections of
/// these kinds.
std::vector<Refit> refit_shipped(std::vector<ValidationKind> const& kinds, Library const& library);

}  // namespace nvl72
