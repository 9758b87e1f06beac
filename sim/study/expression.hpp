#pragma once

#include "sim/config/value.hpp"
#include "sim/trace/result_file.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// What an expression comes to: one number or text, or a row of them.
struct Values {
    std::vector<double> numbers;
    std::vector<std::string> texts;  ///< in place of numbers where `is_text`
    bool is_text = false;

    [[nodiscard]] std::size_t size() const { return is_text ? texts.size() : numbers.size(); }
    static Values of(std::vector<double> numbers) { return {std::move(numbers), {}, false}; }
    static Values of(std::vector<std::string> texts) { return {{}, std::move(texts), true}; }
};

/// A point's own name, without what its sweep adds to it, and the keys that were swept.
struct PointTag {
    std::string name;
    std::vector<std::pair<std::string, std::string>> swept;
};

/// What expressions may name: the tables of a run, the swept keys of its points, and values that
/// were worked out before.
class Scope {
public:
    Scope(std::vector<ResultTable> const& tables, std::vector<PointTag> points)
        : points_(std::move(points)) {
        for (ResultTable const& table : tables) add(table);
    }

    /// One more table, which outlives the scope.
    void add(ResultTable const& table) { tables_.push_back(&table); }
    void set(std::string const& name, Values values) { named_[name] = std::move(values); }
    [[nodiscard]] std::map<std::string, Values> const& named() const { return named_; }
    [[nodiscard]] std::vector<ResultTable const*> const& tables() const { return tables_; }
    [[nodiscard]] std::vector<PointTag> const& points() const { return points_; }

private:
    std::vector<ResultTable const*> tables_;
    std::vector<PointTag> points_;
    std::map<std::string, Values> named_;
};

/// Arithmetic over numbers, names and columns:
///
///   step_s[gb200, gpus=1024] / step_s[h100, gpus=1024]     a column of /sweep at chosen points
///   collectives.busbw[rack, op=all_reduce]                 of another table
///   cluster.nvlink_domain[gb200]                           a swept key, as a number
///   max(x)  min sum mean median count first last           many numbers to one
///   min(x, y)  abs sqrt log2 log10 round floor ceil        one by one
///   at_max(x, y)  at_min                                   the x where y is largest, least
///
/// In brackets: a system's name, in ' where it has a comma, or COLUMN=VALUE or SWEPT.KEY=VALUE.
/// Measured points are left out unless `kind` is asked for. Errors name `place`.
Values evaluate(std::string const& expression, Scope const& scope, Place const& place);

/// `text` with {name} and {name:FORMAT} filled in: FORMAT as fmt has it for a number, `,` before it
/// for thousands (`:,.0f`), `%` at its end for a share (`:.1%`). {{ and }} are braces.
std::string fill(std::string const& text, Scope const& scope, Place const& place);

}  // namespace nvl72
