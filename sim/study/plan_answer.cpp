#include "sim/study/plan_answer.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace nvl72 {

namespace {

constexpr double bytes_per_gib = 1024.0 * 1024.0 * 1024.0;

Cell known(double value) { return std::isnan(value) ? Cell{std::monostate{}} : Cell{value}; }

std::string grouped(std::int64_t number) {
    std::string text = std::to_string(number);
    for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
        text.insert(static_cast<std::size_t>(at), ",");
    return text;
}

std::string best_text(SystemPlan const& plan, std::optional<PlanGoal> const& goal) {
    PlanRow const& best = plan.rows.front();
    SweepRow const& row = *best.row;
    auto const holds = static_cast<double>(plan.job.point.fabric.gpu().hbm_usable().count);
    std::string text = fmt::format(
        "best: {}\n  {:.4g} s a step, {:.0f} tokens/s/GPU, MFU {:.1f} %, {:.1f} of {:.1f} GiB\n",
        layout_words(plan.job, *best.layout), row.step_s, row.tokens_per_s_per_gpu, 100 * row.mfu,
        row.memory_gib, holds / bytes_per_gib);
    if (goal && goal->tokens) {
        PlanRun const run = run_of(row, *goal->tokens);
        text += fmt::format("  {:.3g} tokens on {} GPUs: {:.3g} days", *goal->tokens, best.gpus,
                            run.days);
        if (!std::isnan(run.mwh)) text += fmt::format(", {:.4g} MWh", run.mwh);
        if (!std::isnan(run.usd)) text += fmt::format(", {:.4g} USD", run.usd);
        text += "; failures not counted\n";
    }
    return text;
}

Table rows_table(SystemPlan const& plan, std::vector<PlanRow const*> const& rows) {
    Table table({{"gpus", "GPUs"},
                 {"layout", "layout"},
                 {"step_s", "step", 3, "s"},
                 {"memory_gib", "memory", 1, "GiB"},
                 {"reason", "against the best"}});
    for (PlanRow const* row : rows) {
        table.add({row->gpus, layout_words(plan.job, *row->layout),
                   row->row ? Cell{row->row->step_s} : Cell{}, row->memory_gib, row->reason});
    }
    return table;
}

}  // namespace

std::string plan_text(SystemPlan const& plan, std::optional<PlanGoal> const& goal) {
    auto const& system = plan.job.point.system;
    std::string text = fmt::format(
        "{} on {} {}, batch {} x {} tokens, {}, {}\n", plan.job.point.model.name, plan.job.gpus(),
        plan.job.point.fabric.cluster().name, grouped(plan.job.global_batch()),
        grouped(plan.job.sequence()), system.precision.value, plan.job.point.recipe.name);
    text += best_text(plan, goal);
    for (auto const& note : plan.notes) text += "  " + note + "\n";
    std::vector<PlanRow const*> front;
    for (PlanRow const& row : plan.rows) {
        if (row.kind == PlanRowKind::best || row.kind == PlanRowKind::front) front.push_back(&row);
    }
    text += "\nPareto front of time, memory and GPUs\n" + rows_table(plan, front).text();
    Table others({{"changed", "instead"},
                  {"layout", "best layout with it"},
                  {"step_s", "step", 3, "s"},
                  {"memory_gib", "memory", 1, "GiB"},
                  {"reason", "against the best"}});
    for (PlanRow const& row : plan.rows) {
        bool const other = row.kind == PlanRowKind::instead || row.kind == PlanRowKind::as_written;
        if (!other) continue;
        others.add({row.changed, row.layout ? Cell{layout_words(plan.job, *row.layout)} : Cell{},
                    row.row ? Cell{row.row->step_s} : Cell{},
                    row.memory_gib > 0 ? Cell{row.memory_gib} : Cell{}, row.reason});
    }
    if (others.rows() > 0) text += "\nwhy the others lose\n" + others.text();
    return text;
}

Table plan_table(std::vector<SystemPlan> const& plans, std::optional<PlanGoal> const& goal) {
    std::vector<Column> columns{{"system", "system"}, {"kind", "kind"}, {"gpus", "GPUs"}};
    for (std::size_t axis = 0; axis < plan_axes; ++axis) {
        std::string const name(axis_name(static_cast<PlanAxis>(axis)));
        columns.push_back({name, name});
    }
    for (char const* name :
         {"dp", "micro_batches", "step_s", "bound_s", "tokens_per_s_per_gpu", "mfu", "memory_gib",
          "energy_per_token_j", "usd_per_mtoken", "days", "usd", "mwh", "changed", "reason"}) {
        columns.push_back({name, name});
    }
    Table table(columns);
    for (SystemPlan const& plan : plans) {
        for (PlanRow const& row : plan.rows) {
            std::vector<Cell> cells{plan.job.point.system.name, name_of(row.kind), row.gpus};
            for (std::size_t i = 0; i < plan_axes; ++i) {
                auto const axis = static_cast<PlanAxis>(i);
                if (!row.layout) {
                    cells.emplace_back();
                    continue;
                }
                auto const value = axis_value(plan.job, *row.layout, axis);
                auto const word = axis_word(axis, value);
                cells.push_back(word == std::to_string(value) ? Cell{value} : Cell{word});
            }
            if (row.row) {
                SweepRow const& r = *row.row;
                bool const run = goal && goal->tokens;
                PlanRun const whole = run_of(r, run ? *goal->tokens : std::nan(""));
                cells.insert(
                    cells.end(),
                    {r.dp, r.micro_batches, r.step_s, row.bound_s, r.tokens_per_s_per_gpu, r.mfu,
                     r.memory_gib, known(r.power.energy_per_token_j), known(r.power.usd_per_mtoken),
                     known(whole.days), known(whole.usd), known(whole.mwh)});
            } else {
                cells.insert(cells.end(), 6, Cell{});
                cells.push_back(row.memory_gib > 0 ? Cell{row.memory_gib} : Cell{});
                cells.insert(cells.end(), 5, Cell{});
            }
            cells.push_back(row.changed);
            cells.push_back(row.reason);
            table.add(std::move(cells));
        }
    }
    return table;
}

std::string plan_counts_text(SystemPlan const& plan) {
    PlanCounts const& counts = plan.counts;
    auto const rate = [](std::int64_t count, double seconds) {
        return seconds > 0 ? static_cast<double>(count) / seconds : 0;
    };
    return fmt::format(
        "{} layouts: {} cannot be scheduled, {} do not fit, {} bounded in {:.1f} s ({:.0f}/s); {} "
        "walked and {} simulated in {:.1f} s",
        grouped(counts.crossed), grouped(counts.refused), grouped(counts.too_large),
        grouped(counts.bounded), plan.bound_seconds,
        rate(counts.crossed - counts.refused, plan.bound_seconds), grouped(counts.walked),
        grouped(counts.simulated), plan.simulate_seconds);
}

}  // namespace nvl72
