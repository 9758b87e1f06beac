#pragma once

#include "sim/study/fit_kernels.hpp"
#include "sim/study/measured_data.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// A calibration profile as text, and how well its sections fit.
struct Calibration {
    std::string text;
    std::vector<SectionFit> fits;
    std::vector<std::string> kept;   ///< collective branches with too few rows: as shipped
    std::vector<std::string> notes;  ///< published runs left aside, for stderr
};

/// Fits a GPU's profile. Sections without rows stay as the shipped profile of that GPU has them;
/// where it has none, its sister's fill them. A CPU's has one section, `microkernels`.
Calibration calibrate_profile(MeasuredData const& data, Library const& library);

}  // namespace nvl72
