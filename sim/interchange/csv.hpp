#pragma once

#include "sim/config/value.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// A CSV file (RFC 4180) with a header line: cells by row and column name, each of which knows
/// its place for messages. Lines that begin with # are comments; blank lines are skipped.
class CsvTable {
public:
    static CsvTable load(std::string const& path);
    static CsvTable parse(std::string_view text, std::string file);

    [[nodiscard]] std::string const& file() const { return file_; }
    [[nodiscard]] std::vector<std::string> const& header() const { return header_; }
    [[nodiscard]] std::size_t rows() const { return rows_.size(); }
    [[nodiscard]] bool has(std::string_view column) const;

    /// Text of a cell; fails where the header lacks the column.
    [[nodiscard]] std::string const& text(std::size_t row, std::string_view column) const;
    /// A number from 1e-6 to 1e15, wider than anything measured, and a whole one from `least` to
    /// `most`.
    [[nodiscard]] double positive(std::size_t row, std::string_view column) const;
    /// The same, or 0 for an empty cell: nothing was measured.
    [[nodiscard]] double positive_or_blank(std::size_t row, std::string_view column) const;
    [[nodiscard]] std::int64_t whole(std::size_t row,
                                     std::string_view column,
                                     std::int64_t least,
                                     std::int64_t most = std::int64_t{1} << 50) const;

    /// `file:line: column` of a cell.
    [[nodiscard]] Place place(std::size_t row, std::string_view column) const;

private:
    struct Row {
        int line = 0;
        std::vector<std::string> cells;
    };
    std::string file_;
    std::vector<std::string> header_;
    std::vector<Row> rows_;
};

}  // namespace nvl72
