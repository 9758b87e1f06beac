#include "topology/cluster.hpp"

#include "sim/config/based.hpp"

#include <filesystem>
#include <fmt/format.h>

namespace nvl72 {
namespace {

/// A field that also keeps where it was written.
template <class Spec, class T>
Field<Spec> placed(std::string key,
                   T Spec::* member,
                   Place Spec::* place,
                   std::optional<std::string> fallback,
                   std::string help) {
    return {std::move(key), detail::Reader<T>::expects(), std::move(fallback), std::move(help),
            [member, place](Spec& spec, Value const& value, Trail* trail) {
                spec.*member = detail::Reader<T>::read(value, trail);
                spec.*place = value.place;
            }};
}

Field<FaultsSpec> fault_list(std::string key,
                             std::vector<PlacedText> FaultsSpec::* member,
                             std::string const& example,
                             std::string help) {
    std::string const expects = fmt::format("a list, each such as {}", example);
    return {std::move(key), expects, "", std::move(help),
            [member, expects](FaultsSpec& spec, Value const& value, Trail* trail) {
                if (value.kind == Value::Kind::null) return;
                if (!value.is_list()) fail(value.place, "no list", expects);
                for (auto const& item : value.items) {
                    (spec.*member)
                        .push_back({item.place, detail::Reader<std::string>::read(item, trail)});
                }
            }};
}

/// The file with its `base` files under it, whose superpods are none of its own.
Value load_cluster_file(Library const& library, std::string const& path) {
    Value file = load_based(
        path, [&](Value const& base) { return library.path("clusters", base.scalar, base.place); });
    std::erase_if(file.entries, [&](auto const& entry) {
        return entry.name == "superpod" && entry.value.place.file != path;
    });
    return file;
}

Place at(Value const& file, std::string const& first, std::string const& second = "") {
    Value const* found = file.find(first);
    if (found != nullptr && !second.empty() && found->find(second) != nullptr)
        found = found->find(second);
    return found == nullptr ? file.place : found->place;
}

void require(bool condition,
             Place const& place,
             std::string const& found,
             std::string const& expected) {
    if (!condition) fail(place, found, expected);
}

void check(ClusterSpec const& spec, Value const& file) {
    require(spec.units_max >= 1 && spec.units_max <= 1'000'000, at(file, "units_max"),
            std::to_string(spec.units_max), "1 to 1000000");
    require(spec.gpus_per_unit >= 1 && spec.gpus_per_unit <= 1024, at(file, "gpus_per_unit"),
            std::to_string(spec.gpus_per_unit), "1 to 1024");
    require(spec.gpus_per_tray >= 1 && spec.gpus_per_unit % spec.gpus_per_tray == 0,
            at(file, "gpus_per_tray"), std::to_string(spec.gpus_per_tray),
            fmt::format("a divisor of gpus_per_unit, {}", spec.gpus_per_unit));
    require(spec.gpus_per_superchip == 0 ||
                (spec.gpus_per_superchip > 0 && spec.gpus_per_tray % spec.gpus_per_superchip == 0),
            at(file, "gpus_per_superchip"), std::to_string(spec.gpus_per_superchip),
            fmt::format("a divisor of gpus_per_tray, {}", spec.gpus_per_tray));
    detail::check_left<ClusterSpec>(file, !spec.threads(), "threads of a host share its memory");
    if (spec.threads()) {
        require(spec.units_max == 1, at(file, "units_max"), std::to_string(spec.units_max),
                "1: one host");
        return;
    }
    require(spec.nvlink.links >= 1 && spec.nvlink.links <= 1024, at(file, "nvlink", "links"),
            std::to_string(spec.nvlink.links), "1 to 1024");
    require(spec.nvlink.switch_chips >= 0 && spec.nvlink.switch_chips <= 1024,
            at(file, "nvlink", "switch_chips"), std::to_string(spec.nvlink.switch_chips),
            "0 to 1024");
    require(spec.nvlink.chips_per_tray >= 0, at(file, "nvlink", "chips_per_tray"),
            "a negative number", "0 or more");
    require(spec.nvlink.link_bandwidth.count > 0, at(file, "nvlink", "link_bandwidth"), "zero",
            "more than 0");
    require(spec.nvlink.lanes >= 1, at(file, "nvlink", "lanes"), std::to_string(spec.nvlink.lanes),
            "at least 1");
    require(spec.nics.per_gpu >= 1 && spec.nics.per_gpu <= 16, at(file, "nics", "per_gpu"),
            std::to_string(spec.nics.per_gpu), "1 to 16");
    require(spec.nics.line_rate.count > 0, at(file, "nics", "line_rate"), "zero", "more than 0");
    auto const& network = spec.network;
    require(network.units_per_leaf >= 1, at(file, "network", "units_per_leaf"),
            std::to_string(network.units_per_leaf), "at least 1");
    require(network.units_per_spine >= network.units_per_leaf &&
                network.units_per_spine % network.units_per_leaf == 0,
            at(file, "network", "units_per_spine"), std::to_string(network.units_per_spine),
            fmt::format("a multiple of units_per_leaf, {}", network.units_per_leaf));
    require(network.oversubscription >= 1, at(file, "network", "oversubscription"),
            fmt::format("{}", network.oversubscription), "1 or more");
    for (double const factor : {network.routing_factor.adaptive, network.routing_factor.ecmp}) {
        require(factor > 0 && factor <= 1, at(file, "network", "routing_factor"),
                fmt::format("{}", factor), "above 0, at most 1");
    }
    require(spec.unit_power.count > 0, at(file, "unit_power"), "zero", "more than 0");
    require(spec.host.cpus >= 1, at(file, "host", "cpus"), std::to_string(spec.host.cpus),
            "at least 1");
}

}  // namespace

std::vector<Field<NvlinkSpec>> const& fields_of(NvlinkSpec const*) {
    static std::vector<Field<NvlinkSpec>> const fields{
        required("links", &NvlinkSpec::links, "NVLink links of one GPU"),
        required("link_bandwidth", &NvlinkSpec::link_bandwidth, "one link, one direction"),
        required("lanes", &NvlinkSpec::lanes, "differential pairs of one link, one direction"),
        optional("switch_chips", &NvlinkSpec::switch_chips, "0", "per unit; 0: GPU to GPU"),
        optional("switch_ports", &NvlinkSpec::switch_ports, "0", "links that one chip takes"),
        optional("chips_per_tray", &NvlinkSpec::chips_per_tray, "0", "0: chips on the baseboard"),
        optional("links_per_chip", &NvlinkSpec::links_per_chip, "",
                 "links of each GPU to chip 0, 1, ...; absent: evenly"),
    };
    return fields;
}

std::vector<Field<NicSpec>> const& fields_of(NicSpec const*) {
    static std::vector<Field<NicSpec>> const fields{
        required("per_gpu", &NicSpec::per_gpu, "compute-network NICs per GPU"),
        required("line_rate", &NicSpec::line_rate, "one NIC, one direction"),
    };
    return fields;
}

std::vector<Field<HostSpec>> const& fields_of(HostSpec const*) {
    static std::vector<Field<HostSpec>> const fields{
        required("cpu", &HostSpec::cpu, "name"),
        required("cpus", &HostSpec::cpus, "per tray"),
        required("memory", &HostSpec::memory, "per CPU"),
        required("cpu_gpu_bandwidth", &HostSpec::cpu_gpu_bandwidth,
                 "CPU to one GPU, one direction"),
        optional("identity", &HostSpec::identity, "", "what NCCL reads of the CPU"),
        optional("pcie", &HostSpec::pcie, "", "from the CPU to GPUs and NICs"),
    };
    return fields;
}

std::vector<Field<CpuIdentity>> const& fields_of(CpuIdentity const*) {
    static std::vector<Field<CpuIdentity>> const fields{
        required("arch", &CpuIdentity::arch, "x86_64 | arm64"),
        optional("vendor", &CpuIdentity::vendor, "none", "CPUID's, of x86_64"),
        optional("family", &CpuIdentity::family, "0", "the same"),
        optional("model", &CpuIdentity::model, "0", "the same"),
    };
    return fields;
}

std::vector<Field<PcieSpec>> const& fields_of(PcieSpec const*) {
    static std::vector<Field<PcieSpec>> const fields{
        required("lane_rate", &PcieSpec::lane_rate, "GT/s: 16 of generation 4, 32 of 5, 64 of 6"),
        required("gpu_lanes", &PcieSpec::gpu_lanes, "of one GPU"),
        required("nic_lanes", &PcieSpec::nic_lanes, "of one NIC"),
    };
    return fields;
}

std::vector<Field<RoutingFactors>> const& fields_of(RoutingFactors const*) {
    static std::vector<Field<RoutingFactors>> const fields{
        required("adaptive", &RoutingFactors::adaptive, "share of line rate kept"),
        required("ecmp", &RoutingFactors::ecmp, "share of line rate kept"),
    };
    return fields;
}

std::vector<Field<NetworkSpec>> const& fields_of(NetworkSpec const*) {
    static std::vector<Field<NetworkSpec>> const fields{
        required("kind", &NetworkSpec::kind, "scale-out network"),
        required("units_per_leaf", &NetworkSpec::units_per_leaf, "units within one switch hop"),
        required("units_per_spine", &NetworkSpec::units_per_spine, "units within two tiers"),
        optional("oversubscription", &NetworkSpec::oversubscription, "1",
                 "down over up, at the leaf"),
        required("hop_latency", &NetworkSpec::hop_latency, "one switch"),
        required("routing_factor", &NetworkSpec::routing_factor, "by routing"),
    };
    return fields;
}

std::vector<Field<ClusterSpec>> const& fields_of(ClusterSpec const*) {
    static std::vector<Field<ClusterSpec>> const fields{
        required("title", &ClusterSpec::title, "what people call it"),
        required("kind", &ClusterSpec::kind, "kind of wiring"),
        required("gpu", &ClusterSpec::gpu, "file in configs/gpus"),
        required("unit", &ClusterSpec::unit, "what one unit is called: rack, box, node"),
        optional("units_max", &ClusterSpec::units_max, "1", "units that can be joined"),
        optional("superpod", &ClusterSpec::superpod, "", "cluster that joins many of these"),
        required("gpus_per_unit", &ClusterSpec::gpus_per_unit, ""),
        required("gpus_per_tray", &ClusterSpec::gpus_per_tray, "GPUs that share one host"),
        optional("gpus_per_superchip", &ClusterSpec::gpus_per_superchip, "0", "0: no superchips"),
        detail::left_to_check("nvlink", &ClusterSpec::nvlink, "wiring inside a unit"),
        detail::left_to_check("nics", &ClusterSpec::nics, "compute network of one GPU"),
        detail::left_to_check("host", &ClusterSpec::host, "CPUs"),
        detail::left_to_check("network", &ClusterSpec::network, "between units"),
        detail::left_to_check("unit_power", &ClusterSpec::unit_power, "one unit at full load"),
        optional("resiliency", &ClusterSpec::resiliency, "adaptive",
                 "when a switch chip or link fails"),
    };
    return fields;
}

std::vector<Field<FaultsSpec>> const& fields_of(FaultsSpec const*) {
    static std::vector<Field<FaultsSpec>> const fields{
        fault_list("switch_chips", &FaultsSpec::switch_chips, "rack 0 chip 3",
                   "NVSwitch chips down"),
        fault_list("switch_trays", &FaultsSpec::switch_trays, "rack 0 tray 1",
                   "switch trays down, all chips of each"),
        fault_list("links", &FaultsSpec::links, "gpu 5 link 2", "NVLink links down"),
        fault_list("nics", &FaultsSpec::nics, "gpu 5 nic 0", "NICs down"),
    };
    return fields;
}

std::vector<Field<FabricChoice>> const& fields_of(FabricChoice const*) {
    static std::vector<Field<FabricChoice>> const fields{
        optional("resiliency", &FabricChoice::resiliency, "",
                 "adaptive: runs on with what is left; full: a failure stops the partition"),
    };
    return fields;
}

std::vector<Field<ClusterChoice>> const& fields_of(ClusterChoice const*) {
    static std::vector<Field<ClusterChoice>> const fields{
        placed("name", &ClusterChoice::name, &ClusterChoice::name_place, std::nullopt,
               "see nvl72sim list clusters"),
        placed("gpus", &ClusterChoice::gpus, &ClusterChoice::gpus_place, "0",
               "takes the first N; 0: all of a single rack or box"),
        placed("nvlink_domain", &ClusterChoice::nvlink_domain, &ClusterChoice::nvlink_domain_place,
               "0", "GPUs of one NVLink partition: 8, 16, 36, 72; 0: as built"),
        placed("segment", &ClusterChoice::segment, &ClusterChoice::segment_place, "0",
               "trays that Slurm keeps together in a rack (--segment), 16 of 18 say; 0: racks are "
               "filled"),
        optional("fabric", &ClusterChoice::fabric, "", "NVLink fabric settings"),
        optional("faults", &ClusterChoice::faults, "", "what is broken"),
        optional("routing", &ClusterChoice::routing, "", "absent: adaptive"),
        placed("nvlink_link_bandwidth", &ClusterChoice::nvlink_link_bandwidth,
               &ClusterChoice::nvlink_link_bandwidth_place, "",
               "of one link, one direction; replaces the cluster's"),
        placed("nic_line_rate", &ClusterChoice::nic_line_rate, &ClusterChoice::nic_line_rate_place,
               "", "replaces the cluster's"),
        placed("oversubscription", &ClusterChoice::oversubscription,
               &ClusterChoice::oversubscription_place, "", "replaces the cluster's"),
    };
    return fields;
}

ClusterSpec load_cluster(Library const& library,
                         std::string const& name,
                         Place const& asked,
                         Trail* trail) {
    std::string const path = library.path("clusters", name, asked);
    Value const file = load_cluster_file(library, path);
    auto spec = read_spec<ClusterSpec>(file, trail);
    spec.name = std::filesystem::path(path).stem().string();
    if (Value const* nvlink = file.find("nvlink")) {
        Value const* links = nvlink->find("links");
        if (links != nullptr) spec.source = links->source;
    }
    if (spec.threads()) spec.source = file.source;
    check(spec, file);
    return spec;
}

}  // namespace nvl72
