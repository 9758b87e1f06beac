#pragma once

#include "sim/config/value.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// A CSV file (RFC 4180) with a header line: cells by row and column name, each of which knows
/// its place for messages. Lines that begin with # are comments; blank lines are skipped. A row
/// that is damaged (too few or too many cells, a quote that never closes) stays in its place, and
/// fails when a cell of it is read: whoever reads row by row loses no other.
class CsvTable {
public:
    static CsvTable load(std::string const& path);
    static CsvTable parse(std::string_view text, std::string file);

    [[nodiscard]] std::string const& file() const { return file_; }
    [[nodiscard]] std::vector<std::string> const& header() const { return header_; }
    [[nodiscard]] std::size_t rows() const { return rows_.size(); }
    [[nodiscard]] bool has(std::string_view column) const;

    /// Text of a cell; fails where the header lacks the column, or the row is damaged. Columns are
    /// found whatever their case.
    [[nodiscard]] std::string const& text(std::size_t row, std::string_view column) const;
    /// Whether the cell says nothing: empty, or as programs write a missing number (nan, null, -).
    [[nodiscard]] bool blank(std::size_t row, std::string_view column) const;
    /// A number from 1e-6 to 1e15, wider than anything measured, and a whole one from `least` to
    /// `most`, which may be written 4.0.
    [[nodiscard]] double positive(std::size_t row, std::string_view column) const;
    /// The same, or 0 for a blank cell: nothing was measured.
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
        std::string damage;  ///< the message of what is wrong with the row
    };
    [[nodiscard]] std::size_t find(std::string_view column) const;
    std::string file_;
    std::vector<std::string> header_;
    std::vector<Row> rows_;
};

/// Why a row is not to be scored: what its column `aside` says, or its `quality` where that is
/// another than ok; "" where neither says anything.
std::string aside_of(CsvTable const& table, std::size_t row);

}  // namespace nvl72
