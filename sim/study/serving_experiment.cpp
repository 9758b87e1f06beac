#include "sim/study/serving_experiment.hpp"

#include "sim/study/systems.hpp"

#include <fmt/format.h>

namespace nvl72 {

std::vector<Field<PrefillChoice>> const& fields_of(PrefillChoice const*) {
    static std::vector<Field<PrefillChoice>> const fields{
        required("layout", &PrefillChoice::layout, "how one server for prompts is cut"),
        optional("replicas", &PrefillChoice::replicas, "1", "servers for prompts"),
    };
    return fields;
}

std::vector<Field<ServingChoice>> const& fields_of(ServingChoice const*) {
    static std::vector<Field<ServingChoice>> const fields{
        required("model", &ServingChoice::model, "name or file of a model"),
        required("engine", &ServingChoice::engine, "name or file of serving software"),
        required("precision", &ServingChoice::precision, "a precision of the engine"),
        required("layout", &ServingChoice::layout, "how one server is cut"),
        optional("replicas", &ServingChoice::replicas, "",
                 "servers; as many as the GPUs make when not given"),
        optional("slots", &ServingChoice::slots, "0",
                 "sequences at once of a server; 0: what the engine allows"),
        optional("prefill", &ServingChoice::prefill, "",
                 "servers for prompts alone; prompts and decoding share servers when not given"),
        optional("transfer", &ServingChoice::transfer, "",
                 "rate of a cache into a decoding server; the NICs of its tp when not given"),
        required("requests", &ServingChoice::requests, "who asks for what"),
        optional("prefix_cache", &ServingChoice::prefix_cache, "",
                 "what is kept of prompts; every prompt is computed whole when not given"),
        optional("slo", &ServingChoice::slo, "", "what a good answer keeps, for goodput"),
    };
    return fields;
}

std::vector<Field<PublishedServing>> const& fields_of(PublishedServing const*) {
    static std::vector<Field<PublishedServing>> const fields{
        optional("ttft", &PublishedServing::ttft, "", "mean time to the first token"),
        optional("tpot", &PublishedServing::tpot, "", "mean time of a further token"),
        optional("tokens_per_s", &PublishedServing::tokens_per_s, "", "output of all servers"),
    };
    return fields;
}

std::vector<Field<ServingSystem>> const& fields_of(ServingSystem const*) {
    static std::vector<Field<ServingSystem>> const fields{
        optional("name", &ServingSystem::label, "", "label; the cluster's name when not given"),
        required("cluster", &ServingSystem::cluster, "which cluster, how many of its GPUs, faults"),
        required("serving", &ServingSystem::serving, "model, software, layout, requests"),
        optional("power", &ServingSystem::power, "", "cooling, feed, site and prices"),
        optional("published", &ServingSystem::published, "", "what was measured for this very run"),
    };
    return fields;
}

namespace {

struct ServingMeasured {
    Place place;
    Value set;
    PublishedServing published;
};
std::vector<Field<ServingMeasured>> const& fields_of(ServingMeasured const*) {
    static std::vector<Field<ServingMeasured>> const fields{
        required("set", &ServingMeasured::set, "keys of the system as this run had them"),
        required("published", &ServingMeasured::published, "what was measured"),
    };
    return fields;
}

ServingSystem read_system(Value const& value, Trail* trail) {
    auto system = read_spec<ServingSystem>(value, trail);
    system.name = system.label.value_or(system.cluster.name);
    return system;
}

/// " output=8000": what a sweep sets besides load and layout, which are choices for one question.
std::string variant_of(std::vector<NamedValue> const& values) {
    std::string text;
    for (auto const& [key, value] : values) {
        bool const choice = key.starts_with("serving.layout") || key.starts_with("cluster") ||
                            key.starts_with("serving.replicas") ||
                            key.starts_with("serving.prefill") ||
                            key == "serving.requests.clients" || key == "serving.requests.rate";
        if (choice) continue;
        auto const name = key.substr(key.rfind('.') + 1);
        text += swept_label({{name, value}}, {});
    }
    return text;
}

/// A system's own `sweep` lies over the experiment's.
void add_points(ServingExperiment& experiment, Value system, Value sweep, bool quick) {
    auto const measured = take(system, "measured");
    if (auto const own = take(system, "sweep")) sweep = merged(std::move(sweep), *own);
    if (quick) sweep = ends_of(std::move(sweep));
    bool first = true;  // of a sweep's points one stands for all in `show`
    for (auto const& values : combinations(sweep)) {
        auto point = read_system(with(system, values), first ? &experiment.trail : nullptr);
        first = false;
        auto const variant = variant_of(values);
        std::string const group = point.name + variant;
        point.name += swept_label(
            values, {"cluster.gpus", "serving.requests.clients", "serving.requests.rate"});
        if (!values.empty()) point.published = {};
        experiment.points.push_back({values.empty() ? PointKind::system : PointKind::sweep,
                                     std::move(point), group, variant});
    }
    if (!measured) return;
    if (!measured->is_list()) fail(measured->place, "no list", "a list of {set, published}");
    for (Value const& item : measured->items) {
        auto const run = read_spec<ServingMeasured>(item, nullptr);
        if (!run.set.is_map()) fail(run.set.place, "no map", "KEY: VALUE lines");
        auto point = read_system(with(system, run.set.entries), nullptr);
        point.published = run.published;
        std::string const group = point.name;
        experiment.points.push_back({PointKind::measured, std::move(point), group, ""});
    }
}

}  // namespace

ExperimentKind experiment_kind(std::string const& file) {
    Value const root = load_yaml(file);
    bool const serves = root.find("serving") != nullptr;
    if (root.find("workload") != nullptr) return ExperimentKind::workload;
    if (Value const* systems = root.find("systems")) {
        for (Value const& system : systems->items) {
            if (system.find("workload") != nullptr) return ExperimentKind::workload;
        }
        for (Value const& system : systems->items) {
            if (system.find("serving") != nullptr) return ExperimentKind::serving;
        }
    }
    return serves ? ExperimentKind::serving : ExperimentKind::training;
}

namespace {

/// The keys of such a file but those that its systems share.
struct ExperimentKeys {
    std::string title, question;
    std::int64_t seed = 1;
    std::vector<Value> systems;
    Value sweep, quick;
};
std::vector<Field<ExperimentKeys>> const& fields_of(ExperimentKeys const*) {
    static std::vector<Field<ExperimentKeys>> const fields{
        required("title", &ExperimentKeys::title, "what is compared, in a line"),
        required("question", &ExperimentKeys::question, "the question the experiment answers"),
        optional("seed", &ExperimentKeys::seed, "1", "seed of every random stream"),
        required("systems", &ExperimentKeys::systems, "what serves, or runs phases"),
        optional("sweep", &ExperimentKeys::sweep, "", "dotted key of a system: list of values"),
        optional("quick", &ExperimentKeys::quick, "",
                 "dotted key: value that --quick sets besides cutting sweeps to their ends"),
    };
    return fields;
}

/// Takes the `shared` keys of `root` into each system.
std::vector<Value> systems_with(Value& root, std::vector<std::string> const& shared) {
    std::vector<Value> systems;
    if (Value const* written = root.find("systems")) systems = written->items;
    for (std::string const& key : shared) {
        auto const of_all = take(root, key);
        if (!of_all) continue;
        if (of_all->kind == Value::Kind::null) fail(of_all->place, "nothing", "a value");
        for (Value& system : systems) {
            auto const own = take(system, key);
            system.entries.push_back({key, own ? merged(*of_all, *own) : *of_all});
        }
    }
    return systems;
}

}  // namespace

OpenedExperiment open_experiment(std::string const& file,
                                 std::vector<std::string> const& overrides,
                                 bool quick,
                                 std::vector<std::string> const& shared,
                                 Trail* trail) {
    Value root = load_yaml(file);
    OpenedExperiment opened;
    opened.config = file_text(file);
    if (quick) {
        auto const entries = take(root, "quick").value_or(Value{});
        if (!entries.is_map() && entries.kind != Value::Kind::null)
            fail(entries.place, "no map", "KEY: VALUE lines");
        for (auto const& [key, value] : entries.entries) {
            set_value(root, key, value);
            opened.config += fmt::format("\n# quick: {}", key);
        }
    }
    for (std::string const& assignment : overrides) {
        apply_override(root, assignment);
        opened.config += fmt::format("\n# override: {}", assignment);
    }
    opened.systems = systems_with(root, shared);
    auto const keys = read_spec<ExperimentKeys>(root, trail);
    if (opened.systems.empty()) fail(root.find("systems")->place, "no systems", "one or more");
    if (keys.seed < 0) fail(root.find("seed")->place, std::to_string(keys.seed), "0 or more");
    opened.title = keys.title;
    opened.question = keys.question;
    opened.seed = static_cast<std::uint64_t>(keys.seed);
    opened.sweep = keys.sweep;
    return opened;
}

ServingExperiment load_serving_experiment(std::string const& file,
                                          std::vector<std::string> const& overrides,
                                          bool quick) {
    ServingExperiment experiment;
    auto const opened =
        open_experiment(file, overrides, quick, {"serving", "power"}, &experiment.trail);
    experiment.file = file;
    experiment.config = opened.config;
    experiment.title = opened.title;
    experiment.question = opened.question;
    experiment.seed = opened.seed;
    for (Value const& system : opened.systems) {
        add_points(experiment, system, opened.sweep, quick);
    }
    return experiment;
}

}  // namespace nvl72
