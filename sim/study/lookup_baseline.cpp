#include "sim/study/lookup_baseline.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <string>

namespace nvl72 {

namespace {

/// A scored run: what its GPUs did, in model TFLOP/s.
struct Run {
    std::string group, part;
    double measured = 0;
    double error = 0;  ///< ours, absolute
};

std::vector<Run> runs_of(std::vector<ValidationRow> const& rows) {
    std::vector<Run> runs;
    for (auto const& row : rows) {
        if (!row.scored() || row.model_tflops <= 0) continue;
        double const over = *row.measured / *row.predicted;
        double const measured = row.model_tflops * (row.metric == "step_s" ? 1 / over : over);
        runs.push_back({row.gpu + "\n" + row.precision + "\n" + row.release + "\n" + row.part,
                        row.part, measured, std::abs(*row.error())});
    }
    return runs;
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    std::size_t const half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

/// Means over the runs of one part, or of all ("").
std::vector<Cell> line_of(std::vector<Run> const& runs,
                          std::string const& part,
                          std::size_t constants) {
    std::map<std::string, std::vector<double>> groups;
    for (Run const& run : runs) groups[run.group].push_back(run.measured);
    double ours = 0, lookup = 0, left_out = 0;
    std::size_t count = 0, others = 0;
    std::map<std::string, int> figures;
    for (Run const& run : runs) {
        if (!part.empty() && run.part != part) continue;
        ++count;
        ++figures[run.group];
        ours += run.error;
        auto rest = groups.at(run.group);
        lookup += std::abs(median(rest) / run.measured - 1);
        rest.erase(std::ranges::find(rest, run.measured));
        if (rest.empty()) continue;
        ++others;
        left_out += std::abs(median(rest) / run.measured - 1);
    }
    auto const percent = [](double sum, std::size_t number) {
        return number > 0 ? Cell{100 * sum / static_cast<double>(number)} : Cell{};
    };
    return {part.empty() ? std::string("all") : part,
            static_cast<std::int64_t>(count),
            static_cast<std::int64_t>(figures.size()),
            percent(lookup, count),
            static_cast<std::int64_t>(others),
            percent(left_out, others),
            percent(ours, count),
            static_cast<std::int64_t>(constants)};
}

}  // namespace

Table lookup_table(std::vector<ValidationRow> const& rows, std::size_t constants) {
    Table table({{"part", "look-up baseline of"},
                 {"rows", "rows"},
                 {"figures", "its figures"},
                 {"lookup_mape", "its MAPE", 1, "%"},
                 {"others", "rows with others"},
                 {"lookup_left_out", "without the row", 1, "%"},
                 {"mape", "our MAPE", 1, "%"},
                 {"constants", "our constants"}});
    auto const runs = runs_of(rows);
    if (runs.empty()) return table;
    for (auto const* part : {"training dense", "training moe"}) {
        if (std::ranges::find(runs, part, &Run::part) != runs.end())
            table.add(line_of(runs, part, constants));
    }
    table.add(line_of(runs, "", constants));
    return table;
}

}  // namespace nvl72
