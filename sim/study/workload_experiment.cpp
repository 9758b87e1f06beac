#include "sim/study/workload_experiment.hpp"

#include "sim/study/systems.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <limits>

namespace nvl72 {

std::vector<Field<PoolChoice>> const& fields_of(PoolChoice const*) {
    static std::vector<Field<PoolChoice>> const fields{
        required("name", &PoolChoice::name, "what phases call it"),
        optional("gpus", &PoolChoice::gpus, "", "of the system's cluster"),
        optional("cores", &PoolChoice::cores, "", "of CPUs"),
        optional("rate", &PoolChoice::rate, "", "of a link"),
    };
    return fields;
}

std::vector<Field<LinkChoice>> const& fields_of(LinkChoice const*) {
    static std::vector<Field<LinkChoice>> const fields{
        required("name", &LinkChoice::name, "what phases call it"),
        required("capacity", &LinkChoice::capacity, "items that wait in it at most"),
    };
    return fields;
}

std::vector<Field<FlowChoice>> const& fields_of(FlowChoice const*) {
    static std::vector<Field<FlowChoice>> const fields{
        required("link", &FlowChoice::link, "name of a link"),
        optional("each", &FlowChoice::each, "1", "of the link's items, for each of the phase's"),
        optional("real", &FlowChoice::real, "",
                 "share of given items that came from people; as of those taken when not given"),
    };
    return fields;
}

std::vector<Field<PhaseChoice>> const& fields_of(PhaseChoice const*) {
    static std::vector<Field<PhaseChoice>> const fields{
        required("name", &PhaseChoice::name, "what it is called"),
        required("kind", &PhaseChoice::kind, "what it does"),
        optional("on", &PhaseChoice::on, "", "name of a pool"),
        optional("priority", &PhaseChoice::priority, "0",
                 "on its pool: the highest runs, equals share it"),
        optional("batch", &PhaseChoice::batch, "1", "items of a round"),
        optional("lanes", &PhaseChoice::lanes, "1",
                 "rounds under way at once, each of batch / lanes items"),
        optional("repeats", &PhaseChoice::repeats, "1", "times that a round runs its stages"),
        optional("total", &PhaseChoice::total, "0",
                 "items after which it ends; 0: with the others"),
        optional("takes", &PhaseChoice::takes, "", "from links, before a round"),
        optional("gives", &PhaseChoice::gives, "", "to links, after a round"),
        optional("barrier", &PhaseChoice::barrier, "",
                 "phases with this word wait for one another"),
        optional("follows", &PhaseChoice::follows, "", "phase whose weights it loads anew"),
        optional("publishes_every", &PhaseChoice::publishes_every, "1",
                 "rounds between versions of its weights"),
        optional("reload", &PhaseChoice::reload, "0 s", "time to load a version"),
    };
    return fields;
}

std::vector<Field<PublishedWorkload>> const& fields_of(PublishedWorkload const*) {
    static std::vector<Field<PublishedWorkload>> const fields{
        optional("days", &PublishedWorkload::days, "", "wall time"),
    };
    return fields;
}

std::vector<Field<WorkloadSystem>> const& fields_of(WorkloadSystem const*) {
    static std::vector<Field<WorkloadSystem>> const fields{
        optional("name", &WorkloadSystem::label, "", "label; the cluster's name when not given"),
        required("cluster", &WorkloadSystem::cluster, "which cluster"),
        required("workload", &WorkloadSystem::workload, "pools, links and phases"),
        optional("power", &WorkloadSystem::power, "", "cooling, feed, site and prices"),
        optional("published", &WorkloadSystem::published, "", "what was reported of this very job"),
    };
    return fields;
}

namespace {

/// The keys of `workload:`, whose phases have keys of their kinds.
struct WorkloadKeys {
    std::vector<PoolChoice> pools;
    std::vector<LinkChoice> links;
    Value phases;
    std::optional<Picoseconds> span;
};
std::vector<Field<WorkloadKeys>> const& fields_of(WorkloadKeys const*) {
    static std::vector<Field<WorkloadKeys>> const fields{
        required("pools", &WorkloadKeys::pools, "machines that phases use"),
        optional("links", &WorkloadKeys::links, "", "bounded stores between phases"),
        required("phases", &WorkloadKeys::phases, "what runs"),
        optional("span", &WorkloadKeys::span, "",
                 "time that is simulated; until phases with a total are done when not given"),
    };
    return fields;
}

WorkloadChoice read_workload(Value const& value, Trail* trail) {
    auto const keys = read_spec<WorkloadKeys>(value, trail);
    WorkloadChoice choice;
    choice.place = value.place;
    choice.pools = keys.pools;
    choice.links = keys.links;
    choice.span = keys.span;
    // A list, or a map of names, which systems can change one by one.
    if (keys.phases.is_map()) {
        for (auto const& [name, entry] : keys.phases.entries) {
            Value named = entry;
            Value word;
            word.kind = Value::Kind::scalar;
            word.scalar = name;
            word.place = entry.place;
            if (named.find("name") == nullptr)
                named.entries.insert(named.entries.begin(), {"name", word});
            choice.phases.push_back(read_phase(named, trail));
        }
    } else if (keys.phases.is_list()) {
        for (Value const& item : keys.phases.items)
            choice.phases.push_back(read_phase(item, trail));
    }
    if (choice.phases.empty()) fail(keys.phases.place, "no phases", "a map of names, or a list");
    return choice;
}

SweptValue swept_value(std::string const& key, Value const& value) {
    SweptValue swept{key, value.scalar, std::numeric_limits<double>::quiet_NaN()};
    double number = 0;
    auto const [end, error] =
        std::from_chars(value.scalar.data(), value.scalar.data() + value.scalar.size(), number);
    if (error == std::errc{} && end == value.scalar.data() + value.scalar.size())
        swept.number = number;
    return swept;
}

/// A key's last word, or where another's ends with it all after `workload.phases`.
std::string short_key(std::string const& key, std::vector<NamedValue> const& values) {
    auto const last = [](std::string const& each) { return each.substr(each.rfind('.') + 1); };
    auto const same = std::ranges::count_if(
        values, [&](NamedValue const& other) { return last(other.name) == last(key); });
    constexpr std::string_view start = "workload.phases.";
    if (same == 1) return last(key);
    return key.starts_with(start) ? key.substr(start.size()) : key;
}

void add_points(WorkloadExperiment& experiment, Value system, Value sweep, bool quick) {
    if (auto const own = take(system, "sweep")) sweep = merged(std::move(sweep), *own);
    if (quick) sweep = ends_of(std::move(sweep));
    bool first = true;  // of a sweep's points one stands for all in `show`
    for (auto const& values : combinations(sweep)) {
        auto* const trail = first ? &experiment.trail : nullptr;
        first = false;
        WorkloadPoint point;
        point.kind = values.empty() ? PointKind::system : PointKind::sweep;
        point.system = read_spec<WorkloadSystem>(with(system, values), trail);
        point.system.choice = read_workload(point.system.workload, trail);
        point.group = point.system.label.value_or(point.system.cluster.name);
        point.system.name = point.group;
        for (auto const& [key, value] : values) {
            point.swept.push_back(swept_value(key, value));
            point.system.name += swept_label({{short_key(key, values), value}}, {});
        }
        experiment.points.push_back(std::move(point));
    }
}

}  // namespace

PhaseChoice read_phase(Value const& value, Trail* trail) {
    Value common = value;
    Value own = value;
    common.entries.clear();
    own.entries.clear();
    auto const& fields = fields_of(static_cast<PhaseChoice const*>(nullptr));
    for (auto const& entry : value.entries) {
        bool const shared =
            std::ranges::any_of(fields, [&](auto const& field) { return field.key == entry.name; });
        (shared ? common : own).entries.push_back(entry);
    }
    auto phase = read_spec<PhaseChoice>(common, trail);
    phase.own = std::move(own);
    auto const positive = [&](bool holds, char const* key) {
        if (holds) return;
        Place place = value.place;
        place.key = place.key.empty() ? key : place.key + "." + key;
        fail(place, "zero or less", "more than 0");
    };
    positive(phase.batch > 0, "batch");
    positive(phase.lanes > 0, "lanes");
    positive(phase.repeats > 0, "repeats");
    positive(phase.publishes_every > 0, "publishes_every");
    return phase;
}

WorkloadExperiment load_workload_experiment(std::string const& file,
                                            std::vector<std::string> const& overrides,
                                            bool quick) {
    WorkloadExperiment experiment;
    auto const opened =
        open_experiment(file, overrides, quick, {"workload", "power"}, &experiment.trail);
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
