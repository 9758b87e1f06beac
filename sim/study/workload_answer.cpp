#include "sim/study/workload_answer.hpp"

#include "sim/base/text.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <sstream>

namespace nvl72 {

namespace {

constexpr double seconds_of_hour = 3600;
constexpr double seconds_of_day = 86400;
constexpr std::size_t phases_shown_max = 40;
constexpr std::size_t sentences_max = 12;
constexpr double late_share_max = 1e-3;

Cell known(double value) { return std::isnan(value) ? Cell{} : Cell{value}; }

std::string duration(double seconds) {
    if (seconds >= 2 * seconds_of_day) return fmt::format("{:.2f} days", seconds / seconds_of_day);
    if (seconds >= 2 * seconds_of_hour) return fmt::format("{:.2f} h", seconds / seconds_of_hour);
    return fmt::format("{:.3g} s", seconds);
}

PhaseRow const* phase_of(std::vector<PhaseRow> const& phases,
                         std::int64_t point,
                         auto const& holds) {
    for (auto const& phase : phases) {
        if (phase.point == point && holds(phase)) return &phase;
    }
    return nullptr;
}

/// What a sweep's answer is told by: a trainer's idle share, robots that are late, or the span.
struct Told {
    std::string what;
    double value = 0;
    [[nodiscard]] std::string text() const {
        return what == "takes" ? duration(value) : fmt::format("{:.1f} %", 100 * value);
    }
};
Told told(WorkloadRow const& row, std::vector<PhaseRow> const& phases) {
    auto const* trains =
        phase_of(phases, row.point, [](auto const& phase) { return phase.kind == "train_loop"; });
    if (trains != nullptr) return {trains->phase + " idle", 1 - trains->busy_share};
    auto const* robots = phase_of(phases, row.point,
                                  [](auto const& phase) { return !std::isnan(phase.miss_share); });
    if (robots != nullptr) return {robots->phase + " late", robots->miss_share};
    return {"takes", row.span_s};
}

std::string of_point(WorkloadRow const& row) {
    return row.system.size() > row.group.size() ? row.system.substr(row.group.size() + 1)
                                                : row.system;
}

/// The most robots that a system bears, over what else its sweep sets.
std::string robots_sentence(std::vector<WorkloadRow const*> const& rows,
                            std::vector<PhaseRow> const& phases) {
    std::map<std::string, double> most;  // by what else was set
    for (auto const* row : rows) {
        auto const* act = phase_of(phases, row->point,
                                   [](auto const& phase) { return !std::isnan(phase.robots); });
        std::string others;
        std::istringstream words(of_point(*row));
        for (std::string word; words >> word;) {
            if (!word.starts_with("robots=")) others += (others.empty() ? "" : " ") + word;
        }
        auto& best = most[others];
        if (act->miss_share < late_share_max) best = std::max(best, act->robots);
    }
    auto const [low, high] =
        std::ranges::minmax_element(most, {}, [](auto const& entry) { return entry.second; });
    if (low->second == high->second)
        return fmt::format("{}: bears {:g} robots with fewer than one answer in a thousand late.",
                           rows.front()->group, high->second);
    return fmt::format(
        "{}: bears {:g} robots ({}) to {:g} ({}) with fewer than one answer in a thousand late.",
        rows.front()->group, low->second, low->first, high->second, high->first);
}

/// The ends of what a long sweep of one system gave.
std::string range_sentence(std::vector<WorkloadRow const*> const& rows,
                           std::vector<PhaseRow> const& phases) {
    auto const by_value = [&](auto const* a, auto const* b) {
        return told(*a, phases).value < told(*b, phases).value;
    };
    auto const [least, most] = std::ranges::minmax_element(rows, by_value);
    Told const low = told(**least, phases);
    Told const high = told(**most, phases);
    std::string text = fmt::format("{}: {} {} ({}) to {} ({})", rows.front()->group, low.what,
                                   low.text(), of_point(**least), high.text(), of_point(**most));
    if (!std::isnan(rows.front()->published_s))
        text += fmt::format(", reported {}", duration(rows.front()->published_s));
    std::vector<std::string> bounds;
    for (auto const* row : rows) {
        if (std::ranges::find(bounds, row->bound_by) == bounds.end())
            bounds.push_back(row->bound_by);
    }
    return text + "; busy most: " + join(bounds, ", ") + ".";
}

std::string point_sentence(WorkloadRow const& row, std::vector<PhaseRow> const& phases) {
    std::string text = fmt::format("{}: {}", row.system, duration(row.span_s));
    if (!std::isnan(row.published_s))
        text +=
            fmt::format(" (reported {}, {:+.0f} %)", duration(row.published_s), 100 * row.error);
    text += fmt::format(", {} busy {:.0f} % of it", row.bound_by, 100 * row.bound_share);
    for (auto const& phase : phases) {
        if (phase.point != row.point) continue;
        if (phase.kind == "train_loop")
            text += fmt::format(", {} idle {:.1f} %", phase.phase, 100 * (1 - phase.busy_share));
        if (!std::isnan(phase.miss_share))
            text += fmt::format(", {} late {:.2f} %", phase.phase, 100 * phase.miss_share);
        if (!std::isnan(phase.real_share) && phase.kind == "train_loop")
            text += fmt::format(", {:.0f} % real", 100 * phase.real_share);
    }
    if (!std::isnan(row.energy_j)) text += fmt::format("; {:.3g} kWh", row.energy_j / 3.6e6);
    if (!std::isnan(row.usd)) text += fmt::format(", {:.3g} USD", row.usd);
    return text + ".";
}

}  // namespace

std::vector<std::string> workload_sentences(std::vector<WorkloadRow> const& rows,
                                            std::vector<PhaseRow> const& phases) {
    std::vector<std::string> all;
    std::vector<std::string> told_groups;
    for (auto const& row : rows) {
        if (rows.size() <= sentences_max) {
            all.push_back(point_sentence(row, phases));
            continue;
        }
        if (std::ranges::find(told_groups, row.group) != told_groups.end()) continue;
        told_groups.push_back(row.group);
        std::vector<WorkloadRow const*> group;
        for (auto const& other : rows) {
            if (other.group == row.group) group.push_back(&other);
        }
        bool const robots = phase_of(phases, row.point, [](auto const& phase) {
                                return !std::isnan(phase.robots);
                            }) != nullptr;
        all.push_back(robots ? robots_sentence(group, phases) : range_sentence(group, phases));
    }
    return all;
}

Table workload_table(std::vector<WorkloadRow> const& rows) {
    Table table({{"system", "system"},
                 {"gpus", "GPUs"},
                 {"span_s", "span", -1, "s"},
                 {"bound_by", "busy most"},
                 {"bound_share", "of the span", 1, "%"},
                 {"cluster_w", "draw", -1, "W"},
                 {"energy_j", "energy", -1, "J"},
                 {"usd", "price", -1, "USD"},
                 {"published_s", "reported", -1, "s"},
                 {"error", "error", 1, "%"}});
    for (auto const& row : rows) {
        table.add({row.system, row.gpus, row.span_s, row.bound_by, 100 * row.bound_share,
                   known(row.cluster_w), known(row.energy_j), known(row.usd),
                   known(row.published_s), known(100 * row.error)});
    }
    return table;
}

Table phase_table(WorkloadResult const& result) {
    Table table({{"system", "system"},
                 {"phase", "phase"},
                 {"kind", "kind"},
                 {"rounds", "rounds"},
                 {"items", "items"},
                 {"items_per_s", "items", -1, "1/s"},
                 {"busy_share", "busy", 1, "%"},
                 {"input_share", "waits for input", 1, "%"},
                 {"output_share", "for room", 1, "%"},
                 {"turn_share", "for others", 1, "%"},
                 {"energy_per_item_j", "energy", -1, "J/item"},
                 {"usd_per_item", "price", -1, "USD/item"},
                 {"miss_share", "late", 2, "%"},
                 {"answer_p99_s", "answer p99", -1, "s"}});
    for (auto const& phase : result.phases) {
        auto const& row = result.rows[static_cast<std::size_t>(phase.point)];
        if (result.phases.size() > phases_shown_max && row.kind == "sweep") continue;
        table.add({row.system, phase.phase, phase.kind, phase.rounds, phase.items,
                   phase.items_per_s, 100 * phase.busy_share, 100 * phase.input_share,
                   100 * phase.output_share, 100 * phase.turn_share, known(phase.energy_per_item_j),
                   known(phase.usd_per_item), known(100 * phase.miss_share),
                   known(phase.answer_p99_s)});
    }
    return table;
}

Table full_table(WorkloadResult const& result) {
    std::vector<Column> columns{{"system", "system"}, {"span_s", "span_s"}};
    for (auto const& column : phase_columns())
        columns.push_back({std::string(column.name), std::string(column.name)});
    Table table(std::move(columns));
    for (auto const& phase : result.phases) {
        auto const& row = result.rows[static_cast<std::size_t>(phase.point)];
        std::vector<Cell> cells{row.system, row.span_s};
        for (auto const& column : phase_columns()) {
            std::visit(
                [&]<class T>(T PhaseRow::* member) {
                    if constexpr (std::is_same_v<T, double>) {
                        cells.push_back(known(phase.*member));
                    } else {
                        cells.emplace_back(phase.*member);
                    }
                },
                column.member);
        }
        table.add(std::move(cells));
    }
    return table;
}

}  // namespace nvl72
