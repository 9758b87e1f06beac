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
    std::vector<SectionFit> unpriced;  ///< of rows that no query asks for yet: MoE microkernels
    ReckonedTimes reckoned;            ///< beside the data's `times`
    std::vector<std::string> kept;     ///< collective branches with too few rows: as shipped
    std::vector<std::string> notes;    ///< published runs left aside, for stderr
};

/// Fits a GPU's profile. Sections without rows stay as the shipped profile of that GPU has them;
/// where it has none, its sister's fill them. A CPU's has the sections `memory` and `microkernels`.
Calibration calibrate_profile(MeasuredData const& data, Library const& library);

}  // namespace nvl72
