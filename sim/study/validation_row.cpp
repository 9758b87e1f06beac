#include "sim/study/validation_row.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <span>

namespace nvl72 {

namespace {

Cell number(std::optional<double> const& value) { return value ? Cell{*value} : Cell{}; }
Cell count(std::int64_t value) { return value > 0 ? Cell{value} : Cell{}; }
Cell percent(std::optional<double> const& share) { return share ? Cell{100 * *share} : Cell{}; }

/// The value below which a share of the sorted values lies, between two of them in proportion.
double quantile(std::vector<double> const& sorted, double share) {
    double const place = share * static_cast<double>(sorted.size() - 1);
    auto const below = static_cast<std::size_t>(place);
    auto const above = std::min(below + 1, sorted.size() - 1);
    return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

/// Where rows of one NVLink domain, and rows across domains, are parted by size.
struct SizeClass {
    std::int64_t below;  ///< bytes, exclusive
    std::string_view words;
};
constexpr std::int64_t mebibyte = 1 << 20;
constexpr std::int64_t any_size = std::numeric_limits<std::int64_t>::max();
constexpr std::array inside_classes{SizeClass{512, "< 512 B"},
                                    SizeClass{512 * mebibyte + 1, "512 B-512 MiB"},
                                    SizeClass{any_size, "> 512 MiB"}};
constexpr std::array across_classes{SizeClass{mebibyte, "< 1 MiB"},
                                    SizeClass{256 * mebibyte, "1-256 MiB"},
                                    SizeClass{any_size, ">= 256 MiB"}};
constexpr std::int64_t box_gpus_max = 8;  // of a box; a tray of a rack has 4

std::string_view size_words(std::int64_t bytes, std::span<SizeClass const> classes) {
    return std::ranges::find_if(classes, [&](SizeClass const& c) { return bytes < c.below; })
        ->words;
}

/// Rows of collectives that say what was sent.
bool has_class(ValidationRow const& row) {
    return row.domains > 0 && (row.bytes > 0 || row.status != "skipped");
}

std::string class_of(ValidationRow const& row) {
    bool const across = row.domains > 1;
    bool const in_box = !across && row.gpus <= box_gpus_max;
    std::string const place = across ? "across" : in_box ? "in box or tray" : "in rack";
    if (in_box && !row.two_times.empty()) {
        return fmt::format("{} {} {}, bimodal", place, row.subject, row.two_times);
    }
    if (row.bytes == 0) return place + " " + row.subject;
    if (!across) return fmt::format("{} {}", place, size_words(row.bytes, inside_classes));
    return fmt::format("{} {}, {}", place, size_words(row.bytes, across_classes),
                       row.fabric.empty() ? "fabric not told" : row.fabric);
}

/// Groups in order of first appearance.
class Groups {
public:
    void add(ValidationRow const& row, std::string const& group, std::string const& gpu) {
        auto const key = row.table + "\n" + gpu + "\n" + group;
        auto const found = index_.emplace(key, groups_.size());
        if (found.second) groups_.push_back({{row.table, gpu, group}, {}});
        groups_[found.first->second].rows.push_back(&row);
    }

    [[nodiscard]] std::vector<ValidationSummary> summaries() const {
        std::vector<ValidationSummary> all;
        for (auto const& group : groups_) all.push_back(summary_of(group));
        return all;
    }

private:
    struct Group {
        std::array<std::string, 3> name;  // table, GPU, group
        std::vector<ValidationRow const*> rows;
    };

    static ValidationSummary summary_of(Group const& group) {
        ValidationSummary summary;
        summary.table = group.name[0];
        summary.gpu = group.name[1];
        summary.group = group.name[2];
        summary.rows = group.rows.size();
        std::vector<double> errors, sizes, widths;
        std::size_t inside = 0;
        for (auto const* row : group.rows) {
            if (!row->scored()) continue;
            double const error = *row->error();
            errors.push_back(error);
            sizes.push_back(std::abs(error));
            summary.mape += std::abs(error);
            summary.in_fit += row->in_fit ? 1 : 0;
            if (!row->spread.known()) continue;
            double const ratio = *row->measured / *row->predicted;
            inside += row->spread.low <= ratio && ratio <= row->spread.high ? 1 : 0;
            widths.push_back(row->spread.high - row->spread.low);
        }
        summary.scored = errors.size();
        if (errors.empty()) return summary;
        std::ranges::sort(errors);
        std::ranges::sort(sizes);
        summary.mape /= static_cast<double>(errors.size());
        summary.bias = quantile(errors, 0.5);
        summary.median = quantile(sizes, 0.5);
        summary.p90 = quantile(sizes, 0.9);
        summary.p95 = quantile(sizes, 0.95);
        summary.worst = sizes.back();
        if (widths.empty()) return summary;
        std::ranges::sort(widths);
        summary.covered = static_cast<double>(inside) / static_cast<double>(widths.size());
        summary.width = quantile(widths, 0.5);
        return summary;
    }

    std::map<std::string, std::size_t> index_;
    std::vector<Group> groups_;
};

/// Rows that fail alike are one reason, wherever they stand.
std::string without_place(ValidationRow const& row) {
    auto const place = fmt::format("{}:{}: ", row.source, row.line);
    return row.reason.starts_with(place) ? row.reason.substr(place.size()) : row.reason;
}

}  // namespace

std::optional<double> ValidationRow::error() const {
    if (!measured || !predicted) return std::nullopt;
    return *predicted / *measured - 1;
}

bool ValidationRow::scored() const {
    return error().has_value() && (status == "ok" || status == "defaulted");
}

Table validation_table(std::vector<ValidationRow> const& rows) {
    Table table({{"table", "table"},
                 {"source", "source"},
                 {"line", "line"},
                 {"metric", "metric"},
                 {"unit", "unit"},
                 {"gpu", "GPU"},
                 {"gpus", "GPUs"},
                 {"subject", "subject"},
                 {"precision", "precision"},
                 {"bytes", "bytes"},
                 {"measured", "measured"},
                 {"predicted", "predicted"},
                 {"p10", "p10"},
                 {"p90", "p90"},
                 {"error", "(predicted-measured)/measured"},
                 {"basis", "basis"},
                 {"basis_share", "share", 2},
                 {"in_fit", "in fit"},
                 {"status", "status"},
                 {"reason", "reason"},
                 {"bound_by", "bound by"},
                 {"profile", "profile"},
                 {"recipe", "recipe"},
                 {"part", "part"},
                 {"domains", "domains"},
                 {"fabric", "fabric"},
                 {"model_tflops", "model TFLOP/s per GPU"},
                 {"verdict", "verdict"},
                 {"from", "from"}});
    for (auto const& row : rows) {
        bool const interval = row.predicted && row.spread.known();
        auto const bound = [&](double factor) {
            return interval ? Cell{*row.predicted * factor} : Cell{};
        };
        table.add({row.table,
                   row.source,
                   count(row.line),
                   row.metric,
                   row.unit,
                   row.gpu,
                   count(row.gpus),
                   row.subject,
                   row.precision,
                   count(row.bytes),
                   number(row.measured),
                   number(row.predicted),
                   bound(row.spread.low),
                   bound(row.spread.high),
                   number(row.error()),
                   row.basis,
                   row.predicted ? Cell{row.basis_share} : Cell{},
                   std::int64_t{row.in_fit},
                   row.status,
                   row.reason,
                   row.bound_by,
                   row.profile,
                   row.recipe,
                   row.part,
                   count(row.domains),
                   row.fabric,
                   row.model_tflops > 0 ? Cell{row.model_tflops} : Cell{},
                   row.verdict,
                   row.from});
    }
    return table;
}

std::vector<ValidationSummary> summarise(std::vector<ValidationRow> const& rows, GroupBy by) {
    Groups groups;
    for (auto const& row : rows) {
        if (by == GroupBy::source) {
            groups.add(row, row.source, row.gpu);
        } else if (by == GroupBy::all) {
            groups.add(row, "all", "");
        } else if (by == GroupBy::part && !row.part.empty()) {
            groups.add(row, row.part, row.gpu);
        } else if (by == GroupBy::trait && row.model_tflops > 0) {
            groups.add(row, "GPU " + row.gpu, "");
            groups.add(row, "precision " + row.precision, "");
            if (!row.release.empty()) groups.add(row, row.release, "");
            groups.add(row, "model " + row.subject, "");
        } else if (by == GroupBy::size_class && has_class(row)) {
            bool const in_box = row.domains == 1 && row.gpus <= box_gpus_max;
            groups.add(row, class_of(row), in_box ? row.gpu : "");
        }
    }
    auto summaries = groups.summaries();
    if (by == GroupBy::size_class || by == GroupBy::trait) {
        std::ranges::stable_sort(summaries, {}, [](ValidationSummary const& summary) {
            return std::pair(summary.group, summary.gpu);
        });
    }
    return summaries;
}

Table summary_table(std::vector<ValidationSummary> const& summaries) {
    Table table({{"table", "table"},
                 {"gpu", "GPU"},
                 {"group", "group"},
                 {"rows", "rows"},
                 {"scored", "scored"},
                 {"in_fit", "in fit"},
                 {"mape_percent", "MAPE", 1, "%"},
                 {"median_percent", "median", 1, "%"},
                 {"p90_percent", "p90", 1, "%"},
                 {"p95_percent", "p95", 1, "%"},
                 {"worst_percent", "worst", 0, "%"},
                 {"bias_percent", "bias (predicted-measured)/measured", 1, "%"},
                 {"covered_percent", "in 80 % interval", 0, "%"},
                 {"width_percent", "its width", 0, "%"},
                 {"width_over_error", "width/error", 1}});
    for (auto const& summary : summaries) {
        std::vector<Cell> cells{summary.table,
                                summary.gpu,
                                summary.group,
                                static_cast<std::int64_t>(summary.rows),
                                static_cast<std::int64_t>(summary.scored),
                                static_cast<std::int64_t>(summary.in_fit)};
        if (summary.scored == 0) {
            cells.resize(table.columns().size());
        } else {
            for (double const share : {summary.mape, summary.median, summary.p90, summary.p95,
                                       summary.worst, summary.bias}) {
                cells.emplace_back(100 * share);
            }
            cells.push_back(percent(summary.covered));
            cells.push_back(percent(summary.width));
            cells.push_back(summary.width && summary.median > 0
                                ? Cell{*summary.width / summary.median}
                                : Cell{});
        }
        table.add(std::move(cells));
    }
    return table;
}

Table skipped_table(std::vector<ValidationRow> const& rows) {
    std::map<std::pair<std::string, std::string>, std::int64_t> counts;
    for (auto const& row : rows) {
        if (!row.scored() || !row.reason.empty()) ++counts[{row.status, without_place(row)}];
    }
    Table table({{"status", "status"}, {"rows", "rows"}, {"reason", "reason"}});
    for (auto const& [why, number_of] : counts) table.add({why.first, number_of, why.second});
    return table;
}

}  // namespace nvl72
