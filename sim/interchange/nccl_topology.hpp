#pragma once

#include "sim/config/library.hpp"
#include "topology/fabric.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// NCCL's own view of one machine, as NCCL_TOPO_DUMP_FILE writes it and NCCL_TOPO_FILE reads it
/// (version 1). Names, ranges and units are NCCL's.

/// `count` NVLink links of a GPU to one target.
struct NcclNvlink {
    std::string target;  ///< bus id of a switch chip or a GPU; fffffff:ff:ff.0: a hidden fabric
    int count = 0;
    std::string tclass;  ///< PCI class of the target: 0x068000 a switch, 0x030200 a GPU
    bool operator==(NcclNvlink const&) const = default;
};

/// NVLink-C2C between a CPU and its GPU.
struct NcclC2c {
    int bw = 0;  ///< of one link, MB/s, one direction
    int count = 0;
    bool operator==(NcclC2c const&) const = default;
};

struct NcclGpu {
    int dev = 0;    ///< CUDA device of its process
    int sm = 0;     ///< compute capability x 10
    int rank = -1;  ///< -1: of no rank
    bool gdr = false;
    std::vector<NcclNvlink> nvlinks;
    std::optional<NcclC2c> c2c;
    bool operator==(NcclGpu const&) const = default;
};

/// One port of a NIC.
struct NcclNet {
    std::string name;
    int dev = 0;
    std::int64_t speed = 0;  ///< Mbit/s
    int port = 0;
    double latency = 0;  ///< us; 0: NCCL's default
    std::string guid;
    int maxconn = 0;
    bool gdr = false;
    bool coll = false;  ///< a CollNet plugin: the switches sum
    bool operator==(NcclNet const&) const = default;
};

struct NcclPci {
    std::string busid;
    std::string device_class;  ///< attribute `class`; may be empty
    std::string link_speed;    ///< "32.0 GT/s PCIe"; "" where the kernel did not say
    int link_width = 0;        ///< lanes; 0: not said
    std::vector<NcclPci> devices;
    std::vector<NcclGpu> gpus;
    std::vector<NcclNet> nets;
    bool operator==(NcclPci const&) const = default;
};

struct NcclCpu {
    std::string host_hash;  ///< "": one machine
    int numaid = 0;
    std::string affinity;  ///< mask of cores; "" or zeros: not known
    std::string arch;      ///< x86_64 | arm64 | ppc64
    std::string vendor;    ///< CPUID's; only of x86_64
    int familyid = 0;
    int modelid = 0;
    std::vector<NcclPci> devices;
    std::vector<NcclNet> nets;  ///< NICs without a PCI device
    bool operator==(NcclCpu const&) const = default;
};

struct NcclTopology {
    std::vector<NcclCpu> cpus;
    bool operator==(NcclTopology const&) const = default;
};

/// The first box, node or tray of a fabric. What the spec does not know is numbered in order: bus
/// ids, guids, devices. Throws ConfigError where there is nothing NCCL could plan on: threads of a
/// host, a fabric with faults, a CPU that NCCL has no name for.
NcclTopology nccl_topology(Fabric const& fabric);

/// As NCCL_TOPO_FILE takes it.
std::string nccl_xml(NcclTopology const& topology);

/// Reads what nccl_xml or NCCL itself wrote. Elements and attributes that a later NCCL adds are
/// passed over; what NCCL would refuse, or no machine has, is a ConfigError `file:line: ...`.
NcclTopology parse_nccl_xml(std::string const& text, std::string const& file);
NcclTopology load_nccl_xml(std::string const& path);

/// What a topology says of its fullest machine. Stable names: gpus, sm, nvlinks_per_gpu ...
std::vector<Fact> nccl_facts(NcclTopology const& topology);

struct NcclComparedFact {
    Fact fact;
    Cell cluster;  ///< what the cluster's own file says; empty: not compared
    bool agrees = true;
};

/// A topology beside a shipped cluster.
struct NcclComparison {
    std::string cluster;
    std::vector<std::string> alike;  ///< other clusters that agree in as many facts
    std::vector<NcclComparedFact> facts;
    [[nodiscard]] int disagreements() const;
};

/// Beside the cluster `name`, or beside the one that it resembles most: that agrees in most facts.
NcclComparison compare_nccl_topology(NcclTopology const& topology,
                                     Library const& library,
                                     std::string const& name = {});

/// A row a fact; with `titles` for people, else with stable names.
Table table_of(NcclComparison const& comparison, bool titles);

}  // namespace nvl72
