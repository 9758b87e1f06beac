#pragma once

#include "topology/gpu.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// What the NVLink fabric does when a switch chip or a link is lost. NVIDIA documents both:
/// adaptive runs on with the bandwidth that is left, full stops the partition.
enum class Resiliency { adaptive, full };
template <>
struct EnumNames<Resiliency> {
    static constexpr std::array words{"adaptive", "full"};
};

/// How flows choose among equal paths; only matters where there is more than one switch tier.
enum class Routing { adaptive, ecmp };
template <>
struct EnumNames<Routing> {
    static constexpr std::array words{"adaptive", "ecmp"};
};

enum class NetworkKind { infiniband, ethernet, slingshot };
template <>
struct EnumNames<NetworkKind> {
    static constexpr std::array words{"infiniband", "ethernet", "slingshot"};
};

/// NVLink of one unit (rack, box or node). Bandwidths are per direction.
struct NvlinkSpec {
    int links = 0;                    ///< per GPU
    BytesPerSecond link_bandwidth;    ///< of one link, one direction
    int lanes = 0;                    ///< differential pairs of one link, one direction
    int switch_chips = 0;             ///< per unit; 0: GPUs are wired to each other
    int switch_ports = 0;             ///< of one chip
    int chips_per_tray = 0;           ///< switch chips in one switch tray; 0: on the baseboard
    std::vector<int> links_per_chip;  ///< of each GPU; empty: the same to each chip (or peer)
};
std::vector<Field<NvlinkSpec>> const& fields_of(NvlinkSpec const*);

struct NicSpec {
    int per_gpu = 1;
    BytesPerSecond line_rate;  ///< of one NIC, one direction
};
std::vector<Field<NicSpec>> const& fields_of(NicSpec const*);

/// What NCCL reads of a CPU: the architecture, and of x86_64 what CPUID says.
struct CpuIdentity {
    std::string arch;    ///< x86_64 | arm64
    std::string vendor;  ///< "GenuineIntel"; "" where there is no CPUID
    int family = 0, model = 0;
};
std::vector<Field<CpuIdentity>> const& fields_of(CpuIdentity const*);

/// PCIe from the CPU to GPUs and NICs.
struct PcieSpec {
    double lane_rate = 0;  ///< GT/s; a transfer is a bit
    int gpu_lanes = 0, nic_lanes = 0;
};
std::vector<Field<PcieSpec>> const& fields_of(PcieSpec const*);

/// Host side of one unit.
struct HostSpec {
    std::string cpu;
    int cpus = 0;                         ///< per tray
    Bytes memory;                         ///< per CPU
    BytesPerSecond cpu_gpu_bandwidth;     ///< CPU to one GPU, one direction (C2C or PCIe)
    std::optional<CpuIdentity> identity;  ///< none: NCCL's topology cannot be written
    std::optional<PcieSpec> pcie;         ///< the same
};
std::vector<Field<HostSpec>> const& fields_of(HostSpec const*);

/// Share of line rate that flows crossing several switches keep, when folded.
struct RoutingFactors {
    double adaptive = 0;
    double ecmp = 0;
};
std::vector<Field<RoutingFactors>> const& fields_of(RoutingFactors const*);

/// Rail-optimised fat tree: NIC r of every unit hangs on leaf switch r.
struct NetworkSpec {
    NetworkKind kind{};
    int units_per_leaf = 0;       ///< units that one leaf switch a rail reaches (1 tier)
    int units_per_spine = 0;      ///< units joined by one spine (2 tiers); beyond: 3 tiers
    double oversubscription = 1;  ///< bandwidth down over bandwidth up, at the leaf
    Picoseconds hop_latency;      ///< one switch
    RoutingFactors routing_factor;
};
std::vector<Field<NetworkSpec>> const& fields_of(NetworkSpec const*);

/// A cluster as its datasheet describes it: configs/clusters/NAME.yaml. A file with `base: OTHER`
/// holds only what differs.
struct ClusterSpec {
    Place place;
    std::string name;  ///< of the file, filled in by load_cluster
    std::string title;
    std::string kind;  ///< row of topology_kinds
    std::string gpu;   ///< configs/gpus
    std::string unit;  ///< what one is called: rack | box | node
    std::int64_t units_max = 1;
    std::optional<std::string> superpod;  ///< cluster that joins many of these
    int gpus_per_unit = 0;
    int gpus_per_tray = 0;
    int gpus_per_superchip = 0;  ///< 0: no superchips
    NvlinkSpec nvlink;
    NicSpec nics;
    HostSpec host;
    NetworkSpec network;
    Watts unit_power;  ///< of one unit at full load
    Resiliency resiliency{};
    std::string source;  ///< of the wiring, for lists

    [[nodiscard]] std::int64_t gpus_max() const { return units_max * gpus_per_unit; }
    /// Threads of one CPU in place of GPUs: no links, no NICs, nothing known of it before it is
    /// measured.
    [[nodiscard]] bool threads() const { return kind == "host"; }
};
std::vector<Field<ClusterSpec>> const& fields_of(ClusterSpec const*);

ClusterSpec load_cluster(Library const& library,
                         std::string const& name,
                         Place const& asked,
                         Trail* trail = nullptr);

/// A text with the place where it was written.
struct PlacedText {
    Place place;
    std::string text;
};

/// What is broken, in words that name it.
struct FaultsSpec {
    std::vector<PlacedText> switch_chips;  ///< "rack 0 chip 3"
    std::vector<PlacedText> switch_trays;  ///< "rack 0 tray 1": all chips of the tray
    std::vector<PlacedText> links;         ///< "gpu 5 link 2"
    std::vector<PlacedText> nics;          ///< "gpu 5" or "gpu 5 nic 0"
};
std::vector<Field<FaultsSpec>> const& fields_of(FaultsSpec const*);

struct FabricChoice {
    std::optional<Resiliency> resiliency;
};
std::vector<Field<FabricChoice>> const& fields_of(FabricChoice const*);

/// What an experiment writes under `cluster:`.
struct ClusterChoice {
    Place place;
    std::string name;
    std::int64_t gpus = 0;           ///< 0: all of a single rack or box
    std::int64_t nvlink_domain = 0;  ///< GPUs of one NVLink partition; 0: as built
    /// Trays that Slurm keeps together in a rack (its --segment): of each rack as many as whole
    /// segments fill, and the job is whole segments. 0: racks are filled.
    std::int64_t segment = 0;
    FabricChoice fabric;
    FaultsSpec faults;
    std::optional<Routing> routing;                       ///< none: adaptive
    std::optional<BytesPerSecond> nvlink_link_bandwidth;  ///< of one link, replaces the cluster's
    std::optional<BytesPerSecond> nic_line_rate;          ///< replaces the cluster's
    std::optional<double> oversubscription;               ///< replaces the cluster's

    Place name_place, gpus_place, nvlink_domain_place, segment_place, nvlink_link_bandwidth_place,
        nic_line_rate_place, oversubscription_place;
};
std::vector<Field<ClusterChoice>> const& fields_of(ClusterChoice const*);

}  // namespace nvl72
