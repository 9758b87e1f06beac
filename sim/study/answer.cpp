#include "sim/study/answer.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <string_view>
#include <type_traits>
#include <variant>

namespace nvl72 {

namespace {

Cell known(double value) { return std::isnan(value) ? Cell{std::monostate{}} : Cell{value}; }

Cell percent(double share) { return known(std::isnan(share) ? share : 100 * share); }

/// What the part is called in front of people: "compute", "exposed TP".
std::string title_of(StepPart const& part) {
    return fmt::format("{}{}", part.column.starts_with("exposed") ? "exposed " : "", part.title);
}

/// "311 - 340" tokens/s/GPU; empty where the calibration states no spread.
Cell interval_of(SweepRow const& row) {
    if (std::isnan(row.step_p10_s)) return {};
    double const tokens = row.tokens_per_s_per_gpu * row.step_s;
    return fmt::format("{:.0f} - {:.0f}", tokens / row.step_p90_s, tokens / row.step_p10_s);
}

/// 80 % interval of a ratio of two throughputs whose errors are independent.
std::string ratio_interval(SweepRow const& from, SweepRow const& to, double ratio) {
    if (std::isnan(from.step_p10_s) || std::isnan(to.step_p10_s)) return "";
    double const down =
        std::hypot(std::log(to.step_p90_s / to.step_s), std::log(from.step_p10_s / from.step_s));
    double const up =
        std::hypot(std::log(to.step_p10_s / to.step_s), std::log(from.step_p90_s / from.step_s));
    return fmt::format("80 % interval {:.2f} - {:.2f}", ratio * std::exp(-down),
                       ratio * std::exp(up));
}

/// GPU-seconds per million tokens: what a part of the step costs, whatever the batch and size.
double cost_of(SweepRow const& row, double seconds) {
    auto const tokens = static_cast<double>(row.global_batch * row.sequence_length);
    return seconds * static_cast<double>(row.gpus) / tokens * 1e6;
}

}  // namespace

Table prediction_table(std::vector<SweepRow> const& rows, std::vector<UnfitPoint> const& unfit) {
    Table table({{"system", "system"},
                 {"kind", "kind"},
                 {"gpus", "GPUs"},
                 {"global_batch", "batch"},
                 {"step_s", "step", 2, "s"},
                 {"tokens_per_s_per_gpu", "tokens/s/GPU", 0},
                 {"interval", "80 % interval"},
                 {"published_tokens_per_s_per_gpu", "published", 0},
                 {"error_percent", "(predicted-published)/published", 1, "%"},
                 {"mfu_percent", "MFU", 1, "%"},
                 {"memory_gib", "memory", 1, "GiB"},
                 {"basis", "basis"}});
    for (SweepRow const& row : rows) {
        table.add({row.system, row.kind, row.gpus, row.global_batch, row.step_s,
                   row.tokens_per_s_per_gpu, interval_of(row),
                   known(row.published_tokens_per_s_per_gpu), percent(row.error), percent(row.mfu),
                   row.memory_gib, row.basis});
    }
    for (UnfitPoint const& point : unfit) {
        auto reason = point.reason.substr(0, point.reason.find('\n'));
        constexpr std::string_view before = " GPUs: ";  // where it stands, and on how many
        if (auto const at = reason.find(before); at != std::string::npos)
            reason.erase(0, at + before.size());
        table.add({point.system,
                   point.kind,
                   point.gpus,
                   point.global_batch,
                   {},
                   {},
                   {},
                   {},
                   {},
                   {},
                   {},
                   "does not fit: " + reason});
    }
    return table;
}

Table memory_summary(std::vector<SweepRow> const& rows, std::vector<Table> const& memory) {
    std::vector<Column> columns{{"system", "memory of the fullest GPU (GiB)"}, {"gpus", "GPUs"}};
    std::vector<std::vector<Cell>> lines;
    auto const longest = std::ranges::max_element(memory, {}, &Table::rows);
    for (SweepRow const& row : rows) {
        if (row.kind != "system") continue;
        Table const& owners = memory[static_cast<std::size_t>(row.point)];
        std::vector<Cell> line{row.system, row.gpus};
        for (std::size_t r = 0; r < owners.rows(); ++r) {
            line.push_back(owners.at(r, 1));
        }
        // Only some systems keep something in CPU memory.
        line.resize(longest->rows() + 2, Cell{0.0});
        lines.push_back(std::move(line));
    }
    for (std::size_t r = 0; !lines.empty() && r < longest->rows(); ++r) {
        auto const* owner = std::get_if<std::string>(&longest->at(r, 0));
        NVL72_EXPECT(owner != nullptr, "the memory table is owner, GiB, ...");
        columns.push_back({*owner + "_gib", *owner, 1});
    }
    Table table(columns);
    for (auto& line : lines) table.add(std::move(line));
    return table;
}

Table collectives_summary(ResultFile const& file) {
    ResultTable const* table = file.find("collectives");
    NVL72_EXPECT(table != nullptr, "asked for where there are collectives");
    std::vector<Column> columns;
    for (ResultColumn const& column : table->columns) {
        bool const time = column.unit == "us";
        columns.push_back({column.name, column.name, time ? 2 : -1, column.unit});
    }
    Table shown(columns);
    for (std::size_t r = 0; r < table->columns.front().rows(); ++r) {
        std::vector<Cell> cells;
        for (ResultColumn const& column : table->columns) {
            cells.push_back(
                std::visit([r](auto const& values) -> Cell { return values[r]; }, column.values));
        }
        shown.add(std::move(cells));
    }
    return shown;
}

Table full_table(std::vector<SweepRow> const& rows) {
    ResultTable const sweep = to_table(rows);
    std::vector<Column> columns;
    for (ResultColumn const& column : sweep.columns) {
        columns.push_back({column.name, column.name, -1, column.unit});
    }
    Table table(columns);
    for (std::size_t r = 0; r < rows.size(); ++r) {
        std::vector<Cell> cells;
        for (ResultColumn const& column : sweep.columns) {
            cells.push_back(std::visit(
                [r](auto const& values) -> Cell {
                    if constexpr (std::is_same_v<std::decay_t<decltype(values[r])>, double>) {
                        return known(values[r]);
                    } else {
                        return Cell{values[r]};
                    }
                },
                column.values));
        }
        table.add(std::move(cells));
    }
    return table;
}

Table breakdown_table(std::vector<SweepRow> const& rows) {
    std::vector<Column> columns{
        {"system", "where the step goes"}, {"gpus", "GPUs"}, {"global_batch", "batch"}};
    for (StepPart const& part : step_parts) {
        columns.push_back({std::string(part.column.substr(0, part.column.size() - 2)) + "_percent",
                           title_of(part), 1, "%"});
    }
    Table table(columns);
    for (SweepRow const& row : rows) {
        std::vector<Cell> cells{row.system, row.gpus, row.global_batch};
        for (StepPart const& part : step_parts) {
            cells.emplace_back(100 * row.parts.*part.member / row.step_s);
        }
        table.add(std::move(cells));
    }
    return table;
}

RatioExplained explain_ratio(SweepRow const& from, SweepRow const& to) {
    RatioExplained explained;
    double const before = cost_of(from, from.step_s);
    double const after = cost_of(to, to.step_s);
    NVL72_EXPECT(before > 0 && after > 0, "a ratio compares times");
    explained.ratio = before / after;
    double now = before;
    for (StepPart const& part : step_parts) {
        RatioFactor factor{title_of(part), cost_of(from, from.parts.*part.member),
                           cost_of(to, to.parts.*part.member), 1};
        double const next = now - factor.from_s + factor.to_s;
        factor.factor = now / next;
        now = next;
        explained.factors.push_back(std::move(factor));
    }
    return explained;
}

Table ratio_table(SweepRow const& from, SweepRow const& to) {
    Table table({{"part", "part of the step"},
                 {"from_gpu_s_per_mtoken", from.system, 3, "GPU-s/Mtoken"},
                 {"to_gpu_s_per_mtoken", to.system, 3, "GPU-s/Mtoken"},
                 {"factor", "speeds up", 3, "x"}});
    auto const explained = explain_ratio(from, to);
    for (RatioFactor const& factor : explained.factors) {
        if (factor.from_s == 0 && factor.to_s == 0) continue;
        table.add({factor.name, factor.from_s, factor.to_s, factor.factor});
    }
    table.add({std::string("whole step"), cost_of(from, from.step_s), cost_of(to, to.step_s),
               explained.ratio});
    return table;
}

std::string ratio_sentence(SweepRow const& from, SweepRow const& to) {
    auto explained = explain_ratio(from, to);
    auto& factors = explained.factors;
    std::ranges::stable_sort(factors, [](RatioFactor const& a, RatioFactor const& b) {
        return std::abs(std::log(a.factor)) > std::abs(std::log(b.factor));
    });
    std::string why;
    for (std::size_t i = 0; i < 2 && i < factors.size(); ++i) {
        if (std::abs(std::log(factors[i].factor)) < 0.005) break;
        why += fmt::format("{}{:.2f}x from {}", why.empty() ? "" : ", ", factors[i].factor,
                           factors[i].name);
    }
    std::string text = fmt::format("{} gives {:.2f}x the tokens/s/GPU of {}", to.system,
                                   explained.ratio, from.system);
    double const published =
        to.published_tokens_per_s_per_gpu / from.published_tokens_per_s_per_gpu;
    std::string aside = ratio_interval(from, to, explained.ratio);
    if (!std::isnan(published)) {
        aside += fmt::format("{}published {:.2f}x, error {:+.1f} %", aside.empty() ? "" : "; ",
                             published, 100 * (explained.ratio / published - 1));
    }
    if (!aside.empty()) text += " (" + aside + ")";
    return text + (why.empty() ? "." : ": " + why + ".");
}

std::string megatron_line(SweepRow const& row) {
    return fmt::format(
        " iteration        1/       1 | consumed samples: {:12d} | elapsed time per iteration "
        "(ms): "
        "{:.1f} | throughput per GPU (TFLOP/s/GPU): {:.1f} | global batch size: {:5d} |",
        row.global_batch, 1000 * row.step_s, row.model_tflops_per_gpu, row.global_batch);
}

}  // namespace nvl72
