#include "sim/app/log_options.hpp"

#include "sim/app/command.hpp"
#include "sim/base/error.hpp"
#include "sim/collective/algorithms.hpp"
#include "sim/interchange/measured_collective.hpp"
#include "topology/cluster.hpp"

#include <cmath>
#include <fmt/format.h>

namespace nvl72 {

namespace po = boost::program_options;

namespace {

std::int64_t whole(po::variables_map const& options, char const* name, std::int64_t least) {
    auto const value = option<std::int64_t>(options, name);
    constexpr std::int64_t most = 1 << 24;
    if (value && (*value < least || *value > most)) {
        throw ConfigError(fmt::format("--{}: {} (expected {} to {})", name, *value, least, most));
    }
    return value.value_or(0);
}

double positive(po::variables_map const& options, char const* name) {
    auto const value = option<double>(options, name);
    if (value && !(std::isfinite(*value) && *value > 0)) {
        throw ConfigError(fmt::format("--{}: {} (expected a number above 0)", name, *value));
    }
    return value.value_or(0);
}

/// What a cluster says of every job on it.
void take_cluster(GivenFacts& given, ClusterSpec const& cluster) {
    if (cluster.threads()) {
        throw ConfigError(
            fmt::format("--cluster: {} has no NVLink (expected a cluster of GPUs)", cluster.name));
    }
    given.cluster = cluster.name;
    given.gpus_per_node = cluster.gpus_per_tray;
    given.gpus_max = cluster.gpus_max();
    given.larger = cluster.superpod.value_or("");
    given.of_cluster.gpu = cluster.gpu;
    given.of_cluster.nvlink_domain = cluster.gpus_per_unit;
    given.of_cluster.nics_per_node = cluster.nics.per_gpu * cluster.gpus_per_tray;
    given.of_cluster.nic_gbps = cluster.nics.line_rate.count * 8 / 1e9;
    given.of_cluster.fabric = name_of(cluster.network.kind);
}

/// As collective_algorithms names it, or a family of several.
std::string algorithm_asked(std::string const& word) {
    if (word.empty()) return word;
    auto const forced = forced_algorithm("NCCL_ALGO=" + word);
    if (!forced.empty()) return forced;
    throw ConfigError(fmt::format(
        "--algorithm: '{}' (expected what NCCL_ALGO takes: ring | tree | nvls | nvlstree ...)",
        word));
}

}  // namespace

void describe_given_facts(po::options_description& options) {
    options.add_options()  //
        ("gpu", po::value<std::string>(), "whose measurements, where they do not say")(
            "op", po::value<std::string>(), "all_reduce ..., of logs that do not say; likewise:")(
            "ranks", po::value<std::int64_t>(), "ranks, one a GPU")(
            "nodes", po::value<std::int64_t>(), "nodes (boxes, trays) that they ran on")(
            "nics-per-node", po::value<double>(), "NICs of a node")("nic-gbps", po::value<double>(),
                                                                    "line rate of one NIC, Gb/s")(
            "nvlink-domain", po::value<std::int64_t>(), "GPUs of one NVLink domain: 8, 72 ...")(
            "fabric", po::value<std::string>(), "infiniband | roce | slingshot ...")(
            "launch", po::value<std::string>(), "eager | graph | threads | symmetric")(
            "algorithm", po::value<std::string>(),
            "that NCCL_ALGO forced, or that a disabled NVLS left: ring | tree | nvls ...")(
            "cluster", po::value<std::string>(),
            "where logs ran: its GPU, NICs and NVLink domain, as far as nothing else tells them");
}

GivenFacts given_facts(po::variables_map const& options, Library const& library) {
    GivenFacts given;
    auto& told = given.told;
    told.gpu = option<std::string>(options, "gpu").value_or("");
    if (auto const op = option<std::string>(options, "op"))
        told.op = name_of(parse_collective_op(*op));
    told.ranks = whole(options, "ranks", 2);
    told.nodes = whole(options, "nodes", 1);
    told.nics_per_node = positive(options, "nics-per-node");
    told.nic_gbps = positive(options, "nic-gbps");
    told.nvlink_domain = whole(options, "nvlink-domain", 1);
    told.fabric = option<std::string>(options, "fabric").value_or("");
    if (!told.fabric.empty()) (void)library.path("fabrics", told.fabric, {"--fabric", 0, ""});
    told.launch =
        launch_mode(option<std::string>(options, "launch").value_or(""), {"--launch", 0, ""});
    told.algorithm = algorithm_asked(option<std::string>(options, "algorithm").value_or(""));
    if (auto const cluster = option<std::string>(options, "cluster")) {
        take_cluster(given, load_cluster(library, *cluster, {"--cluster", 0, ""}));
    }
    return given;
}

}  // namespace nvl72
