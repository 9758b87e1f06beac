#include "sim/base/table.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace nvl72 {

namespace {

bool is_number(Cell const& cell) {
    return std::holds_alternative<double>(cell) || std::holds_alternative<std::int64_t>(cell);
}

std::string exact(Cell const& cell) {
    if (auto const* text = std::get_if<std::string>(&cell)) return *text;
    if (auto const* real = std::get_if<double>(&cell)) return fmt::format("{}", *real);
    if (auto const* whole = std::get_if<std::int64_t>(&cell)) return fmt::format("{}", *whole);
    return {};
}

std::string readable(Cell const& cell, Column const& column) {
    if (auto const* real = std::get_if<double>(&cell)) {
        if (column.decimals < 0) return significant(*real);
        return fmt::format("{:.{}f}", *real, column.decimals);
    }
    return exact(cell);
}

std::string json_string(std::string_view text) {
    std::string quoted = "\"";
    for (char const c : text) {
        switch (c) {
            case '"': quoted += "\\\""; break;
            case '\\': quoted += "\\\\"; break;
            case '\n': quoted += "\\n"; break;
            case '\t': quoted += "\\t"; break;
            default:
                if (static_cast<unsigned char>(c) < 0x20) {
                    quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
                } else {
                    quoted += c;
                }
        }
    }
    return quoted + "\"";
}

std::string json_value(Cell const& cell) {
    if (std::holds_alternative<std::monostate>(cell)) return "null";
    return is_number(cell) ? exact(cell) : json_string(exact(cell));
}

/// Characters a person counts: UTF-8 continuation bytes take no room.
std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace

TableFormat parse_table_format(std::string_view name) {
    // "table" is the commands' word for the readable form (--format table|csv|json).
    if (name == "table" || name == "text") return TableFormat::text;
    if (name == "csv") return TableFormat::csv;
    if (name == "json") return TableFormat::json;
    throw ConfigError(fmt::format("--format: '{}' (expected table, csv or json)", name));
}

void Table::add(std::vector<Cell> row) {
    NVL72_EXPECT(row.size() == columns_.size(), "a row has a cell for every column");
    for (auto const& cell : row) {
        if (auto const* real = std::get_if<double>(&cell)) {
            NVL72_EXPECT(std::isfinite(*real), "a table holds finite numbers");
        }
    }
    rows_.push_back(std::move(row));
}

std::string Table::print(TableFormat format) const {
    switch (format) {
        case TableFormat::csv: return csv();
        case TableFormat::json: return json();
        case TableFormat::text: break;
    }
    return text();
}

std::string Table::text() const {
    std::vector<std::vector<std::string>> lines;
    auto& titles = lines.emplace_back();
    for (auto const& column : columns_) {
        titles.push_back(column.unit.empty() ? column.title
                                             : fmt::format("{} ({})", column.title, column.unit));
    }
    for (auto const& row : rows_) {
        auto& line = lines.emplace_back();
        for (std::size_t c = 0; c < row.size(); ++c) line.push_back(readable(row[c], columns_[c]));
    }

    std::string out;
    std::vector<std::size_t> widths(columns_.size(), 0);
    std::vector<bool> right(columns_.size(), false);
    for (std::size_t c = 0; c < columns_.size(); ++c) {
        for (auto const& line : lines) widths[c] = std::max(widths[c], width_of(line[c]));
        right[c] = std::ranges::any_of(rows_, [c](auto const& row) { return is_number(row[c]); });
    }
    for (auto const& line : lines) {
        std::string written;
        for (std::size_t c = 0; c < line.size(); ++c) {
            std::string const pad(widths[c] - width_of(line[c]), ' ');
            written += "  " + (right[c] ? pad + line[c] : line[c] + pad);
        }
        written.erase(written.find_last_not_of(' ') + 1);
        out += written + "\n";
    }
    return out;
}

std::string Table::csv() const {
    std::string out;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
        out += (c == 0 ? "" : ",") + csv_field(columns_[c].name);
    }
    out += "\n";
    for (auto const& row : rows_) {
        for (std::size_t c = 0; c < row.size(); ++c) {
            out += (c == 0 ? "" : ",") + csv_field(exact(row[c]));
        }
        out += "\n";
    }
    return out;
}

std::string Table::json() const {
    std::string out = "[";
    for (std::size_t r = 0; r < rows_.size(); ++r) {
        out += r == 0 ? "\n  {" : ",\n  {";
        for (std::size_t c = 0; c < columns_.size(); ++c) {
            out += fmt::format("{}{}: {}", c == 0 ? "" : ", ", json_string(columns_[c].name),
                               json_value(rows_[r][c]));
        }
        out += "}";
    }
    return out + "\n]\n";
}

std::string csv_field(std::string_view text) {
    if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
    std::string quoted = "\"";
    for (char const c : text) {
        if (c == '"') quoted += '"';
        quoted += c;
    }
    return quoted + "\"";
}

}  // namespace nvl72
