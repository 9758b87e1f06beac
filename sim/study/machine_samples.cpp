#include "sim/study/machine_samples.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/collective/algorithms.hpp"
#include "sim/config/quantity.hpp"
#include "topology/cluster.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <set>
#include <tuple>

namespace nvl72 {

namespace {

constexpr char const* host_name = "localhost";

std::string gpu_of(Samples const& samples, Library const& library, std::string const& asked) {
    if (samples.host()) {
        if (asked.empty() || asked == host_name) return host_name;
        throw ConfigError(fmt::format("--gpu: {} (expected none: {} holds times of a CPU, {})",
                                      asked, samples.path, host_name));
    }
    if (!asked.empty()) return asked;
    auto const names = library.names("gpus");
    auto const found = gpu_name(samples.device_name);
    if (std::ranges::find(names, found) != names.end()) return found;
    throw ConfigError(
        fmt::format("{}: measured on '{}', none of configs/gpus by that name "
                    "(expected --gpu NAME; see nvl72sim list gpus)",
                    samples.path, samples.device_name));
}

/// The first cluster built of `gpu`, which says where its NVLink ends; none: nothing is known.
std::optional<ClusterSpec> cluster_of(Library const& library, std::string const& gpu) {
    for (auto const& name : library.names("clusters")) {
        auto cluster = load_cluster(library, name, {"configs/clusters", 0, ""});
        if (cluster.gpu == gpu) return cluster;
    }
    return std::nullopt;
}

BytesPerSecond nvlink_of(ClusterSpec const& cluster) {
    return cluster.nvlink.link_bandwidth * static_cast<double>(cluster.nvlink.links);
}

template <class Enum>
std::optional<Enum> word_of(std::string const& text) {
    auto const words = ValueType<Enum>::words();
    auto const found = std::ranges::find(words, text);
    if (found == words.end()) return std::nullopt;
    return static_cast<Enum>(found - words.begin());
}

/// Keeps of each case the launch mode that `better` prefers.
template <class Case, class Key>
std::vector<Case> one_launch(std::vector<Case> const& cases, Key key_of, std::string_view better) {
    std::map<decltype(key_of(cases.front())), Case> kept;
    for (auto const& row : cases) {
        auto const [place, added] = kept.try_emplace(key_of(row), row);
        if (!added && row.launch == better) place->second = row;
    }
    std::vector<Case> result;
    for (auto const& entry : kept) result.push_back(entry.second);
    return result;
}

/// The word that nvl72-measure had for the user, for who fits its file.
void note_drift(MachineSamples& machine, Samples const& samples) {
    constexpr double allowed = 0.1;  // as nvl72-measure's
    if (samples.drift <= allowed) return;
    machine.notes.push_back(
        fmt::format("{}: measured on a busy machine: the passes of {} differ by {:.0f} %; measure "
                    "when quiet, or --blocks 20",
                    samples.path, samples.drift_batch, 100 * samples.drift));
}

void add_gemms(MachineSamples& machine, Samples const& samples) {
    auto const key = [](SampledGemm const& row) {
        return std::tuple(row.precision, row.m, row.n, row.k);
    };
    std::map<std::string, std::size_t> aside;
    for (auto const& row : one_launch(samples.gemms, key, "graph")) {
        auto const precision = word_of<Precision>(row.precision);
        if (!precision) {
            ++aside[row.precision];
            continue;
        }
        machine.kernels.push_back(
            {machine.gpu, Gemm{*precision, row.m, row.n, row.k, false}, row.seconds});
    }
    for (auto const& entry : aside) {
        machine.notes.push_back(fmt::format("{}: {} GEMMs in {} left aside: no precision of ours",
                                            samples.path, entry.second, entry.first));
    }
}

/// Where `row`'s ranks stand; none when its nodes do not tell.
std::optional<GroupShape> shape_of(SampledCollective const& row,
                                   std::optional<ClusterSpec> const& cluster) {
    GroupShape shape;
    shape.ranks = row.ranks;
    shape.ranks_per_domain = row.ranks;
    shape.planes = shape.planes_up = planes_assumed;
    if (row.nodes == 1) return shape;
    if (!cluster) return std::nullopt;
    auto const share = (row.ranks + row.nodes - 1) / row.nodes;
    auto const domain = cluster->kind == "nvl72" ? std::int64_t{cluster->gpus_per_unit} : share;
    shape.domains = (row.ranks + domain - 1) / domain;
    shape.ranks_per_domain = std::min(row.ranks, domain);
    if (shape.domains > 1) {
        shape.per_gpu_nic = cluster->nics.line_rate * static_cast<double>(cluster->nics.per_gpu);
        shape.rails = static_cast<int>(shape.ranks_per_domain) * cluster->nics.per_gpu;
        shape.network_tiers = 1;
    }
    return shape;
}

/// An all-reduce counts both of its times, other operations the one out of place (samples_to_fit).
bool counts(SampledCollective const& row) {
    return row.suite == "nccl" && (row.in_place == 0 || row.op == "all_reduce");
}

/// The row of collective_algorithms that `row` was told to take ("ring", "ll" -> ring-ll; "nvls",
/// "simple" -> nvls), "" where NCCL chose; none when there is no such row or it cannot run here.
std::optional<std::string> forced_row(SampledCollective const& row, Collective const& query) {
    if (row.algorithm == "auto") return "";
    Profile profile;  // that has every branch
    profile.collectives.emplace().nvls.emplace();
    Choice const choice{profile, query.op, query.size, query.shape, query.bytes_per_element};
    for (auto const& known : collective_algorithms()) {
        if (is_microkernel(known.branch)) continue;
        if (known.name != row.algorithm && known.name != row.algorithm + "-" + row.protocol)
            continue;
        if (known.obstacle(choice).empty()) return std::string(known.name);
    }
    return std::nullopt;
}

void add_nccl(MachineSamples& machine,
              Samples const& samples,
              std::optional<ClusterSpec> const& cluster) {
    std::vector<SampledCollective> rows;
    std::ranges::copy_if(samples.collectives, std::back_inserter(rows), counts);
    auto const key = [](SampledCollective const& row) {
        return std::tuple(row.op, row.ranks, row.nodes, row.bytes, row.dtype, row.in_place,
                          row.algorithm, row.protocol);
    };
    std::size_t aside = 0;
    std::map<std::string, std::size_t> unknown;
    for (auto const& row : one_launch(rows, key, "eager")) {
        auto const op = collective_op(row.op);
        auto const* type = element_type(row.dtype);
        auto const shape = shape_of(row, cluster);
        if (!op || type == nullptr || !shape || row.ranks < 2) {
            ++aside;
            continue;
        }
        Collective query;
        query.op = *op;
        query.size = Bytes{row.bytes};
        query.bytes_per_element = type->bytes;
        query.shape = *shape;
        auto const forced = forced_row(row, query);
        if (!forced) {
            ++unknown[fmt::format("{} {}", row.algorithm, row.protocol)];
            continue;
        }
        machine.collectives.push_back({machine.gpu, query, row.seconds, {}, *forced});
    }
    if (aside > 0) {
        machine.notes.push_back(
            fmt::format("{}: {} NCCL cases left aside: an operation, a type or "
                        "a placement unknown here",
                        samples.path, aside));
    }
    std::size_t cases = 0;
    std::vector<std::string> names;
    for (auto const& entry : unknown) {
        cases += entry.second;
        names.push_back(entry.first);
    }
    if (cases > 0) {
        machine.notes.push_back(fmt::format("{}: {} NCCL cases by {} left aside: no branch of ours",
                                            samples.path, cases, join(names)));
    }
}

}  // namespace

MachineSamples machine_samples(Samples const& samples,
                               Library const& library,
                               std::string const& gpu) {
    MachineSamples machine;
    machine.gpu = gpu_of(samples, library, gpu);
    machine.device = samples.device_name;
    machine.date = samples.date;
    note_drift(machine, samples);
    std::ranges::copy_if(samples.collectives, std::back_inserter(machine.microkernels),
                         [](auto const& row) { return row.suite == "microkernel"; });
    machine.memory = samples.memory;
    machine.times = {samples.launches, samples.copies, samples.overlaps};
    if (samples.host()) return machine;
    auto const cluster = cluster_of(library, machine.gpu);
    if (cluster) machine.nvlink = ValueType<BytesPerSecond>::write(nvlink_of(*cluster));
    add_gemms(machine, samples);
    add_nccl(machine, samples, cluster);
    return machine;
}

}  // namespace nvl72
