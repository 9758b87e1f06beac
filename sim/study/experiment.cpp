#include "sim/study/experiment.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fstream>
#include <sstream>

namespace nvl72 {

std::vector<Field<Published>> const& fields_of(Published const*) {
    static std::vector<Field<Published>> const fields{
        optional("tokens_per_s_per_gpu", &Published::tokens_per_s_per_gpu, "", "throughput"),
        optional("step", &Published::step, "", "median step time"),
        optional("step_p10", &Published::step_p10, "", "10th percentile of the run's steps"),
        optional("step_p90", &Published::step_p90, "", "90th percentile of the run's steps"),
    };
    return fields;
}

std::vector<Field<MeasuredRun>> const& fields_of(MeasuredRun const*) {
    static std::vector<Field<MeasuredRun>> const fields{
        required("set", &MeasuredRun::set, "keys of the system as this run had them"),
        required("published", &MeasuredRun::published, "what was measured"),
    };
    return fields;
}

std::vector<Field<SystemSpec>> const& fields_of(SystemSpec const*) {
    static std::vector<Field<SystemSpec>> const fields{
        optional("name", &SystemSpec::label, "", "label; the cluster's name when not given"),
        required("cluster", &SystemSpec::cluster, "which cluster, how many of its GPUs, faults"),
        required("layout", &SystemSpec::layout, "how the job is cut over the GPUs"),
        required("model", &SystemSpec::model, "name or file of a model"),
        required("recipe", &SystemSpec::recipe, "name or file of a training recipe"),
        required("precision", &SystemSpec::precision, "a precision of the recipe"),
        optional("fabric", &SystemSpec::fabric, "",
                 "what joins NVLink domains, with its software: configs/fabrics, or a path; as the "
                 "cluster's network when not given"),
        required("sequence_length", &SystemSpec::sequence_length, "tokens per sequence"),
        required("global_batch", &SystemSpec::global_batch, "sequences per optimizer step"),
        optional("grain", &SystemSpec::grain, "block",
                 "one task for each turn of a stage, or one for each operator in it"),
        optional("power", &SystemSpec::power, "", "limits, cooling, feed, site and prices"),
        optional("campaign", &SystemSpec::campaign, "", "many steps, with failures"),
        optional("published", &SystemSpec::published, "", "what was published for this very run"),
    };
    return fields;
}

namespace {

/// Keys that a system inherits from the experiment.
constexpr std::array inherited{"model",  "recipe",          "precision",    "fabric",
                               "layout", "sequence_length", "global_batch", "grain",
                               "power",  "campaign"};

/// The experiment file as written.
struct ExperimentFile {
    std::string title;
    std::string question;
    std::int64_t seed = 1;
    std::vector<Value> systems;
    Value sweep;
};

std::vector<Field<ExperimentFile>> const& fields_of(ExperimentFile const*) {
    static std::vector<Field<ExperimentFile>> const fields{
        required("title", &ExperimentFile::title, "what is compared, in a line"),
        required("question", &ExperimentFile::question, "the question the experiment answers"),
        optional("seed", &ExperimentFile::seed, "1", "seed of every random stream"),
        required("systems", &ExperimentFile::systems, "the jobs to simulate"),
        optional("sweep", &ExperimentFile::sweep, "", "dotted key of a system: list of values"),
    };
    return fields;
}

/// Every combination of the sweep's lists, first key slowest.
std::vector<std::vector<NamedValue>> combinations(Value const& sweep) {
    std::vector<std::vector<NamedValue>> all{{}};
    if (sweep.kind == Value::Kind::null) return all;
    if (!sweep.is_map()) fail(sweep.place, "no map", "KEY: [VALUE, ...]");
    for (auto const& [key, values] : sweep.entries) {
        if (!values.is_list() || values.items.empty()) {
            fail(values.place, "no values", "a list such as [256, 512]");
        }
        std::vector<std::vector<NamedValue>> next;
        for (auto const& chosen : all) {
            for (Value const& value : values.items) {
                next.push_back(chosen);
                next.back().push_back({key, value});
            }
        }
        all = std::move(next);
    }
    return all;
}

// Past this a count is a slip of the hand, and products could leave 64 bits.
constexpr std::int64_t count_max = 1'000'000'000;

void check_count(Placed<std::int64_t> const& count) {
    if (count.value >= 1 && count.value <= count_max) return;
    fail(count.place, std::to_string(count.value), fmt::format("1 to {}", count_max));
}

/// An override of a key that every system has of its own would change nothing.
void check_taken(Value const& root, std::string const& assignment) {
    std::string const path = assignment.substr(0, assignment.find('='));
    std::string const key = path.substr(0, path.find('.'));
    Value const* systems = root.find("systems");
    if (std::ranges::find(inherited, key) == inherited.end() || systems == nullptr) return;
    auto const own = [&](Value const& system) { return system.find(key) != nullptr; };
    if (systems->items.empty() || !std::ranges::all_of(systems->items, own)) return;
    fail({"command line", 0, path}, fmt::format("every system has a {} of its own", key),
         fmt::format("systems.0.{}", path));
}

void check_published(Published const& published, Place place) {
    auto const positive = [](bool holds, Place const& at) {
        if (!holds) fail(at, "zero or less", "more than 0");
    };
    if (auto const& rate = published.tokens_per_s_per_gpu) positive(rate->value > 0, rate->place);
    if (auto const& step = published.step) positive(step->value.count > 0, step->place);
    std::string const prefix = place.key.empty() ? "" : place.key + ".";
    for (auto const& [key, time] :
         {std::pair{"step_p10", published.step_p10}, std::pair{"step_p90", published.step_p90}}) {
        place.key = prefix + "published." + key;
        positive(!time || time->count > 0, place);
    }
}

SystemSpec read_system(Value const& value, Trail* trail) {
    auto system = read_spec<SystemSpec>(value, trail);
    system.name = system.label.value_or(system.cluster.name);
    check_count(system.sequence_length);
    check_count(system.global_batch);
    check_published(system.published, system.place);
    return system;
}

std::string file_text(std::string const& file) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

/// Takes `key` out of a map; nothing when it is not there.
std::optional<Value> take(Value& map, std::string const& key) {
    auto const found = std::ranges::find_if(
        map.entries, [&](NamedValue const& entry) { return entry.name == key; });
    if (found == map.entries.end()) return std::nullopt;
    Value taken = std::move(found->value);
    map.entries.erase(found);
    return taken;
}

/// The systems of a file, each with the keys it inherits.
std::vector<Value> complete_systems(Value& root) {
    Value defaults;
    for (char const* key : inherited) {
        auto value = take(root, key);
        if (!value) continue;
        if (value->kind == Value::Kind::null) fail(value->place, "nothing", "a value");
        defaults.entries.push_back({key, std::move(*value)});
    }
    std::vector<Value> systems;
    if (Value const* written = root.find("systems")) systems = written->items;
    for (Value& system : systems) {
        for (auto const& [key, value] : defaults.entries) {
            if (system.find(key) == nullptr) system.entries.push_back({key, value});
        }
    }
    return systems;
}

/// `system` with the dotted keys of `values` replaced.
Value with(Value system, std::vector<NamedValue> const& values) {
    for (auto const& [key, value] : values) set_value(system, key, value);
    return system;
}

/// " layout.tp=8": what tells points of a sweep apart, unless a column of its own does.
std::string swept_label(std::vector<NamedValue> const& values) {
    std::string label;
    for (auto const& [key, value] : values) {
        bool const has_column = key == "cluster.gpus" || key == "global_batch";
        if (!has_column && value.is_scalar()) label += fmt::format(" {}={}", key, value.scalar);
    }
    return label;
}

/// A system's job, and the figures that stand beside it.
struct Job {
    Value keys;
    std::optional<Value> published;
    std::optional<Value> measured;
};

Job job_of(Value system) {
    auto published = take(system, "published");
    auto measured = take(system, "measured");
    return {std::move(system), std::move(published), std::move(measured)};
}

/// `as_written` is the system before overrides: a figure stands only beside the very run it is of,
/// never beside a changed one or a point of a sweep.
void add_points(Experiment& experiment,
                Value const& system,
                Value const& as_written,
                Value const& sweep) {
    Job const job = job_of(system);
    Value const original = job_of(as_written).keys;
    for (auto const& values : combinations(sweep)) {
        Value point = with(job.keys, values);
        bool const as_published = values.empty() && same_content(point, original);
        if (job.published && as_published) point.entries.push_back({"published", *job.published});
        PointKind const kind = values.empty() ? PointKind::system : PointKind::sweep;
        SystemSpec read = read_system(point, &experiment.trail);
        read.name += swept_label(values);
        experiment.points.push_back({kind, std::move(read)});
    }
    if (!job.measured) return;
    if (!job.measured->is_list())
        fail(job.measured->place, "no list", "a list of {set, published}");
    for (Value const& item : job.measured->items) {
        auto const run = read_spec<MeasuredRun>(item, nullptr);
        check_published(run.published, run.place);
        if (!run.set.is_map()) fail(run.set.place, "no map", "KEY: VALUE lines");
        Value const point = with(job.keys, run.set.entries);
        if (!same_content(point, with(original, run.set.entries))) continue;
        SystemSpec measured_system = read_system(point, nullptr);
        measured_system.published = run.published;
        experiment.points.push_back({PointKind::measured, std::move(measured_system)});
    }
}

}  // namespace

Experiment load_experiment(std::string const& file, std::vector<std::string> const& overrides) {
    return read_experiment(load_yaml(file), file, file_text(file), overrides);
}

Experiment read_experiment(Value root,
                           std::string const& file,
                           std::string text,
                           std::vector<std::string> const& overrides) {
    Value as_written = root;
    Experiment experiment;
    experiment.file = file;
    experiment.config = std::move(text);
    for (std::string const& assignment : overrides) {
        apply_override(root, assignment);
        check_taken(root, assignment);
        experiment.config += fmt::format("\n# override: {}", assignment);
    }
    auto const systems = complete_systems(root);
    auto const systems_as_written = complete_systems(as_written);
    auto const written = read_spec<ExperimentFile>(root, &experiment.trail);
    if (written.systems.empty()) fail(root.find("systems")->place, "no systems", "one or more");
    if (written.seed < 0) fail(root.find("seed")->place, std::to_string(written.seed), "0 or more");
    experiment.title = written.title;
    experiment.question = written.question;
    experiment.seed = static_cast<std::uint64_t>(written.seed);
    for (std::size_t i = 0; i < systems.size(); ++i) {
        bool const added = i >= systems_as_written.size();
        add_points(experiment, systems[i], added ? Value{} : systems_as_written[i], written.sweep);
    }
    return experiment;
}

}  // namespace nvl72
