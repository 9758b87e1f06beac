#pragma once

#include "sim/interchange/csv.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// What one node drew while it trained, as written; what a cell leaves blank is empty here.
struct MeasuredPower {
    std::string source;  ///< file
    int line = 0;
    std::string unreadable;  ///< what is wrong with a cell; then the row has no more than its place
    std::string system;      ///< words: site, GPU, board, cooling
    std::string model;       ///< "gpt3-175b", "llama2-70b-lora"
    std::string aside;       ///< why it is not scored; or empty
    std::string metric;      ///< "AC" or "DC": where it was read
    std::optional<std::int64_t> gpus;
    std::optional<double> node_w, node_peak_w;
};

/// Has the columns of a table of node power: system, gpus, model, metric, node_W_mean.
bool is_power_table(CsvTable const& table);

/// Rows in order; one with a cell that is no number says so and leaves the others alone.
std::vector<MeasuredPower> read_power_table(CsvTable const& table);

}  // namespace nvl72
