#include "sim/interchange/csv.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <array>
#include <cctype>
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
    explicit Records(std::string_view text) : text_(text) {
        if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
    }

    struct Record {
        std::vector<std::string> cells;
        int line = 0;
        bool open = false;   ///< the text ended within quotes
        bool stray = false;  ///< something stands behind a closing quote
    };

    /// The next record that is neither blank nor a comment; false at the end.
    bool next(Record& record) {
        while (at_ < text_.size()) {
            bool const comment = text_[at_] == '#';
            if (comment || text_[at_] == '\n' || text_[at_] == '\r') {
                skip_line();
                continue;
            }
            begin_ = at_;
            read(record);
            if (!std::ranges::all_of(record.cells, is_space)) return true;
        }
        return false;
    }

    /// Goes on after the first physical line of the record last read.
    void only_first_line(int line) {
        at_ = begin_;
        line_ = line;
        skip_line();
    }

    [[nodiscard]] int line() const { return line_; }

private:
    static bool is_space(std::string const& cell) { return trimmed(cell).empty(); }

    void skip_line() {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
        ++at_;
        ++line_;
    }

    void read(Record& record) {
        auto& cells = record.cells;
        cells.assign(1, "");
        record.line = line_;
        record.open = record.stray = false;
        bool quoted = false, closed = false;
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
                    closed = true;
                }
            } else if (c == '"' && is_space(cells.back())) {
                cells.back().clear();
                quoted = true;
            } else if (c == ',') {
                cells.emplace_back();
                closed = false;
            } else if (c == '\n') {
                skip_line();
                return;
            } else if (c != '\r') {
                record.stray = record.stray || (closed && c != ' ' && c != '\t');
                cells.back() += c;
            }
        }
        record.open = quoted;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t begin_ = 0;
    int line_ = 1;
};

/// "4.0" without its ".0", as programs write a whole number of a column with gaps.
std::string_view whole_part(std::string_view cell) {
    auto const point = cell.find('.');
    if (point == std::string_view::npos || point == 0) return cell;
    bool const zeros = cell.find_first_not_of('0', point + 1) == std::string_view::npos;
    return zeros ? cell.substr(0, point) : cell;
}

std::string lower(std::string_view text) {
    std::string name(text);
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return name;
}

/// `file:line: key: found (expected ...)`, to be thrown when the row is read.
std::string message(Place const& place, std::string const& found, std::string const& expected) {
    try {
        fail(place, found, expected);
    } catch (ConfigError const& error) {
        return error.what();
    }
}

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
    std::string unified;
    if (text.find('\n') == std::string_view::npos) {  // lines that end in a return alone
        unified = text;
        std::ranges::replace(unified, '\r', '\n');
        text = unified;
    }
    CsvTable table;
    table.file_ = std::move(file);
    Records records(text);
    Records::Record record;
    if (!records.next(record)) {
        throw ConfigError(fmt::format("{}:1: no header line (expected column names)", table.file_));
    }
    if (record.open) fail({table.file_, record.line, ""}, "a quote that never closes", "\"...\"");
    for (auto const& name : record.cells) table.header_.emplace_back(trimmed(name));
    while (table.header_.back().empty() && table.header_.size() > 1) table.header_.pop_back();
    while (records.next(record)) {
        std::string damage;
        auto const columns = table.header_.size();
        while (record.cells.size() > columns && trimmed(record.cells.back()).empty())
            record.cells.pop_back();
        bool const lines = records.line() > record.line + 1;
        if (record.open || (record.stray && lines)) {
            damage =
                message({table.file_, record.line, ""}, "a quote that never closes", "\"...\"");
        } else if (record.cells.size() != columns) {
            damage = message({table.file_, record.line, ""},
                             fmt::format("{} fields", record.cells.size()),
                             fmt::format("{}, as in the header", columns));
        }
        // A stray quote swallows lines: they are read again, each as a row of its own.
        if (record.open || (lines && !damage.empty())) records.only_first_line(record.line);
        table.rows_.push_back({record.line, std::move(record.cells), std::move(damage)});
    }
    return table;
}

std::size_t CsvTable::find(std::string_view column) const {
    auto const exact = std::ranges::find(header_, column);
    auto const found =
        exact != header_.end() ? exact : std::ranges::find(header_, lower(column), lower);
    return static_cast<std::size_t>(found - header_.begin());
}

bool CsvTable::has(std::string_view column) const { return find(column) < header_.size(); }

std::string const& CsvTable::text(std::size_t row, std::string_view column) const {
    auto const found = find(column);
    if (found == header_.size()) {
        fail({file_, 1, ""}, fmt::format("no column '{}'", column), join(header_));
    }
    auto const& own = rows_.at(row);
    if (!own.damage.empty()) throw ConfigError(own.damage);
    for (std::size_t other = found + 1; other < header_.size(); ++other) {
        if (header_[other] == header_[found] && own.cells[other] != own.cells[found]) {
            fail(place(row, column), "a column given twice, with different cells", "once");
        }
    }
    return own.cells[found];
}

bool CsvTable::blank(std::size_t row, std::string_view column) const {
    constexpr std::array<std::string_view, 7> words{"", "-", "nan", "null", "none", "n/a", "na"};
    return std::ranges::find(words, lower(trimmed(text(row, column)))) != words.end();
}

double CsvTable::positive_or_blank(std::size_t row, std::string_view column) const {
    return blank(row, column) ? 0 : positive(row, column);
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
    auto const cell = whole_part(trimmed(text(row, column)));
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

std::string aside_of(CsvTable const& table, std::size_t row) {
    if (table.has("aside") && !table.blank(row, "aside"))
        return std::string(trimmed(table.text(row, "aside")));
    if (!table.has("quality") || table.blank(row, "quality")) return "";
    auto const quality = trimmed(table.text(row, "quality"));
    return lower(quality) == "ok" ? "" : fmt::format("quality '{}'", quality);
}

}  // namespace nvl72
