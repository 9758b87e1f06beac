#pragma once

#include "sim/config/fields.hpp"
#include "sim/power/choice.hpp"
#include "sim/serving/layout.hpp"
#include "sim/serving/metrics.hpp"
#include "sim/serving/prefix_cache.hpp"
#include "sim/serving/requests.hpp"
#include "sim/study/experiment.hpp"
#include "topology/cluster.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// Servers that compute prompts only.
struct PrefillChoice {
    Place place;
    ServingLayout layout;
    std::int64_t replicas = 1;
};
std::vector<Field<PrefillChoice>> const& fields_of(PrefillChoice const*);

/// What an experiment writes under `serving:`.
struct ServingChoice {
    Place place;
    Placed<std::string> model, engine, precision;
    ServingLayout layout;
    std::optional<Placed<std::int64_t>> replicas;  ///< none: as many as the GPUs make
    std::int64_t slots = 0;  ///< sequences at once of a server; 0: what the engine allows
    std::optional<PrefillChoice> prefill;    ///< none: prompts and decoding on the same servers
    std::optional<BytesPerSecond> transfer;  ///< of caches into one server; none: NICs of its tp
    RequestSource requests;
    std::optional<PrefixCacheChoice> prefix_cache;
    ServiceLimits slo;
};
std::vector<Field<ServingChoice>> const& fields_of(ServingChoice const*);

/// What was measured of a run: means, as clients see them.
struct PublishedServing {
    std::optional<Placed<Picoseconds>> ttft, tpot;
    std::optional<Placed<double>> tokens_per_s;
};
std::vector<Field<PublishedServing>> const& fields_of(PublishedServing const*);

struct ServingSystem {
    Place place;
    std::optional<std::string> label;
    std::string name;
    ClusterChoice cluster;
    ServingChoice serving;
    PowerChoice power;
    PublishedServing published;
};
std::vector<Field<ServingSystem>> const& fields_of(ServingSystem const*);

struct ServingPoint {
    PointKind kind = PointKind::system;
    ServingSystem system;
    std::string group;    ///< the system's name, without what a sweep sets but for the variant
    std::string variant;  ///< what a sweep sets of requests besides how many: points to be compared
};

/// An experiment whose systems serve requests.
struct ServingExperiment {
    std::string file, title, question;
    std::string config;  ///< its text, with overrides applied at the end
    std::uint64_t seed = 1;
    std::vector<ServingPoint> points;
    Trail trail;
};

/// What an experiment's systems do: the keys say it.
enum class ExperimentKind : std::uint8_t { training, serving, workload };
ExperimentKind experiment_kind(std::string const& file);

/// A file as experiments that train nothing are written, whatever their systems do.
struct OpenedExperiment {
    std::string title, question;
    std::string config;  ///< its text, with what --quick and overrides set at the end
    std::uint64_t seed = 1;
    std::vector<Value> systems;  ///< each with what the experiment says of all
    Value sweep;
};

/// With `overrides` (KEY=VALUE) applied, of `quick` over its `quick:` entries. What the experiment
/// says under `shared` each system has, map by map, with its own over it.
OpenedExperiment open_experiment(std::string const& file,
                                 std::vector<std::string> const& overrides,
                                 bool quick,
                                 std::vector<std::string> const& shared,
                                 Trail* trail);

ServingExperiment load_serving_experiment(std::string const& file,
                                          std::vector<std::string> const& overrides,
                                          bool quick = false);

}  // namespace nvl72
