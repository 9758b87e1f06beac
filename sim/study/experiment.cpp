#include "sim/study/experiment.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/study/systems.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

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

std::vector<Field<EqualChoice>> const& fields_of(EqualChoice const*) {
    static std::vector<Field<EqualChoice>> const fields{
        required("in", &EqualChoice::in, "what is made equal"),
        optional("to", &EqualChoice::to, "", "name of the other system"),
        optional("amount", &EqualChoice::amount, "", "so much power, in place of another system"),
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
        optional("equal", &SystemSpec::equal, "",
                 "as many GPUs as make it equal to another system: {in, to}"),
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
    std::optional<std::string> article;
    std::int64_t seed = 1;
    std::vector<Value> systems;
    Value sweep;
    std::vector<Value> collectives;
    std::vector<ClusterAsked> clusters;
    Value given;
    Value values;
    std::optional<Placed<std::string>> answer;
    std::vector<ClaimSpec> claims;
    std::optional<FigureSpec> figure;
    std::vector<std::string> quick;
};

std::vector<Field<ExperimentFile>> const& fields_of(ExperimentFile const*) {
    static std::vector<Field<ExperimentFile>> const fields{
        required("title", &ExperimentFile::title, "what is compared, in a line"),
        required("question", &ExperimentFile::question, "the question the experiment answers"),
        optional("article", &ExperimentFile::article, "", "who asked it: a number, an article"),
        optional("seed", &ExperimentFile::seed, "1", "seed of every random stream"),
        optional("systems", &ExperimentFile::systems, "", "the jobs to simulate"),
        optional("sweep", &ExperimentFile::sweep, "", "dotted key of a system: list of values"),
        optional("collectives", &ExperimentFile::collectives, "", "collectives to time, by size"),
        optional("clusters", &ExperimentFile::clusters, "", "clusters whose facts are derived"),
        optional("given", &ExperimentFile::given, "", "name: number, with its source"),
        optional("values", &ExperimentFile::values, "", "name: expression over the results"),
        optional("answer", &ExperimentFile::answer, "", "a sentence with {name} of the values"),
        optional("claims", &ExperimentFile::claims, "", "stated numbers beside those of the run"),
        optional("quick", &ExperimentFile::quick, "", "KEY=VALUE words that --quick applies"),
        optional("figure", &ExperimentFile::figure, "", "what is drawn: axes and series"),
    };
    return fields;
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

PointTag tag_of(std::string name, std::vector<NamedValue> const& values) {
    PointTag tag{std::move(name), {}};
    for (auto const& [key, value] : values) {
        if (value.is_scalar()) tag.swept.emplace_back(key, value.scalar);
    }
    return tag;
}

/// A system's job, and the figures that stand beside it.
struct Job {
    Value keys;
    Value sweep;
    std::optional<Value> published;
    std::optional<Value> measured;
};

Job job_of(Value system) {
    auto published = take(system, "published");
    auto measured = take(system, "measured");
    auto sweep = take(system, "sweep");
    return {std::move(system), sweep ? std::move(*sweep) : Value{}, std::move(published),
            std::move(measured)};
}

/// `as_written` is the system before overrides: a figure stands only beside the very run it is of,
/// never beside a changed one or a point of a sweep.
void add_points(Experiment& experiment,
                Value const& system,
                Value const& as_written,
                Value const& sweep) {
    Job const job = job_of(system);
    Value const original = job_of(as_written).keys;
    for (auto const& values : combinations(job.sweep, combinations(sweep))) {
        Value point = with(job.keys, values);
        bool const as_published = values.empty() && same_content(point, original);
        if (job.published && as_published) point.entries.push_back({"published", *job.published});
        PointKind const kind = values.empty() ? PointKind::system : PointKind::sweep;
        SystemSpec read = read_system(point, &experiment.trail);
        PointTag tag = tag_of(read.name, values);
        read.name += swept_label(values, {"cluster.gpus", "global_batch"});
        experiment.points.push_back({kind, std::move(read), std::move(tag)});
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
        PointTag tag = tag_of(measured_system.name, run.set.entries);
        experiment.points.push_back(
            {PointKind::measured, std::move(measured_system), std::move(tag)});
    }
}

constexpr std::int64_t quick_runs = 10;

/// Keeps the ends of each longer list of a sweep, and says what it left out.
void shorten_sweep(Value* sweep, std::vector<std::string>& said) {
    if (sweep == nullptr) return;
    for (auto& [key, values] : sweep->entries) {
        if (values.items.size() <= 3) continue;
        said.push_back(fmt::format("{} of {} values of {}", values.items.size() - 2,
                                   values.items.size(), key));
        values.items = {values.items.front(), values.items.back()};
    }
}

Value* find_value(Value& map, std::string_view key) {
    for (auto& [name, value] : map.entries) {
        if (name == key) return &value;
    }
    return nullptr;
}

/// What --quick runs of a config.
std::vector<std::string> shorten(Value& root) {
    std::vector<std::string> said;
    if (Value const* quick = root.find("quick"); quick != nullptr) {
        auto const assignments = quick->items;  // a copy: they may change root
        for (Value const& assignment : assignments) {
            apply_override(root, assignment.scalar);
            said.push_back("what " + assignment.scalar + " replaces");
        }
    }
    shorten_sweep(find_value(root, "sweep"), said);
    auto const shorten_campaign = [&](Value& holder) {
        Value* campaign = find_value(holder, "campaign");
        if (campaign == nullptr || !campaign->is_map()) return;
        apply_override(*campaign, fmt::format("runs={}", quick_runs));
        said.push_back(fmt::format("all but {} runs of a campaign", quick_runs));
    };
    shorten_campaign(root);
    for (char const* list : {"systems", "collectives"}) {
        Value* items = find_value(root, list);
        if (items == nullptr) continue;
        for (Value& item : items->items) {
            shorten_sweep(find_value(item, "sweep"), said);
            shorten_campaign(item);
        }
    }
    return said;
}

/// Each collective once, or for each value of its own sweep.
void add_collectives(Experiment& experiment, std::vector<Value> const& written) {
    for (Value collective : written) {
        auto const sweep = take(collective, "sweep");
        for (auto const& values : combinations(sweep ? *sweep : Value{})) {
            experiment.collectives.push_back(
                read_spec<CollectiveAsked>(with(collective, values), &experiment.trail));
            check(experiment.collectives.back());
        }
    }
}

void expect_something(Experiment const& experiment, Value const& root) {
    if (!experiment.points.empty() || !experiment.collectives.empty() ||
        !experiment.clusters.empty() || !experiment.findings.values.entries.empty()) {
        return;
    }
    Value const* systems = root.find("systems");
    if (systems != nullptr) fail(systems->place, "no systems", "one or more");
    detail::fail_missing_key(root, "systems", "one or more, or collectives, clusters or values");
}

}  // namespace

Experiment load_experiment(std::string const& file,
                           std::vector<std::string> const& overrides,
                           bool quick) {
    return read_experiment(load_yaml(file), file, file_text(file), overrides, quick);
}

Experiment read_experiment(Value root,
                           std::string const& file,
                           std::string text,
                           std::vector<std::string> const& overrides,
                           bool quick) {
    Value as_written = root;
    Experiment experiment;
    experiment.file = file;
    experiment.config = std::move(text);
    for (std::string const& assignment : overrides) {
        apply_override(root, assignment);
        check_taken(root, assignment);
        experiment.config += fmt::format("\n# override: {}", assignment);
    }
    if (quick) experiment.shortened = shorten(root);
    auto const systems = complete_systems(root);
    auto const systems_as_written = complete_systems(as_written);
    auto const written = read_spec<ExperimentFile>(root, &experiment.trail);
    if (written.seed < 0) fail(root.find("seed")->place, std::to_string(written.seed), "0 or more");
    experiment.title = written.title;
    experiment.question = written.question;
    experiment.article = written.article.value_or("");
    experiment.clusters = written.clusters;
    experiment.findings = {written.question, written.given,  written.values,
                           written.answer,   written.claims, written.figure};
    experiment.seed = static_cast<std::uint64_t>(written.seed);
    for (std::size_t i = 0; i < systems.size(); ++i) {
        bool const added = i >= systems_as_written.size();
        add_points(experiment, systems[i], added ? Value{} : systems_as_written[i], written.sweep);
    }
    add_collectives(experiment, written.collectives);
    expect_something(experiment, root);
    return experiment;
}

}  // namespace nvl72
