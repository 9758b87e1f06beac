#pragma once

#include "sim/base/table.hpp"
#include "sim/study/validation_row.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// One job on two GPUs: how much quicker each of the first is, measured and predicted.
struct SystemRatio {
    std::string gpu, other;
    std::string job;
    double measured = 0, predicted = 0;
    bool in_fit = false;  ///< both rows

    [[nodiscard]] double error() const { return predicted / measured - 1; }
};

/// All pairs of scored training rows equal but for the GPU, and with it the layout and the number
/// of GPUs. Steps of a whole job pair on equal numbers of GPUs alone.
std::vector<SystemRatio> system_ratios(std::vector<ValidationRow> const& rows);

/// By pair of GPUs, and all together; pairs with rows that were not fitted to apart.
Table system_ratios_table(std::vector<SystemRatio> const& ratios);

}  // namespace nvl72
