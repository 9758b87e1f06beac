#pragma once

#include "sim/study/fit_kernels.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// Kernel measurements and where they come from.
struct KernelData {
    std::string gpu;
    std::vector<KernelSample> samples;          ///< all of `gpu`
    std::string gemm_origin, attention_origin;  ///< names of the files, for the sources
    std::vector<std::string> notes;             ///< what was left aside, for stderr
};

/// Reads the tables in files and folders; `gpu` chooses where they hold several, and names the GPU
/// of tables without the column.
KernelData read_kernel_data(std::vector<std::string> const& paths, std::string const& gpu);

/// A calibration profile as text, and how well its sections fit.
struct Calibration {
    std::string text;
    std::vector<SectionFit> fits;
};

/// Fits a GPU's profile. Sections without rows stay as the shipped profile of that GPU has them;
/// where it has none, its sister's fill them.
Calibration calibrate_kernels(KernelData const& data, Library const& library, bool left_out);

}  // namespace nvl72
