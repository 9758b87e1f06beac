#include "sim/interchange/csv.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sstream>

namespace nvl72 {

namespace {

/// Reads records off a text, counting physical lines.
class Records {
public:
    Records(std::string_view text, std::string const& file) : text_(text), file_(file) {
        if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
    }

    /// The next record that is neither blank nor a comment; false at the end.
    bool next(std::vector<std::string>& cells, int& line) {
        while (at_ < text_.size()) {
            line = line_;
            bool const comment = text_[at_] == '#';
            if (comment || text_[at_] == '\n' || text_[at_] == '\r') {
                skip_line();
                continue;
            }
            read(cells);
            return true;
        }
        return false;
    }

private:
    void skip_line() {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
        ++at_;
        ++line_;
    }

    void read(std::vector<std::string>& cells) {
        cells.assign(1, "");
        bool quoted = false;
        int const first_line = line_;
        for (; at_ < text_.size(); ++at_) {
            char const c = text_[at_];
            if (quoted) {
                if (c == '\n') ++line_;
                if (c != '"') {
                    cells.back() += c;
                } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
                    cells.back() += '"';
                    ++at_;
                } else {
                    quoted = false;
                }
            } else if (c == '"' && cells.back().empty()) {
                quoted = true;
            } else if (c == ',') {
                cells.emplace_back();
            } else if (c == '\n') {
                skip_line();
                return;
            } else if (c != '\r') {
                cells.back() += c;
            }
        }
        if (quoted) fail({file_, first_line, ""}, "a quote that never closes", "\"...\"");
    }

    std::string_view text_;
    std::string const& file_;
    std::size_t at_ = 0;
    int line_ = 1;
};

}  // namespace

CsvTable CsvTable::load(std::string const& path) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) throw ConfigError(path + ": no such file");
    if (!std::filesystem::is_regular_file(path, ignored)) {
        throw ConfigError(path + ": not a file (expected a CSV file)");
    }
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in) throw ConfigError(path + ": cannot be read");
    return parse(text.str(), path);
}

CsvTable CsvTable::parse(std::string_view text, std::string file) {
    CsvTable table;
    table.file_ = std::move(file);
    Records records(text, table.file_);
    int line = 0;
    if (!records.next(table.header_, line)) {
        throw ConfigError(fmt::format("{}:1: no header line (expected column names)", table.file_));
    }
    for (auto& name : table.header_) {
        name = std::string(trimmed(name));
        if (std::ranges::count(table.header_, name) > 1) {
            fail({table.file_, line, name}, "a column given twice", "once");
        }
    }
    Row row;
    while (records.next(row.cells, row.line)) {
        if (row.cells.size() != table.header_.size()) {
            fail({table.file_, row.line, ""}, fmt::format("{} fields", row.cells.size()),
                 fmt::format("{}, as in the header", table.header_.size()));
        }
        table.rows_.push_back(row);
    }
    return table;
}

bool CsvTable::has(std::string_view column) const {
    return std::ranges::find(header_, column) != header_.end();
}

std::string const& CsvTable::text(std::size_t row, std::string_view column) const {
    auto const found = std::ranges::find(header_, column);
    if (found == header_.end()) {
        fail({file_, 1, ""}, fmt::format("no column '{}'", column), join(header_));
    }
    return rows_.at(row).cells[static_cast<std::size_t>(found - header_.begin())];
}

double CsvTable::positive_or_blank(std::size_t row, std::string_view column) const {
    return trimmed(text(row, column)).empty() ? 0 : positive(row, column);
}

double CsvTable::positive(std::size_t row, std::string_view column) const {
    auto const cell = trimmed(text(row, column));
    double number = 0;
    auto const [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), number);
    bool const read = error == std::errc{} && end == cell.data() + cell.size();
    constexpr double least = 1e-6, most = 1e15;
    if (!read || !(number > 0)) {
        fail(place(row, column), fmt::format("'{}'", cell), "a number above 0");
    }
    if (number < least || number > most) {
        fail(place(row, column), fmt::format("'{}'", cell), "a number from 1e-6 to 1e15");
    }
    return number;
}

std::int64_t CsvTable::whole(std::size_t row,
                             std::string_view column,
                             std::int64_t least,
                             std::int64_t most) const {
    auto const cell = trimmed(text(row, column));
    std::int64_t number = 0;
    auto const [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), number);
    if (error != std::errc{} || end != cell.data() + cell.size() || number < least) {
        fail(place(row, column), fmt::format("'{}'", cell),
             fmt::format("a whole number of at least {}", least));
    }
    if (number > most) {
        fail(place(row, column), std::string(cell), fmt::format("at most {}", most));
    }
    return number;
}

Place CsvTable::place(std::size_t row, std::string_view column) const {
    return {file_, rows_.at(row).line, std::string(column)};
}

}  // namespace nvl72
