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

struct ServingFile {
    std::string title, question;
    std::int64_t seed = 1;
    std::vector<Value> systems;
    Value sweep, quick;
};
std::vector<Field<ServingFile>> const& fields_of(ServingFile const*) {
    static std::vector<Field<ServingFile>> const fields{
        required("title", &ServingFile::title, "what is compared, in a line"),
        required("question", &ServingFile::question, "the question the experiment answers"),
        optional("seed", &ServingFile::seed, "1", "seed of every random stream"),
        required("systems", &ServingFile::systems, "what serves"),
        optional("sweep", &ServingFile::sweep, "", "dotted key of a system: list of values"),
        optional("quick", &ServingFile::quick, "",
                 "dotted key: value that --quick sets besides cutting sweeps to their ends"),
    };
    return fields;
}

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

/// Of each list the first and the last value.
Value ends_of(Value sweep) {
    for (auto& [key, values] : sweep.entries) {
        if (values.items.size() > 2)
            values.items.erase(values.items.begin() + 1, values.items.end() - 1);
    }
    return sweep;
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

OpenedExperiment open_experiment(std::string const& file,
                                 std::vector<std::string> const& overrides,
                                 bool quick) {
    OpenedExperiment opened{load_yaml(file), file_text(file)};
    if (quick) {
        auto const entries = take(opened.root, "quick").value_or(Value{});
        if (!entries.is_map() && entries.kind != Value::Kind::null)
            fail(entries.place, "no map", "KEY: VALUE lines");
        for (auto const& [key, value] : entries.entries) {
            set_value(opened.root, key, value);
            opened.config += fmt::format("\n# quick: {}", key);
        }
    }
    for (std::string const& assignment : overrides) {
        apply_override(opened.root, assignment);
        opened.config += fmt::format("\n# override: {}", assignment);
    }
    return opened;
}

std::vector<Value> systems_with(Value& root, std::vector<std::string> const& keys) {
    std::vector<Value> systems;
    if (Value const* written = root.find("systems")) systems = written->items;
    for (std::string const& key : keys) {
        auto const shared = take(root, key);
        if (!shared) continue;
        if (shared->kind == Value::Kind::null) fail(shared->place, "nothing", "a value");
        for (Value& system : systems) {
            auto const own = take(system, key);
            system.entries.push_back({key, own ? merged(*shared, *own) : *shared});
        }
    }
    return systems;
}

ServingExperiment load_serving_experiment(std::string const& file,
                                          std::vector<std::string> const& overrides,
                                          bool quick) {
    auto [root, config] = open_experiment(file, overrides, quick);
    ServingExperiment experiment;
    experiment.file = file;
    experiment.config = std::move(config);
    auto const systems = systems_with(root, {"serving", "power"});
    auto const written = read_spec<ServingFile>(root, &experiment.trail);
    if (systems.empty()) fail(root.find("systems")->place, "no systems", "one or more");
    if (written.seed < 0) fail(root.find("seed")->place, std::to_string(written.seed), "0 or more");
    experiment.title = written.title;
    experiment.question = written.question;
    experiment.seed = static_cast<std::uint64_t>(written.seed);
    for (Value const& system : systems) add_points(experiment, system, written.sweep, quick);
    return experiment;
}

}  // namespace nvl72
