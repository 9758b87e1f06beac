#include "sim/study/claims_run.hpp"

#include "sim/study/clusters_asked.hpp"
#include "sim/study/on_threads.hpp"
#include "sim/study/run.hpp"
#include "sim/study/serving_run.hpp"
#include "sim/study/workload_run.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <utility>

namespace nvl72 {

namespace {

/// What expressions of claims are worked out over.
struct Outcome {
    std::vector<ResultTable> tables;
    std::vector<PointTag> points;
};

RunOptions run_options() {
    RunOptions options;
    options.trace = TraceLevel::summary;
    return options;
}

template <class Experiment>
Experiment seeded(Experiment experiment, std::optional<std::uint64_t> seed) {
    if (seed) experiment.seed = *seed;
    return experiment;
}

Outcome train(std::string const& file, Library const& library, ClaimsOptions const& options) {
    auto const experiment = seeded(load_experiment(file, {}, true), options.seed);
    auto result = run_experiment(experiment, library, run_options());
    return {std::move(result.file.tables), std::move(result.tags)};
}

/// Rows go by their group, as the answer names them: a sweep's layouts and loads are columns.
Outcome serve(std::string const& file, Library const& library, ClaimsOptions const& options) {
    auto const experiment = seeded(load_serving_experiment(file, {}, true), options.seed);
    auto result = run_serving_experiment(experiment, library, run_options());
    Outcome outcome{std::move(result.file.tables), {}};
    for (ServingRow const& row : result.rows) outcome.points.push_back({row.group, {}});
    return outcome;
}

Outcome work(std::string const& file, Library const& library, ClaimsOptions const& options) {
    auto const experiment = seeded(load_workload_experiment(file, {}, true), options.seed);
    Outcome outcome{run_workload_experiment(experiment, library, run_options()).file.tables, {}};
    for (WorkloadPoint const& point : experiment.points) {
        PointTag tag{point.group, {}};
        for (SweptValue const& value : point.swept) tag.swept.emplace_back(value.key, value.text);
        outcome.points.push_back(std::move(tag));
    }
    return outcome;
}

Outcome run(std::string const& file, Library const& library, ClaimsOptions const& options) {
    switch (experiment_kind(file)) {
        case ExperimentKind::training: return train(file, library, options);
        case ExperimentKind::serving: return serve(file, library, options);
        case ExperimentKind::workload: return work(file, library, options);
    }
    return {};
}

/// The values that the experiment itself worked out, by name.
std::map<std::string, Values> values_of(std::vector<ResultTable> const& tables) {
    std::map<std::string, Values> values;
    for (ResultTable const& table : tables) {
        if (table.name != "values") continue;
        auto const& names = std::get<std::vector<std::string>>(table.find("name")->values);
        auto const& numbers = std::get<std::vector<double>>(table.find("number")->values);
        auto const& texts = std::get<std::vector<std::string>>(table.find("text")->values);
        for (std::size_t i = 0; i < names.size(); ++i) {
            Values& value = values[names[i]];
            value.is_text = value.is_text || !texts[i].empty();
            value.numbers.push_back(numbers[i]);
            value.texts.push_back(texts[i]);
        }
    }
    return values;
}

void add_given(Scope& scope, Value const& given) {
    if (given.kind != Value::Kind::null && !given.is_map()) {
        fail(given.place, "no map", "NAME: {value, source} lines");
    }
    for (auto const& [name, value] : given.entries) {
        if (!value.is_scalar()) fail(value.place, "no number", "a number");
        if (value.source.empty()) {
            fail(value.place, value.scalar,
                 fmt::format("{{value: {}, source: \"...\"}}", value.scalar));
        }
        scope.set(name, evaluate(value.scalar, scope, value.place));
    }
}

Scope scope_over(Outcome const& outcome, Value const& given) {
    Scope scope(outcome.tables, outcome.points);
    add_given(scope, given);
    for (auto& [name, values] : values_of(outcome.tables)) scope.set(name, values);
    return scope;
}

std::vector<ClaimSource const*> sources_of(ClaimsFile const& file) {
    std::vector<ClaimSource const*> sources;
    for (ArticleClaim const& claim : file.claims) {
        if (claim.none) continue;
        sources.push_back(&*claim.from);
        if (claim.over) sources.push_back(&*claim.over);
    }
    return sources;
}

}  // namespace

std::vector<JudgedClaim> judge_claims(ClaimsFile const& file,
                                      Library const& library,
                                      ClaimsOptions const& options) {
    std::vector<std::string> paths;
    std::map<ClaimSource const*, std::string> path_of;
    std::map<ClaimSource const*, Outcome> facts;
    for (ClaimSource const* source : sources_of(file)) {
        if (source->cluster) {
            facts[source].tables.push_back(
                facts_table({{std::nullopt, *source->cluster}}, library));
            continue;
        }
        auto const& name = *source->experiment;
        auto const path = library.path("experiments", name.value, name.place);
        path_of[source] = path;
        if (std::ranges::find(paths, path) == paths.end()) paths.push_back(path);
    }
    std::vector<Outcome> outcomes(paths.size());
    on_threads(
        paths.size(), options.threads,
        [&](std::size_t i) { outcomes[i] = run(paths[i], library, options); }, options.progress);

    auto const outcome_of = [&](ClaimSource const& source) -> Outcome const& {
        if (source.cluster) return facts.at(&source);
        auto const at = std::ranges::find(paths, path_of.at(&source)) - paths.begin();
        return outcomes[static_cast<std::size_t>(at)];
    };
    std::vector<JudgedClaim> judged;
    for (ArticleClaim const& claim : file.claims) {
        if (claim.none) {
            judged.push_back(judge(claim, nullptr, nullptr));
            continue;
        }
        Scope const scope = scope_over(outcome_of(*claim.from), file.given);
        std::optional<Scope> over;
        if (claim.over) over = scope_over(outcome_of(*claim.over), file.given);
        judged.push_back(judge(claim, &scope, over ? &*over : nullptr));
    }
    return judged;
}

}  // namespace nvl72
