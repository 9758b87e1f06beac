#pragma once

#include "sim/config/fields.hpp"
#include "sim/config/library.hpp"
#include "sim/parallel/layout.hpp"
#include "sim/power/choice.hpp"
#include "sim/study/clusters_asked.hpp"
#include "sim/study/findings.hpp"
#include "sim/training/turn_cost.hpp"
#include "sim/workload/choice.hpp"
#include "topology/cluster.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// What was published or measured for a run, to stand beside its prediction. Never read by it.
struct Published {
    std::optional<Placed<double>> tokens_per_s_per_gpu;
    std::optional<Placed<Picoseconds>> step;  ///< median
    std::optional<Picoseconds> step_p10;
    std::optional<Picoseconds> step_p90;
};
std::vector<Field<Published>> const& fields_of(Published const*);

/// A measured run of a system that differs from it in some keys ("set"), predicted as it was run.
struct MeasuredRun {
    Place place;
    Value set;  ///< dotted keys of the system to their values
    Published published;
};
std::vector<Field<MeasuredRun>> const& fields_of(MeasuredRun const*);

/// What a system's number of GPUs is made equal in.
enum class EqualIn : std::uint8_t { gpus, power, cost, peak };
template <>
struct EnumNames<EqualIn> {
    static constexpr std::array words{"gpus", "power", "cost", "peak"};
};

/// "As many GPUs as that other system has", or as draw its power, cost its rent, have its dense
/// BF16 peak; or as a stated power feeds.
struct EqualChoice {
    Place place;
    EqualIn in{};
    std::optional<std::string> to;  ///< name of the other system
    std::optional<Watts> amount;    ///< or so much power
};
std::vector<Field<EqualChoice>> const& fields_of(EqualChoice const*);

/// One system of an experiment: a job on a cluster. Keys a system leaves out come from the
/// experiment's own.
struct SystemSpec {
    Place place;
    std::optional<std::string> label;
    std::string name;  ///< the label, or the cluster's name
    ClusterChoice cluster;
    Layout layout;
    Placed<std::string> model;
    Placed<std::string> recipe;
    Placed<std::string> precision;
    std::optional<Placed<std::string>> fabric;  ///< between NVLink domains; none: as the cluster
    Placed<std::int64_t> sequence_length;
    Placed<std::int64_t> global_batch;
    Grain grain = Grain::block;
    PowerChoice power;
    std::optional<CampaignChoice> campaign;
    std::optional<EqualChoice> equal;  ///< how many GPUs; the batch becomes what divides
    Published published;
};
std::vector<Field<SystemSpec>> const& fields_of(SystemSpec const*);

/// Why a point is in the experiment.
enum class PointKind : std::uint8_t { system, sweep, measured };
template <>
struct EnumNames<PointKind> {
    static constexpr std::array words{"system", "sweep", "measured"};
};

/// One simulation to run.
struct Point {
    PointKind kind = PointKind::system;
    SystemSpec system;
    PointTag tag{};  ///< the system's own name and the swept keys, for expressions
};

/// An experiment config, resolved: every point complete.
struct Experiment {
    std::string file;
    std::string title;
    std::string question;
    std::string article;  ///< who asked it; "": nobody
    std::string config;   ///< its text, with overrides applied at the end
    std::uint64_t seed = 1;
    std::vector<Point> points;
    std::vector<CollectiveAsked> collectives;
    std::vector<ClusterAsked> clusters;  ///< whose facts are asked for
    FindingsSpec findings;
    std::vector<std::string> shortened;  ///< what `quick` left out, in words
    Trail trail;                         ///< every value of every system, with its source
};

/// Reads `file`, applies `overrides` (KEY=VALUE) and works out the points: each system once, or
/// once per value of `sweep` (the product of its lists, and of the system's own `sweep`), and each
/// of its measured runs. `quick` keeps the first and last of each list of more than three, and few
/// runs of a campaign.
Experiment load_experiment(std::string const& file,
                           std::vector<std::string> const& overrides,
                           bool quick = false);
/// The same of a tree that was read from `text`, or made up.
Experiment read_experiment(Value root,
                           std::string const& file,
                           std::string text,
                           std::vector<std::string> const& overrides,
                           bool quick = false);

}  // namespace nvl72
