#include "sim/interchange/collective_table.hpp"

#include "sim/base/text.hpp"

#include <array>
#include <cctype>
#include <fmt/format.h>

namespace nvl72 {

namespace {

/// Bytes of an element, by the names that NCCL, nccl-tests and aiconfigurator use.
struct ElementType {
    std::string_view name;
    int bytes;
};
constexpr std::array element_types{
    ElementType{"int8", 1},  ElementType{"uint8", 1},   ElementType{"fp8", 1},
    ElementType{"half", 2},  ElementType{"float16", 2}, ElementType{"bfloat16", 2},
    ElementType{"float", 4}, ElementType{"float32", 4}, ElementType{"int32", 4},
    ElementType{"int64", 8}, ElementType{"double", 8},  ElementType{"float64", 8},
};

/// Switch planes of any GPU with NVLink switches: only whether there are some counts here.
constexpr int some_planes = 1;

std::string_view type_column(CsvTable const& table) {
    return table.has("dtype") ? "dtype" : "type";
}
std::string_view bytes_column(CsvTable const& table) {
    return table.has("message_bytes") ? "message_bytes" : "bytes";
}

int element_bytes(CsvTable const& table, std::size_t row) {
    auto const word = trimmed(table.text(row, type_column(table)));
    std::vector<std::string> names;
    for (auto const& type : element_types) {
        if (type.name == word) return type.bytes;
        names.emplace_back(type.name);
    }
    fail(table.place(row, type_column(table)), fmt::format("'{}'", word), join(names, " | "));
}

CollectiveOp op_at(CsvTable const& table, std::size_t row) {
    auto const word = trimmed(table.text(row, "collective"));
    auto const words = ValueType<CollectiveOp>::words();
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words[i] == word) return static_cast<CollectiveOp>(i);
    }
    fail(table.place(row, "collective"), fmt::format("'{}'", word), join(words, " | "));
}

/// "H100-SXM" -> "h100", as configs/gpus names it.
std::string gpu_name(std::string_view text) {
    std::string name;
    for (char const c : trimmed(text)) {
        name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    if (name.ends_with("-sxm")) name.resize(name.size() - 4);
    return name;
}

GroupShape shape_at(CsvTable const& table, std::size_t row) {
    GroupShape shape;
    shape.ranks = table.whole(row, "gpus", 2);
    shape.domains = table.has("domains") ? table.whole(row, "domains", 1) : 1;
    if (shape.ranks % shape.domains != 0) {
        fail(table.place(row, "domains"), fmt::format("{} of {} GPUs", shape.domains, shape.ranks),
             "equal shares");
    }
    shape.ranks_per_domain = shape.ranks / shape.domains;
    shape.planes = shape.planes_up = some_planes;
    if (shape.domains > 1) {
        shape.per_gpu_nic = BytesPerSecond{table.positive(row, "nic_gbps") * 1e9 / 8};
    }
    return shape;
}

/// The row's times that are predicted: a log's in-place one too where the operation copies nothing
/// more out of place; where it does, only in place of a missing one.
std::vector<double> seconds_at(CsvTable const& table, std::size_t row, CollectiveOp op) {
    std::vector<double> seconds;
    for (char const* column : {"time_us", "out_of_place_us", "in_place_us"}) {
        if (!table.has(column) || trimmed(table.text(row, column)).empty()) continue;
        if (!seconds.empty() && op != CollectiveOp::all_reduce) continue;
        seconds.push_back(table.positive(row, column) * 1e-6);
    }
    return seconds;
}

}  // namespace

bool is_collective_table(CsvTable const& table) {
    return table.has("collective") && table.has("gpus") && table.has(type_column(table)) &&
           table.has(bytes_column(table)) && (table.has("time_us") || table.has("out_of_place_us"));
}

std::vector<CollectiveSample> read_collective_table(CsvTable const& table, std::string const& gpu) {
    if (gpu.empty() && !table.has("gpu")) {
        fail({table.file(), 1, ""}, "no column 'gpu'", "the column, or --gpu NAME");
    }
    std::vector<CollectiveSample> samples;
    for (std::size_t row = 0; row < table.rows(); ++row) {
        CollectiveSample sample;
        sample.gpu = table.has("gpu") ? gpu_name(table.text(row, "gpu")) : gpu;
        sample.query.op = op_at(table, row);
        sample.query.size = Bytes{table.whole(row, bytes_column(table), 1)};
        sample.query.bytes_per_element = element_bytes(table, row);
        sample.query.shape = shape_at(table, row);
        for (double const seconds : seconds_at(table, row, sample.query.op)) {
            sample.seconds = seconds;
            samples.push_back(sample);
        }
    }
    return samples;
}

}  // namespace nvl72
