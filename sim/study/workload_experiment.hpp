#pragma once

#include "sim/study/serving_experiment.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// A machine that phases use: GPUs of the system's cluster, or cores, or a link.
struct PoolChoice {
    Place place;
    std::string name;
    std::optional<std::int64_t> gpus, cores;
    std::optional<BytesPerSecond> rate;
};
std::vector<Field<PoolChoice>> const& fields_of(PoolChoice const*);

struct LinkChoice {
    Place place;
    std::string name;
    double capacity = 0;
};
std::vector<Field<LinkChoice>> const& fields_of(LinkChoice const*);

struct FlowChoice {
    Place place;
    std::string link;
    double each = 1;
    std::optional<double> real;  ///< of given items; none: as those taken
};
std::vector<Field<FlowChoice>> const& fields_of(FlowChoice const*);

/// What every kind of phase has. Its other keys are its kind's own (workload_stages.hpp).
struct PhaseChoice {
    Place place;
    std::string name;
    Placed<std::string> kind;
    std::optional<Placed<std::string>> on;
    int priority = 0;
    double batch = 1;
    std::int64_t lanes = 1, repeats = 1;
    double total = 0;
    std::vector<FlowChoice> takes, gives;
    std::optional<std::string> barrier;
    std::optional<Placed<std::string>> follows;
    std::int64_t publishes_every = 1;
    Picoseconds reload{0};
    Value own;  ///< the kind's keys
};
std::vector<Field<PhaseChoice>> const& fields_of(PhaseChoice const*);

/// What an experiment writes under `workload:`.
struct WorkloadChoice {
    Place place;
    std::vector<PoolChoice> pools;
    std::vector<LinkChoice> links;
    std::vector<PhaseChoice> phases;
    std::optional<Picoseconds> span;  ///< none: until the phases with a total are done
};

struct PublishedWorkload {
    std::optional<Placed<double>> days;
};
std::vector<Field<PublishedWorkload>> const& fields_of(PublishedWorkload const*);

struct WorkloadSystem {
    Place place;
    std::optional<std::string> label;
    std::string name;
    ClusterChoice cluster;
    Value workload;
    WorkloadChoice choice;  ///< of `workload`, read
    PowerChoice power;
    PublishedWorkload published;
};
std::vector<Field<WorkloadSystem>> const& fields_of(WorkloadSystem const*);

/// A key that a sweep set, and to what.
struct SweptValue {
    std::string key, text;
    double number = 0;  ///< NaN: no number
};

struct WorkloadPoint {
    PointKind kind = PointKind::system;
    WorkloadSystem system;
    std::string group;  ///< the system's name without what a sweep sets
    std::vector<SweptValue> swept;
};

struct WorkloadExperiment {
    std::string file, title, question, config;
    std::uint64_t seed = 1;
    std::vector<WorkloadPoint> points;
    Trail trail;
};

WorkloadExperiment load_workload_experiment(std::string const& file,
                                            std::vector<std::string> const& overrides,
                                            bool quick = false);

/// A phase of a list under `phases:` or `stages:`: common keys and its kind's own.
PhaseChoice read_phase(Value const& value, Trail* trail);

}  // namespace nvl72
