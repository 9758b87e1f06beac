#include "sim/study/sensitivity.hpp"

#include "sim/base/error.hpp"
#include "sim/study/levers.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <limits>

namespace nvl72 {

namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();
constexpr double more = 1.1;     // what a person is told of: 10 % more
constexpr double little = 1.01;  // the slope, between this and its inverse

LoadedPoint grown(LoadedPoint const& point,
                  Lever const& lever,
                  double factor,
                  Library const& library) {
    LoadedPoint other = point;
    lever.grow(other, factor, library);
    other.must_fit = false;
    return other;
}

Sensitivity of_lever(LoadedPoint const& point,
                     StepResult const& done,
                     Lever const& lever,
                     Library const& library) {
    std::array const factors{1 / little, little, more};
    std::vector<std::vector<TaskTime>> times;
    for (double const factor : factors) {
        times.push_back(reprice_step(step_spec(grown(point, lever, factor, library)), done));
    }
    auto const steps = replay(done.replay, times);
    Sensitivity row;
    row.what = lever.title;
    row.elasticity = std::log(steps[1] / steps[0]) / (2 * std::log(little));
    row.replayed = steps[2] / done.step - 1;
    auto const again = simulate_step(step_spec(grown(point, lever, more, library)));
    row.simulated = again.step / done.step - 1;
    return row;
}

Sensitivity of_change(LoadedPoint const& point,
                      StepResult const& done,
                      Change const& change,
                      Library const& library) {
    Sensitivity row;
    row.what = change.title;
    row.elasticity = row.replayed = row.simulated = none;
    try {
        LoadedPoint other = changed_point(point, change.make, library);
        other.must_fit = false;
        row.simulated = simulate_step(step_spec(other)).step / done.step - 1;
    } catch (ConfigError const& why) {
        row.note = why.what();
    }
    return row;
}

std::string percent(double share) { return fmt::format("{:+.1f} %", 100 * share); }

}  // namespace

std::vector<Sensitivity> sensitivities(LoadedPoint const& point,
                                       std::int64_t index,
                                       Library const& library,
                                       std::function<void(double)> const& progress) {
    LoadedPoint base = point;
    base.must_fit = false;
    StepResult const done = simulate_step(step_spec(base));
    auto const levers = levers_of(base);
    auto const changes = changes_of(base);
    std::vector<Sensitivity> rows;
    auto const keep = [&](Sensitivity row) {
        row.point = index;
        row.system = point.system.name;
        rows.push_back(std::move(row));
        if (progress) {
            progress(static_cast<double>(rows.size()) /
                     static_cast<double>(levers.size() + changes.size()));
        }
    };
    for (Lever const& lever : levers) keep(of_lever(base, done, lever, library));
    std::ranges::stable_sort(rows, {}, &Sensitivity::elasticity);
    for (Change const& change : changes) keep(of_change(base, done, change, library));
    return rows;
}

Table sensitivity_table(std::vector<Sensitivity> const& rows) {
    Table table({{"system", "what would help"},
                 {"what", ""},
                 {"elasticity", "elasticity", 3},
                 {"replayed", "step with 10 % more", 2, "%"},
                 {"simulated", "simulated again", 2, "%"},
                 {"note", ""}});
    auto const cell = [](double share) { return std::isnan(share) ? Cell{} : Cell{100 * share}; };
    for (Sensitivity const& row : rows) {
        table.add({row.system, row.what, std::isnan(row.elasticity) ? Cell{} : Cell{row.elasticity},
                   cell(row.replayed), cell(row.simulated), row.note});
    }
    return table;
}

std::string sensitivity_sentence(std::vector<Sensitivity> const& rows) {
    std::vector<std::string> said;
    Sensitivity const* worst = nullptr;
    for (Sensitivity const& row : rows) {
        if (!std::isnan(row.replayed)) {
            if (said.size() < 3) {
                said.push_back(fmt::format("10 % more {}: {}", row.what, percent(row.replayed)));
            }
        } else if (!std::isnan(row.simulated) &&
                   (worst == nullptr || row.simulated > worst->simulated)) {
            worst = &row;
        }
    }
    if (worst != nullptr) {
        said.push_back(fmt::format("{}: {}", worst->what, percent(worst->simulated)));
    }
    std::string text = rows.empty() ? "" : rows.front().system + ": ";
    for (std::size_t i = 0; i < said.size(); ++i) text += (i == 0 ? "" : "; ") + said[i];
    return text;
}

ResultTable to_table(std::vector<Sensitivity> const& rows) {
    std::vector<std::int64_t> points;
    std::vector<std::string> systems, whats, notes;
    std::vector<double> elasticities, replayed, simulated;
    for (Sensitivity const& row : rows) {
        points.push_back(row.point);
        systems.push_back(row.system);
        whats.push_back(row.what);
        elasticities.push_back(row.elasticity);
        replayed.push_back(row.replayed);
        simulated.push_back(row.simulated);
        notes.push_back(row.note);
    }
    return {"sensitivity",
            {{"point", "", "row of /sweep", points},
             {"system", "", "as in /sweep", systems},
             {"what", "", "resource, or change that comes whole", whats},
             {"elasticity", "1", "d log step / d log resource, by replay", elasticities, true},
             {"replayed", "1", "step with 10 % more of it over the step, less 1, by replay",
              replayed, true},
             {"simulated", "1", "the same simulated again; of a change: its step", simulated, true},
             {"note", "", "why a change cannot run", notes}}};
}

}  // namespace nvl72
