// From a cluster's wiring to the topology that NCCL would find on its first box or tray.
#include "sim/interchange/nccl_topology.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

namespace nvl72 {
namespace {

// PCI classes, as the PCI code and ID assignment specification names them.
constexpr std::string_view class_bridge = "0x060400";
constexpr std::string_view class_gpu = "0x030200";
constexpr std::string_view class_nvswitch = "0x068000";
constexpr std::string_view class_infiniband = "0x020700";
constexpr std::string_view class_ethernet = "0x020000";

/// NVLink 5 hides its switch chips from the host; NCCL writes this in their place.
constexpr std::string_view hidden_fabric = "fffffff:ff:ff.0";
constexpr int net_maxconn = 131072;  // NCCL's InfiniBand transport

/// What the cluster's file says at `key`, or a one-line error.
template <class T>
T const& told(std::optional<T> const& value, Place place, char const* key, char const* expected) {
    place.key = key;
    if (!value) fail(place, "missing", expected);
    return *value;
}

/// Builds one machine; counts out bus ids and NICs as it goes.
class Builder {
public:
    explicit Builder(Fabric const& fabric)
        : fabric_(fabric),
          spec_(fabric.cluster()),
          cpu_(told(spec_.host.identity,
                    spec_.place,
                    "host.identity",
                    "what NCCL reads of the CPU, such as {arch: arm64}")),
          pcie_(told(spec_.host.pcie,
                     spec_.place,
                     "host.pcie",
                     "such as {lane_rate: 32, gpu_lanes: 16, nic_lanes: 16}")) {
        double const capability = told(fabric.gpu().compute_capability, fabric.gpu().place,
                                       "compute_capability", "CUDA's, such as 9.0");
        sm_ = static_cast<int>(std::lround(10 * capability));
        gpus_ = static_cast<int>(std::min<std::int64_t>(spec_.gpus_per_tray, fabric.gpus()));
        per_cpu_ = (spec_.gpus_per_tray + spec_.host.cpus - 1) / spec_.host.cpus;
        superchip_ = spec_.gpus_per_superchip > 0;
        share_ = spec_.host.cpu_gpu_bandwidth.count / per_cpu_;
        double const uplink = pcie_.lane_rate * 1e9 / 8 * pcie_.gpu_lanes;  // bytes per second
        // As many GPUs share a PCIe switch as its uplink has shares of the CPU's bandwidth.
        per_switch_ = superchip_ ? 1 : std::max(1, static_cast<int>(uplink / share_));
    }

    NcclTopology build() {
        NcclTopology topology;
        for (int cpu = 0; cpu < spec_.host.cpus; ++cpu) {
            NcclCpu made;
            made.numaid = cpu;
            made.affinity = "00000000";
            made.arch = cpu_.arch;
            if (cpu_.vendor != "none") made.vendor = cpu_.vendor;
            made.familyid = cpu_.family;
            made.modelid = cpu_.model;
            int const end = std::min(gpus_, (cpu + 1) * per_cpu_);
            for (int gpu = cpu * per_cpu_; gpu < end; gpu += superchip_ ? 1 : per_switch_) {
                add_gpus(made, gpu, std::min(end, gpu + per_switch_));
            }
            topology.cpus.push_back(std::move(made));
        }
        return topology;
    }

private:
    /// GPUs begin at bus 10, NICs at 50, PCIe switches at 90, NVSwitch chips at e0.
    static std::string busid(int base, int number) {
        return fmt::format("0000:{:02x}:00.0", base + number);
    }
    static std::string gpu_busid(int gpu) { return busid(0x10, gpu); }

    NcclPci device(std::string busid, std::string_view device_class, int width) const {
        NcclPci pci;
        pci.busid = std::move(busid);
        pci.device_class = device_class;
        pci.link_speed = fmt::format("{:.1f} GT/s PCIe", pcie_.lane_rate);
        pci.link_width = width;
        return pci;
    }

    /// GPUs first to end, with their NICs, behind one PCIe switch; superchips have none.
    void add_gpus(NcclCpu& cpu, int first, int end) {
        NcclPci bridge = device(busid(0x90, bridges_), class_bridge, pcie_.gpu_lanes);
        auto& devices = superchip_ ? cpu.devices : bridge.devices;
        for (int gpu = first; gpu < end; ++gpu) {
            NcclPci pci = device(gpu_busid(gpu), class_gpu, pcie_.gpu_lanes);
            pci.gpus.push_back(gpu_of(gpu));
            devices.push_back(std::move(pci));
        }
        for (int gpu = first; gpu < end; ++gpu) {
            for (int nic = 0; nic < spec_.nics.per_gpu; ++nic) devices.push_back(next_nic());
        }
        if (superchip_) return;
        ++bridges_;
        cpu.devices.push_back(std::move(bridge));
    }

    NcclGpu gpu_of(int gpu) const {
        NcclGpu made{gpu, sm_, gpu, true, {}, {}};
        auto const& wiring = fabric_.wiring();
        bool const hidden = fabric_.gpu().architecture > GpuArchitecture::hopper;
        for (auto const& wire : wiring.wires) {
            if (wire.gpu != gpu) continue;
            if (wiring.chips == 0) {
                made.nvlinks.push_back({gpu_busid(wire.to), wire.count, std::string(class_gpu)});
            } else if (hidden && !made.nvlinks.empty()) {
                made.nvlinks.front().count += wire.count;
            } else {
                made.nvlinks.push_back({hidden ? std::string(hidden_fabric) : busid(0xe0, wire.to),
                                        wire.count, std::string(class_nvswitch)});
            }
        }
        // The spec knows their sum, not how many links there are.
        if (superchip_) made.c2c = NcclC2c{static_cast<int>(std::llround(share_ / 1e6)), 1};
        return made;
    }

    NcclPci next_nic() {
        bool const infiniband = spec_.network.kind == NetworkKind::infiniband;
        NcclPci pci = device(busid(0x50, nics_), infiniband ? class_infiniband : class_ethernet,
                             pcie_.nic_lanes);
        pci.nets.push_back({fmt::format("nic{}", nics_), nics_,
                            std::llround(spec_.nics.line_rate.count * 8 / 1e6), 1, 0,
                            fmt::format("{:#x}", 0x1000 + nics_), net_maxconn, true, false});
        ++nics_;
        return pci;
    }

    Fabric const& fabric_;
    ClusterSpec const& spec_;
    CpuIdentity const& cpu_;
    PcieSpec const& pcie_;
    int sm_ = 0;  ///< compute capability x 10
    int gpus_ = 0, per_cpu_ = 1, per_switch_ = 1;
    bool superchip_ = false;
    double share_ = 0;  ///< of the CPU's bandwidth, one GPU's
    int nics_ = 0, bridges_ = 0;
};

}  // namespace

NcclTopology nccl_topology(Fabric const& fabric) {
    Place const place{fabric.cluster().place.file, 1, "kind"};
    if (fabric.cluster().threads()) {
        fail(place, "threads of a host", "a cluster of GPUs: NCCL knows no other");
    }
    if (fabric.has_faults()) {
        fail({"--format nccl-xml", 0, ""}, "a cluster with faults",
             "one as built: NCCL's file has no place for what is broken");
    }
    return Builder(fabric).build();
}

}  // namespace nvl72
