#include "sim/study/system_ratios.hpp"

#include <algorithm>
#include <cmath>
#include <map>

namespace nvl72 {

namespace {

bool is_run(ValidationRow const& row) {
    return row.scored() && row.model_tflops > 0 && !row.job.empty();
}

/// Measured over predicted rate.
double over_predicted(ValidationRow const& row) {
    double const over = *row.measured / *row.predicted;
    return row.metric == "step_s" ? 1 / over : over;
}

bool pairs_with(ValidationRow const& one, ValidationRow const& other) {
    bool const whole_jobs = one.metric == "step_s" || other.metric == "step_s";
    return one.gpu != other.gpu && (!whole_jobs || one.gpus == other.gpus);
}

SystemRatio ratio_of(ValidationRow const& one, ValidationRow const& other) {
    double const predicted = one.model_tflops / other.model_tflops;
    // The quicker by what was measured first, so that ratios of a pair of GPUs are about the same.
    double const measured = predicted * over_predicted(one) / over_predicted(other);
    if (measured < 1) return ratio_of(other, one);
    return {one.gpu, other.gpu, one.job, measured, predicted, one.in_fit && other.in_fit};
}

std::vector<Cell> line_of(std::string const& name, std::vector<SystemRatio> const& ratios) {
    double sum = 0, bias = 0;
    SystemRatio const* worst = &ratios.front();
    for (auto const& ratio : ratios) {
        sum += std::abs(ratio.error());
        bias += ratio.error();
        if (std::abs(ratio.error()) > std::abs(worst->error())) worst = &ratio;
    }
    auto const count = static_cast<double>(ratios.size());
    return {name,
            static_cast<std::int64_t>(ratios.size()),
            100 * sum / count,
            100 * std::abs(worst->error()),
            100 * bias / count,
            worst->job};
}

}  // namespace

std::vector<SystemRatio> system_ratios(std::vector<ValidationRow> const& rows) {
    std::map<std::string, std::vector<ValidationRow const*>> jobs;
    for (auto const& row : rows) {
        if (is_run(row)) jobs[row.job].push_back(&row);
    }
    std::vector<SystemRatio> ratios;
    for (auto const& [job, same] : jobs) {
        for (std::size_t i = 0; i < same.size(); ++i) {
            for (std::size_t k = i + 1; k < same.size(); ++k) {
                if (pairs_with(*same[i], *same[k])) ratios.push_back(ratio_of(*same[i], *same[k]));
            }
        }
    }
    return ratios;
}

Table system_ratios_table(std::vector<SystemRatio> const& ratios) {
    Table table({{"gpus", "one job on two GPUs"},
                 {"pairs", "pairs"},
                 {"mape", "mean error of the ratio", 1, "%"},
                 {"worst", "worst", 1, "%"},
                 {"bias", "bias", 1, "%"},
                 {"worst_at", "worst at"}});
    std::map<std::string, std::vector<SystemRatio>> groups, apart;
    std::vector<SystemRatio> all;
    for (auto const& ratio : ratios) {
        auto const name = ratio.gpu + " / " + ratio.other;
        (ratio.in_fit ? groups : apart)[name].push_back(ratio);
        if (ratio.in_fit) all.push_back(ratio);
    }
    for (auto const& [name, group] : groups) table.add(line_of(name, group));
    if (groups.size() > 1) table.add(line_of("all fitted to", all));
    for (auto const& [name, group] : apart) table.add(line_of(name + ", not fitted to", group));
    return table;
}

}  // namespace nvl72
