#include "sim/interchange/collective_table.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/interchange/kernel_table.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace nvl72 {

namespace {

std::string_view type_column(CsvTable const& table) {
    return table.has("dtype") ? "dtype" : "type";
}
std::string_view bytes_column(CsvTable const& table) {
    return table.has("message_bytes") ? "message_bytes" : "bytes";
}

int element_bytes(CsvTable const& table, std::size_t row) {
    auto const word = trimmed(table.text(row, type_column(table)));
    if (auto const* type = element_type(word)) return type->bytes;
    std::vector<std::string> names;
    for (auto const& type : element_types()) names.emplace_back(type.name);
    fail(table.place(row, type_column(table)), fmt::format("'{}'", word), join(names, " | "));
}

CollectiveOp op_at(CsvTable const& table, std::size_t row) {
    auto const word = trimmed(table.text(row, "collective"));
    if (auto const op = collective_op(word)) return *op;
    fail(table.place(row, "collective"), fmt::format("'{}'", word),
         ValueType<CollectiveOp>::expects());
}

GroupShape shape_at(CsvTable const& table, std::size_t row) {
    GroupShape shape;
    shape.ranks = table.whole(row, "gpus", 2, ranks_max);
    bool const told = table.has("domains") && !table.blank(row, "domains");
    shape.domains = told ? table.whole(row, "domains", 1) : 1;
    if (shape.ranks % shape.domains != 0) {
        fail(table.place(row, "domains"), fmt::format("{} of {} GPUs", shape.domains, shape.ranks),
             "equal shares");
    }
    shape.ranks_per_domain = shape.ranks / shape.domains;
    shape.planes = shape.planes_up = planes_assumed;
    if (shape.domains > 1) {
        shape.per_gpu_nic = BytesPerSecond{table.positive(row, "nic_gbps") * 1e9 / 8};
    }
    return shape;
}

std::optional<double> seconds_at(CsvTable const& table, std::size_t row, char const* column) {
    if (!table.has(column) || table.blank(row, column)) return std::nullopt;
    return table.positive(row, column) * 1e-6;
}

/// What a table may say beside the times.
void read_circumstances(MeasuredCollective& measured, CsvTable const& table, std::size_t row) {
    auto const word = [&](char const* column) {
        return table.has(column) ? std::string(trimmed(table.text(row, column))) : std::string();
    };
    measured.fabric = word("fabric");
    measured.site = word("site");
    measured.algorithm = word("algorithm");
    if (table.has("launch"))
        measured.launch = launch_mode(word("launch"), table.place(row, "launch"));
    bool const told =
        table.has("gpus_per_thread") && !trimmed(table.text(row, "gpus_per_thread")).empty();
    measured.query.launch = launch_of(
        measured.launch, told ? static_cast<int>(table.whole(row, "gpus_per_thread", 1)) : 1);
    if (table.has("quality")) take_quality(measured, word("quality"), table.file());
    if (auto const aside = word("aside"); !aside.empty()) {
        measured.status = RowStatus::set_aside;
        measured.reason = aside;
    }
}

void read_row(MeasuredCollective& measured,
              CsvTable const& table,
              std::size_t row,
              std::string const& gpu) {
    measured.gpu = gpu_of_row(table, row, gpu);
    measured.op = trimmed(table.text(row, "collective"));
    measured.query.op = op_at(table, row);
    measured.query.size = Bytes{table.whole(row, bytes_column(table), 1)};
    if (table.has(type_column(table)) && !table.blank(row, type_column(table))) {
        measured.type = trimmed(table.text(row, type_column(table)));
        measured.query.bytes_per_element = element_bytes(table, row);
    } else {  // as nccl-tests runs where it is not told
        measured.type = "float";
        measured.query.bytes_per_element = element_type(measured.type)->bytes;
        measured.status = RowStatus::defaulted;
        measured.reason = "type float";
    }
    measured.query.shape = shape_at(table, row);
    read_circumstances(measured, table, row);
    auto const time = seconds_at(table, row, "time_us");
    take_times(measured, time ? time : seconds_at(table, row, "out_of_place_us"),
               seconds_at(table, row, "in_place_us"));
}

}  // namespace

bool is_collective_table(CsvTable const& table) {
    // A table that lacks a column is still known by the others: its rows then say which.
    std::array const columns{
        std::string_view("collective"), std::string_view("gpus"), type_column(table),
        bytes_column(table),
        std::string_view(table.has("time_us") ? "time_us" : "out_of_place_us")};
    auto const here =
        std::ranges::count_if(columns, [&](auto const column) { return table.has(column); });
    return here + 1 >= std::ssize(columns);
}

std::vector<MeasuredCollective> read_collective_table(CsvTable const& table,
                                                      std::string const& gpu) {
    std::vector<MeasuredCollective> rows;
    for (std::size_t row = 0; row < table.rows(); ++row) {
        MeasuredCollective measured;
        measured.source = table.file();
        measured.line = table.place(row, "collective").line;
        try {
            read_row(measured, table, row, gpu);
        } catch (ConfigError const& error) {
            measured.status = RowStatus::skipped;
            measured.reason = error.what();
        }
        rows.push_back(std::move(measured));
    }
    return rows;
}

}  // namespace nvl72
