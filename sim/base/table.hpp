#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace nvl72 {

enum class TableFormat { text, csv, json };

/// text | csv | json; throws ConfigError otherwise.
TableFormat parse_table_format(std::string_view name);

/// An empty cell is std::monostate: blank in text and csv, null in json.
using Cell = std::variant<std::monostate, std::string, double, std::int64_t>;

/// One column: `name` is stable (scripts read it), `title` is what a person sees.
struct Column {
    std::string name;
    std::string title;
    int decimals = -1;      ///< of a double in text; -1: four significant digits
    std::string unit = {};  ///< appended to the title in text, in parentheses
};

/// Rows of an answer, printable as aligned text, RFC 4180 csv or a json array of objects.
/// csv and json hold full precision; a NaN or an infinity throws an internal error.
class Table {
public:
    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

    void add(std::vector<Cell> row);
    [[nodiscard]] std::size_t rows() const { return rows_.size(); }
    [[nodiscard]] std::vector<Column> const& columns() const { return columns_; }
    [[nodiscard]] Cell const& at(std::size_t row, std::size_t column) const {
        return rows_.at(row).at(column);
    }

    [[nodiscard]] std::string print(TableFormat format) const;
    [[nodiscard]] std::string text() const;
    [[nodiscard]] std::string csv() const;
    [[nodiscard]] std::string json() const;

private:
    std::vector<Column> columns_;
    std::vector<std::vector<Cell>> rows_;
};

/// `text` quoted as RFC 4180 wants it, only where needed.
std::string csv_field(std::string_view text);

}  // namespace nvl72
