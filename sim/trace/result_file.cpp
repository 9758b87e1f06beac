#include "sim/trace/result_file.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/trace/atomic_file.hpp"
#include "sim/trace/layout.hpp"
#include "sim/trace/seal.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <set>

namespace nvl72 {

namespace {

template <class Named>
std::vector<Named const*> by_name(std::vector<Named> const& all) {
    std::vector<Named const*> sorted;
    for (auto const& one : all) sorted.push_back(&one);
    std::ranges::sort(sorted, [](Named const* a, Named const* b) { return a->name < b->name; });
    return sorted;
}

template <class Named>
Named const* named(std::vector<Named> const& all, std::string const& name) {
    auto const found =
        std::ranges::find_if(all, [&name](Named const& one) { return one.name == name; });
    return found == all.end() ? nullptr : &*found;
}

void add_number(Digest& digest, std::uint64_t number) { digest.add(&number, sizeof number); }

void add_texts(Digest& digest, std::vector<std::string> const& texts) {
    add_number(digest, texts.size());
    for (auto const& text : texts) digest.add(text);
}

void add_values(Digest& digest, ResultColumn const& column) {
    add_number(digest, column.values.index());
    if (auto const* integers = std::get_if<std::vector<std::int64_t>>(&column.values)) {
        digest.add(integers->data(), integers->size() * sizeof(std::int64_t));
    } else if (auto const* reals = std::get_if<std::vector<double>>(&column.values)) {
        for (double value : *reals) {
            // NaN has many bit patterns and one meaning.
            if (std::isnan(value)) value = std::numeric_limits<double>::quiet_NaN();
            digest.add(&value, sizeof value);
        }
    } else {
        add_texts(digest, std::get<std::vector<std::string>>(column.values));
    }
}

bool is_plain_text(std::string const& text) { return text.find('\0') == std::string::npos; }

/// Names become HDF5 links: a slash would open a folder, "." is the group itself.
bool is_name(std::string const& name) {
    return !name.empty() && name != "." && name.find('/') == std::string::npos &&
           is_plain_text(name);
}

void check_column(ResultTable const& table, ResultColumn const& column) {
    std::string const where = "/" + table.name + "/" + column.name + ": ";
    NVL72_EXPECT(is_name(column.name), where + "a column has a plain name");
    NVL72_EXPECT(is_plain_text(column.unit) && is_plain_text(column.help),
                 where + "unit and help hold no NUL");
    NVL72_EXPECT(column.rows() == table.columns.front().rows(),
                 where + "columns of a table are equally long");
    NVL72_EXPECT(column.rows() > 0, where + "a table has rows (leave an empty one out)");
    if (auto const* reals = std::get_if<std::vector<double>>(&column.values)) {
        for (double const value : *reals) {
            NVL72_EXPECT(!std::isinf(value), where + "values are finite");
            NVL72_EXPECT(column.optional || !std::isnan(value),
                         where + "NaN stands only in an optional column");
        }
    }
    if (auto const* texts = std::get_if<std::vector<std::string>>(&column.values)) {
        NVL72_EXPECT(std::ranges::all_of(*texts, is_plain_text), where + "text holds no NUL");
    }
}

void check_result(ResultFile const& result) {
    NVL72_EXPECT(!result.tables.empty(), "a result has tables");
    NVL72_EXPECT(is_plain_text(result.config) && is_plain_text(result.program_version),
                 "config and version hold no NUL");
    std::set<std::string> names{"strings"};  // taken by the dictionary
    for (auto const& table : result.tables) {
        NVL72_EXPECT(is_name(table.name), "a table has a plain name");
        NVL72_EXPECT(names.insert(table.name).second, "table names are unique: " + table.name);
        NVL72_EXPECT(!table.columns.empty(), "a table has columns: " + table.name);
        std::set<std::string> columns;
        for (auto const& column : table.columns) {
            NVL72_EXPECT(columns.insert(column.name).second,
                         "column names are unique: " + table.name + "/" + column.name);
            check_column(table, column);
        }
    }
}

}  // namespace

std::size_t ResultColumn::rows() const {
    return std::visit([](auto const& some) { return some.size(); }, values);
}

ResultColumn const* ResultTable::find(std::string const& column) const {
    return named(columns, column);
}

ResultTable const* ResultFile::find(std::string const& table) const { return named(tables, table); }

std::string ResultFile::digest() const {
    Digest digest;
    digest.add(config);
    add_number(digest, seed);
    add_texts(digest, calibrations);
    add_texts(digest, recipes);
    add_number(digest, tables.size());
    for (auto const* table : by_name(tables)) {
        digest.add(table->name);
        add_number(digest, table->columns.size());
        for (auto const* column : by_name(table->columns)) {
            digest.add(column->name);
            digest.add(column->unit);
            add_number(digest, column->optional ? 1 : 0);
            add_number(digest, column->rows());
            add_values(digest, *column);
        }
    }
    return digest.hex();
}

void check_result_path(std::string const& path) {
    check_writable(path);
    // A slip such as `-o config.yaml` must not cost the user that file.
    std::ifstream there(path, std::ios::binary);
    std::string first(16, '\0');
    there.read(first.data(), static_cast<std::streamsize>(first.size()));
    if (there.gcount() > 0 && !begins_like(first)) {
        throw ConfigError(path + ": holds something else than a result" +
                          " (expected a new name, or a result file to replace)");
    }
}

void write_result(ResultFile const& result, std::string const& path) {
    check_result(result);
    check_writable(path);
    write_whole(path, result_image(result));
}

ResultFile read_result(std::string const& path) {
    auto const bytes = read_whole(path);
    std::string stored;
    auto const result = result_from_image(bytes, path, stored);
    if (result.digest() != stored) {
        throw ConfigError(path + ": damaged: its data give digest " + result.digest() +
                          ", its root says '" + stored +
                          "' (expected a file as nvl72sim wrote it)");
    }
    return result;
}

}  // namespace nvl72
