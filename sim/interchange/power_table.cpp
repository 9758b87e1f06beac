#include "sim/interchange/power_table.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace nvl72 {

namespace {

constexpr std::array<std::string_view, 2> columns_needed{"system", "node_W_mean"};

std::string text(CsvTable const& table, std::size_t row, std::string_view column) {
    return table.has(column) ? std::string(trimmed(table.text(row, column))) : std::string();
}

std::optional<double> watts(CsvTable const& table, std::size_t row, std::string_view column) {
    if (!table.has(column) || table.blank(row, column)) return std::nullopt;
    return table.positive(row, column);
}

MeasuredPower read_row(CsvTable const& table, std::size_t row) {
    MeasuredPower run;
    run.source = table.file();
    run.line = table.place(row, "system").line;
    run.aside = aside_of(table, row);
    run.system = text(table, row, "system");
    run.model = text(table, row, "model");
    run.metric = text(table, row, "metric");
    if (table.has("gpus") && !table.blank(row, "gpus")) run.gpus = table.whole(row, "gpus", 1);
    run.node_w = watts(table, row, "node_W_mean");
    run.node_peak_w = watts(table, row, "node_W_peak");
    return run;
}

}  // namespace

bool is_power_table(CsvTable const& table) {
    return std::ranges::all_of(columns_needed,
                               [&](std::string_view column) { return table.has(column); });
}

std::vector<MeasuredPower> read_power_table(CsvTable const& table) {
    std::vector<MeasuredPower> runs;
    for (std::size_t row = 0; row < table.rows(); ++row) {
        try {
            runs.push_back(read_row(table, row));
        } catch (ConfigError const& error) {
            MeasuredPower broken;
            broken.source = table.file();
            broken.line = table.place(row, "system").line;
            broken.unreadable = error.what();
            runs.push_back(std::move(broken));
        }
    }
    return runs;
}

}  // namespace nvl72
