#include "sim/study/serving_validation.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <optional>

namespace nvl72 {

namespace {

/// A row of the fit is known by what was asked of what in which time, whatever its file.
std::string key_of(MeasuredServing const& run) {
    return fmt::format("{} {} {} {:.6g} {:.6g}", run.input, run.output, run.clients,
                       run.ttft_ms.value_or(0), run.tpot_ms.value_or(0));
}

struct Metric {
    std::string name, unit;
    std::optional<double> measured;
    double ServingMetrics::* whole = nullptr;
    Percentiles ServingMetrics::* times = nullptr;
    double Percentiles::* which = nullptr;

    [[nodiscard]] double of(ServingMetrics const& metrics) const {
        constexpr double milliseconds = 1e3;
        return times != nullptr ? metrics.*times.*which * milliseconds : metrics.*whole;
    }
};

std::vector<Metric> metrics_asked(MeasuredServing const& run) {
    using M = ServingMetrics;
    using P = Percentiles;
    if (run.scenario.empty()) {
        return {{"ttft_ms", "ms", run.ttft_ms, nullptr, &M::ttft_s, &P::mean},
                {"tpot_ms", "ms", run.tpot_ms, nullptr, &M::tpot_s, &P::mean}};
    }
    std::vector<Metric> asked;
    // Under a given rate of arrivals the rate is no answer.
    if (run.scenario == "Offline") {
        asked.push_back({"tokens_per_s", "tokens/s", run.tokens_per_s, &M::output_tokens_per_s,
                         nullptr, nullptr});
    }
    if (run.ttft_ms)
        asked.push_back({"ttft_ms_p50", "ms", run.ttft_ms, nullptr, &M::ttft_s, &P::p50});
    if (run.ttft_p99_ms)
        asked.push_back({"ttft_ms_p99", "ms", run.ttft_p99_ms, nullptr, &M::ttft_s, &P::p99});
    if (run.tpot_ms)
        asked.push_back({"tpot_ms_p50", "ms", run.tpot_ms, nullptr, &M::tpot_s, &P::p50});
    if (run.tpot_p99_ms)
        asked.push_back({"tpot_ms_p99", "ms", run.tpot_p99_ms, nullptr, &M::tpot_s, &P::p99});
    return asked;
}

void skip(ValidationRow& row, char const* status, std::string reason) {
    row.status = status;
    auto const end = reason.find('\n');
    row.reason = end == std::string::npos ? std::move(reason) : reason.substr(0, end);
}

}  // namespace

ServingValidator::ServingValidator(Library const& library,
                                   std::vector<std::string> const& calibrations)
    : library_(library), predictor_(library, calibrations) {
    read_seen();
}

void ServingValidator::read_seen() {
    namespace fs = std::filesystem;
    fs::path const folder = fs::path(library_.folder()) / "measurements" / "serving";
    if (!fs::is_directory(folder)) return;
    for (auto const& file : fs::directory_iterator(folder)) {
        if (file.path().extension() != ".csv") continue;
        auto const table = CsvTable::load(file.path().string());
        if (!is_serving_table(table)) continue;
        for (auto const& run : read_serving_table(table)) {
            if (run.scenario.empty()) seen_.emplace(key_of(run), run.aside);
        }
    }
}

std::vector<ValidationRow> ServingValidator::rows_of(std::string const& path) {
    std::vector<ValidationRow> rows;
    for (auto const& run : read_serving_table(CsvTable::load(path))) {
        for (auto& row : rows_of(run)) rows.push_back(std::move(row));
    }
    return rows;
}

std::vector<ValidationRow> ServingValidator::rows_of(MeasuredServing const& run) {
    ValidationRow base;
    base.table = name_of(ValidationKind::serving);
    base.source = run.source;
    base.line = run.line;
    base.gpu = run.gpu;
    base.gpus = run.gpus;
    base.subject = run.model;
    base.precision = run.precision;
    base.part = run.scenario.empty() ? "serving" : "serving mlperf";
    auto const known = run.scenario.empty() ? seen_.find(key_of(run)) : seen_.end();
    auto const& aside = run.aside.empty() && known != seen_.end() ? known->second : run.aside;
    base.in_fit = known != seen_.end() && known->second.empty();
    std::optional<PredictedServing> predicted;
    try {
        predicted = predictor_.predict(run);
        base.gpu = predicted->gpu;
        base.gpus = predicted->gpus;
        base.profile = predicted->profile;
        base.recipe = predicted->engine;
        base.basis = describe(predicted->basis);
        base.basis_share = predicted->basis.share;
        if (!predicted->defaulted.empty()) {
            base.status = "defaulted";
            base.reason = join(predicted->defaulted, ", ");
        }
    } catch (DoesNotFit const& error) {
        skip(base, "does_not_fit", error.what());
    } catch (Error const& error) {  // whatever a row asks for, the others are answered
        skip(base, "skipped", error.what());
    }
    if (!aside.empty()) skip(base, "set_aside", aside);
    std::vector<ValidationRow> rows;
    for (auto const& metric : metrics_asked(run)) {
        auto row = base;
        row.metric = metric.name;
        row.unit = metric.unit;
        row.measured = metric.measured;
        if (predicted) {
            row.predicted = metric.of(predicted->metrics);
            row.spread = predicted->spread_of(metric.name);
            row.part = fmt::format("{} {}", predicted->part, metric.name);
        }
        rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace nvl72
