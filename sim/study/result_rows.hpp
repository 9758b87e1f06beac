#pragma once

#include "sim/base/error.hpp"
#include "sim/trace/result_file.hpp"

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace nvl72 {

using Integers = std::vector<std::int64_t>;
using Reals = std::vector<double>;
using Texts = std::vector<std::string>;

/// Collects rows of one result table, column by column.
class Rows {
public:
    explicit Rows(ResultTable layout) : table_(std::move(layout)) {}

    void add(std::vector<std::variant<std::int64_t, double, std::string>> const& row) {
        NVL72_EXPECT(row.size() == table_.columns.size(), "a row fills every column");
        for (std::size_t c = 0; c < row.size(); ++c) {
            std::visit(
                [&](auto const& value) {
                    using T = std::decay_t<decltype(value)>;
                    std::get<std::vector<T>>(table_.columns[c].values).push_back(value);
                },
                row[c]);
        }
    }

    [[nodiscard]] ResultTable const& table() const { return table_; }

    void move_to(ResultFile& file) {
        if (table_.columns.front().rows() > 0) file.tables.push_back(std::move(table_));
    }

private:
    ResultTable table_;
};

}  // namespace nvl72
