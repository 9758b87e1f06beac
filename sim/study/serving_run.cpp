#include "sim/study/serving_run.hpp"

#include "sim/base/error.hpp"
#include "sim/study/on_threads.hpp"
#include "sim/study/point.hpp"
#include "sim/study/result_rows.hpp"
#include "sim/study/serving_answer.hpp"
#include "sim/study/serving_point.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>

namespace nvl72 {

namespace {

/// Rows of /requests that one point keeps at most: the first so many.
constexpr std::size_t requests_kept = 100'000;
/// /latencies: times at these shares of requests.
constexpr int quantile_steps = 100;

ResultTable requests_layout() {
    return {"requests",
            {{"point", "", "row of /sweep", Integers{}},
             {"request", "", "number, by arrival", Integers{}},
             {"arrival_ps", "ps", "when its client sent it", Integers{}},
             {"first_ps", "ps", "when its first token reached the client", Integers{}},
             {"last_ps", "ps", "when its last did", Integers{}},
             {"input", "tokens", "of its prompt", Integers{}},
             {"output", "tokens", "of its answer", Integers{}},
             {"cached", "tokens", "of its prompt that a prefix cache held", Integers{}}}};
}

ResultTable latencies_layout() {
    return {"latencies",
            {{"point", "", "row of /sweep", Integers{}},
             {"share", "1", "of requests that take no longer", Reals{}},
             {"ttft_s", "s", "to the first token", Reals{}},
             {"latency_s", "s", "of the whole answer", Reals{}}}};
}

ResultTable prefix_layout() {
    return {"prefix",
            {{"point", "", "row of /sweep", Integers{}},
             {"layer", "", "of prompts", Texts{}},
             {"asked", "tokens", "looked up in prefix caches", Reals{}},
             {"found", "tokens", "found there", Reals{}},
             {"parts_asked", "", "parts or blocks of prompts looked up", Reals{}},
             {"parts_found", "", "found there", Reals{}}}};
}

void add_requests(Rows& rows, std::int64_t point, Requests const& requests) {
    for (std::size_t i = 0; i < std::min(requests.size(), requests_kept); ++i) {
        rows.add({point, static_cast<std::int64_t>(i), requests.arrival[i].count,
                  requests.first[i].count, requests.last[i].count, std::int64_t{requests.input[i]},
                  std::int64_t{requests.output[i]}, std::int64_t{requests.cached[i]}});
    }
}

void add_latencies(Rows& rows, std::int64_t point, Requests const& requests) {
    std::vector<double> ttft, latency;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        ttft.push_back(to_seconds(requests.first[i] - requests.arrival[i]));
        latency.push_back(to_seconds(requests.last[i] - requests.arrival[i]));
    }
    std::ranges::sort(ttft);
    std::ranges::sort(latency);
    for (int step = 0; step <= quantile_steps; ++step) {
        double const share = static_cast<double>(step) / quantile_steps;
        auto const at = static_cast<std::size_t>(share * static_cast<double>(ttft.size() - 1));
        rows.add({point, share, ttft[at], latency[at]});
    }
}

void add_prefix(Rows& rows, std::int64_t point, ServedPoint const& served) {
    for (std::size_t i = 0; i < served.run.asked.size(); ++i) {
        if (served.run.asked[i] == 0) continue;
        rows.add({point, served.requests.parts.names[i], served.run.asked[i], served.run.found[i],
                  served.run.parts_asked[i], served.run.parts_found[i]});
    }
}

std::string prefix_note(ServedPoint const& served) {
    std::string text = fmt::format("{}: {:.1f} % of prompts' tokens from prefix caches",
                                   served.row.system, 100 * served.row.hit_share);
    char const* before = ";";
    for (std::size_t i = 0; i < served.run.asked.size(); ++i) {
        if (served.run.asked[i] == 0) continue;
        text += fmt::format("{} {:.1f} % of the {} looked up", before,
                            100 * served.run.parts_found[i] / served.run.parts_asked[i],
                            served.requests.parts.names[i]);
        before = ",";
    }
    return text;
}

std::string power_note(ServingRow const& row, PowerSetting const& setting) {
    std::string text = fmt::format("{}: {:.0f} W a GPU; with PUE {:.2f} {:.3g} kg CO2", row.system,
                                   row.gpu_w, setting.facility.pue, row.carbon_g_per_mtoken / 1e3);
    return text + " per million answered tokens";
}

std::vector<std::string> unique(std::vector<std::string> names) {
    std::vector<std::string> kept;
    for (auto& name : names) {
        if (std::ranges::find(kept, name) == kept.end()) kept.push_back(std::move(name));
    }
    return kept;
}

/// What is left of a point when it was served.
struct Kept {
    std::optional<ServedPoint> served;
    std::string does_not_fit, profile, engine, gpu, note;
};

Kept serve_point(ServingPoint const& point,
                 std::int64_t index,
                 ServingExperiment const& experiment,
                 Library const& library,
                 RunOptions const& options) {
    Kept kept;
    try {
        auto loaded = load_serving(point, library, options.calibrations);
        kept.profile = loaded.profile_name;
        kept.engine = loaded.engine_name;
        kept.gpu = loaded.fabric.gpu().name;
        kept.served = simulate_serving(loaded, index, experiment.seed);
        if (point.kind == PointKind::system && loaded.power)
            kept.note = power_note(kept.served->row, *loaded.power);
    } catch (DoesNotFit const& error) {
        if (point.kind != PointKind::sweep) throw;
        std::string const why = error.what();
        kept.does_not_fit =
            fmt::format("{}: left out: {}", point.system.name, why.substr(0, why.find('\n')));
    }
    return kept;
}

void add_summary(ResultFile& file, std::vector<std::string> const& sentences) {
    Rows summary({"summary",
                  {{"name", "", "what it is", Texts{}},
                   {"value", "", "in its unit; NaN: a sentence alone", Reals{}, true},
                   {"unit", "", "of the value", Texts{}},
                   {"text", "", "a sentence", Texts{}}}});
    for (auto const& sentence : sentences)
        summary.add({std::string("answer"), ServingRow::none, std::string(), sentence});
    summary.move_to(file);
}

}  // namespace

ServingResult run_serving_experiment(ServingExperiment const& experiment,
                                     Library const& library,
                                     RunOptions const& options) {
    std::vector<Kept> kept(experiment.points.size());
    on_threads(
        kept.size(), options.threads,
        [&](std::size_t i) {
            kept[i] = serve_point(experiment.points[i], static_cast<std::int64_t>(i), experiment,
                                  library, options);
            // Sweeps keep their rows and quantiles alone.
            bool const whole =
                options.trace == TraceLevel::ops && experiment.points[i].kind != PointKind::sweep;
            if (!whole && kept[i].served && kept[i].served->requests.size() > requests_kept) {
                auto& requests = kept[i].served->requests;
                requests.think.clear();
                requests.tools = {};
            }
        },
        options.progress);

    ServingResult result;
    std::vector<std::string> profiles, engines, gpus;
    Rows requests(requests_layout()), latencies(latencies_layout()), prefix(prefix_layout());
    for (std::size_t i = 0; i < kept.size(); ++i) {
        Kept& point = kept[i];
        if (!point.served) {
            result.notes.push_back(point.does_not_fit);
            continue;
        }
        profiles.push_back(point.profile);
        engines.push_back(point.engine);
        gpus.push_back(point.gpu);
        auto& served = *point.served;
        served.row.point = std::ssize(result.rows);
        result.rows.push_back(served.row);
        if (!point.note.empty()) result.notes.push_back(point.note);
        bool const system = experiment.points[i].kind != PointKind::sweep;
        if (system && !served.run.asked.empty()) result.notes.push_back(prefix_note(served));
        if (options.trace == TraceLevel::none) continue;
        add_latencies(latencies, served.row.point, served.requests);
        add_prefix(prefix, served.row.point, served);
        if (options.trace == TraceLevel::ops && system)
            add_requests(requests, served.row.point, served.requests);
        served.requests = {};
    }
    if (result.rows.empty()) {
        throw DoesNotFit(experiment.file + ": no point of the sweep fits: " + result.notes.front());
    }
    expect_used(options.calibrations, library, unique(std::move(gpus)));
    mark_best(result.rows);
    result.answer = serving_sentences(result.rows);

    ResultFile& file = result.file;
    file.config = experiment.config;
    file.seed = experiment.seed;
    file.program_version = options.program_version;
    file.calibrations = unique(std::move(profiles));
    file.recipes = unique(std::move(engines));
    file.tables.push_back(to_table(result.rows));
    add_summary(file, result.answer);
    for (Rows* rows : {&latencies, &prefix, &requests}) rows->move_to(file);
    return result;
}

}  // namespace nvl72
