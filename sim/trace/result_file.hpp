#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace nvl72 {

/// One column of a result: equal rows of one type. Text is stored once per distinct value.
struct ResultColumn {
    std::string name;  ///< "step_s"
    std::string unit;  ///< "s"; "" for a count, a name or a share
    std::string help;  ///< one sentence
    std::variant<std::vector<std::int64_t>, std::vector<double>, std::vector<std::string>> values;
    bool optional = false;  ///< NaN means "there is none"; elsewhere NaN is an internal error

    [[nodiscard]] std::size_t rows() const;
};

/// Columns of equal length, at least one row: a table without rows is left out of the file.
struct ResultTable {
    std::string name;  ///< "sweep" becomes the group /sweep
    std::vector<ResultColumn> columns;

    [[nodiscard]] ResultColumn const* find(std::string const& column) const;
};

/// What one run leaves behind (layout: results/FORMAT.md). Holds no wall-clock time, so the same
/// config and data give the same bytes.
struct ResultFile {
    std::string config;  ///< the YAML text, with overrides applied
    std::uint64_t seed = 0;
    std::vector<std::string> calibrations, recipes;  ///< names, in order of use
    std::string program_version;
    std::vector<ResultTable> tables;

    /// 16 hexadecimal digits over config, seed, calibrations, recipes and every table (names,
    /// units and values; tables and columns by name). Help texts and the program's version are
    /// left out: a new wording or release with the same numbers keeps its digest.
    [[nodiscard]] std::string digest() const;

    [[nodiscard]] ResultTable const* find(std::string const& table) const;
};

/// Throws ConfigError unless `path` names a file that could be written now: its folder exists and
/// is writable, and nothing but a result file stands there. Call it before a long run.
void check_result_path(std::string const& path);

/// Writes the file whole or not at all: to a temporary name beside `path`, fsynced, then renamed.
/// On failure what stood at `path` is untouched and a ConfigError names the path.
void write_result(ResultFile const& result, std::string const& path);

/// Reads what write_result wrote, tables and columns in the order written. A file that is not
/// ours, is damaged, or does not match its digest is a ConfigError of one line.
ResultFile read_result(std::string const& path);

}  // namespace nvl72
