// What `nvl72sim topo` prints: every number follows from the wiring, and says how.
#include "topology/fabric.hpp"
#include "topology/wiring.hpp"

#include "sim/base/text.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace nvl72 {
namespace {

std::int64_t whole(long long value) { return static_cast<std::int64_t>(value); }
std::string in_gb(BytesPerSecond rate) { return fmt::format("{:.6g} GB/s", rate.count / 1e9); }

class FactList {
public:
    void count(std::string name, std::string title, std::int64_t value, std::string how) {
        facts.push_back({std::move(name), std::move(title), value, "", std::move(how)});
    }
    void real(
        std::string name, std::string title, double value, std::string unit, std::string how) {
        facts.push_back(
            {std::move(name), std::move(title), value, std::move(unit), std::move(how)});
    }
    void word(std::string name, std::string title, std::string value, std::string how) {
        facts.push_back({std::move(name), std::move(title), std::move(value), "", std::move(how)});
    }
    std::vector<Fact> facts;
};

long long link_ends(Wiring const& wiring) {
    long long ends = 0;
    for (auto const& wire : wiring.wires) ends += wire.count;
    return ends;
}

void machines(FactList& list, Fabric const& fabric) {
    auto const& cluster = fabric.cluster();
    std::string const unit = cluster.unit;
    int const trays = fabric.wiring().gpus / cluster.gpus_per_tray;
    list.count("gpus", "GPUs", fabric.gpus(),
               fmt::format("the first {} of {} the cluster can have", with_commas(fabric.gpus()),
                           with_commas(cluster.gpus_max())));
    list.count("units", fmt::format("{} count in use", unit), fabric.units(),
               fmt::format("{} GPUs each", fabric.wiring().gpus));
    list.count("nvlink_domains", "NVLink domains", fabric.domains(),
               fmt::format("{} GPUs each", fabric.gpus_per_domain()));
    list.count(
        "trays_per_unit", fmt::format("compute trays a {}", unit), trays,
        fmt::format("{} GPUs / {} GPUs a tray", fabric.wiring().gpus, cluster.gpus_per_tray));
    if (cluster.gpus_per_superchip > 0) {
        int const superchips = fabric.wiring().gpus / cluster.gpus_per_superchip;
        list.count("superchips_per_unit", fmt::format("superchips a {}", unit), superchips,
                   fmt::format("{} GPUs / {} GPUs a superchip", fabric.wiring().gpus,
                               cluster.gpus_per_superchip));
    }
    list.count("cpus_per_unit", fmt::format("CPUs a {} ({})", unit, cluster.host.cpu),
               std::int64_t{trays} * cluster.host.cpus,
               fmt::format("{} trays x {} CPUs", trays, cluster.host.cpus));
}

void nvlink(FactList& list, Fabric const& fabric) {
    auto const& cluster = fabric.cluster();
    auto const& wiring = fabric.wiring();
    std::string const unit = cluster.unit;
    auto const links = link_targets(wiring).front().size();
    auto const link = cluster.nvlink.link_bandwidth;
    double const one_way = fabric.nvlink_per_gpu().count;
    list.count("links_per_gpu", "NVLink links a GPU", whole(static_cast<long long>(links)),
               "wires of GPU 0, counted");
    list.real("nvlink_per_gpu", "NVLink a GPU, one direction", one_way / 1e9, "GB/s",
              fmt::format("{} links x {}", links, in_gb(link)));
    list.real("nvlink_per_gpu_both_ways", "NVLink a GPU, both directions", 2 * one_way / 1e12,
              "TB/s", fmt::format("2 x {}", in_gb(fabric.nvlink_per_gpu())));
    list.real("nvlink_per_unit_both_ways", fmt::format("NVLink a {}, both directions", unit),
              2 * one_way * wiring.gpus / 1e12, "TB/s",
              fmt::format("{} GPUs x {} links x {} x 2", wiring.gpus, links, in_gb(link)));
    if (wiring.chips > 0) {
        int most = 0;
        for (int chip = 0; chip < wiring.chips; ++chip) {
            int ports = 0;
            for (auto const& wire : wiring.wires) ports += wire.to == chip ? wire.count : 0;
            most = std::max(most, ports);
        }
        int const per_tray = cluster.nvlink.chips_per_tray;
        list.count("switch_chips", fmt::format("NVSwitch chips a {}", unit), wiring.chips,
                   per_tray > 0
                       ? fmt::format("{} switch trays x {}", wiring.chips / per_tray, per_tray)
                       : "on the baseboard");
        list.count("ports_used", "ports used of the fullest chip", most,
                   fmt::format("of {} ports", cluster.nvlink.switch_ports));
    }
    long long const cables = wiring.chips > 0 ? link_ends(wiring) : link_ends(wiring) / 2;
    list.count("nvlink_links", fmt::format("NVLink links a {}", unit), whole(cables),
               "wires, counted");
    list.count("copper_pairs", fmt::format("copper pairs a {}", unit),
               whole(cables * 2 * cluster.nvlink.lanes),
               fmt::format("{} links x 2 directions x {} pairs", with_commas(cables),
                           cluster.nvlink.lanes));
}

void network(FactList& list, Fabric const& fabric) {
    auto const& cluster = fabric.cluster();
    auto const& net = cluster.network;
    list.real("cpu_gpu_bandwidth", "CPU with its GPUs, both directions",
              2 * cluster.host.cpu_gpu_bandwidth.count / 1e9, "GB/s",
              fmt::format("2 x {}", in_gb(cluster.host.cpu_gpu_bandwidth)));
    list.real("nic_per_gpu", "NIC a GPU, one direction", fabric.nic_per_gpu().count / 1e9, "GB/s",
              fmt::format("{} x {:.6g} Gb/s", cluster.nics.per_gpu,
                          cluster.nics.line_rate.count * 8 / 1e9));
    list.real("nvlink_over_nic", "NVLink over NIC", fabric.nvlink_per_gpu() / fabric.nic_per_gpu(),
              "x",
              fmt::format("{} / {}", in_gb(fabric.nvlink_per_gpu()), in_gb(fabric.nic_per_gpu())));
    Route const near = fabric.route(0, std::min<std::int64_t>(1, fabric.gpus() - 1));
    list.count("hops_in_domain", "switches between GPUs of a domain", near.nvlink_switches,
               fabric.wiring().chips > 0 ? "one NVSwitch tier" : "wired to each other");
    if (fabric.domains() < 2) return;
    Route const far = fabric.route(0, fabric.gpus() - 1);
    list.count("network_tiers", "network tiers, farthest GPUs", far.network_tiers,
               fmt::format("the reach of a leaf switch is {} x {}, of a spine {}",
                           net.units_per_leaf, cluster.unit, net.units_per_spine));
    list.count("hops_network", "switches between the farthest GPUs", far.network_switches,
               fmt::format("2 x {} tiers - 1", far.network_tiers));
    list.real("network_path_latency", "switches of that path",
              to_microseconds(net.hop_latency) * far.network_switches, "us",
              fmt::format("{} x {} us", far.network_switches, to_microseconds(net.hop_latency)));
    list.word(
        "routing", "routing", name_of(fabric.routing()),
        fmt::format("keeps {} of line rate over more than one tier", fabric.routing_factor()));
    double const thin = far.network_tiers > 1 ? net.oversubscription : 1;
    auto const half = fabric.gpus() / 2;
    list.real("network_bisection", "network bisection, one direction",
              static_cast<double>(half) * fabric.nic_per_gpu().count / thin / 1e12, "TB/s",
              fmt::format("{} GPUs x {} / oversubscription {}", with_commas(half),
                          in_gb(fabric.nic_per_gpu()), thin));
}

void totals(FactList& list, Fabric const& fabric) {
    auto const& gpu = fabric.gpu();
    auto const gpus = static_cast<double>(fabric.gpus());
    list.real("hbm_total", "HBM", gpus * static_cast<double>(gpu.hbm_capacity.count) / 1e12, "TB",
              fmt::format("{} GPUs x {} GB", with_commas(fabric.gpus()),
                          significant(static_cast<double>(gpu.hbm_capacity.count) / 1e9)));
    auto const peak = [&](char const* name, char const* title, FlopsPerSecond rate) {
        list.real(
            name, title, gpus * rate.count / 1e15, "PFLOP/s",
            fmt::format("{} GPUs x {:.6g} TFLOP/s", with_commas(fabric.gpus()), rate.count / 1e12));
    };
    peak("peak_bf16", "dense BF16", gpu.peak.bf16);
    if (gpu.peak.fp8) peak("peak_fp8", "dense FP8", *gpu.peak.fp8);
    if (gpu.peak.nvfp4) peak("peak_nvfp4", "dense NVFP4", *gpu.peak.nvfp4);
    list.real("power", "power at full load",
              static_cast<double>(fabric.units()) * fabric.cluster().unit_power.count / 1e3, "kW",
              fmt::format("{} x {:.6g} kW a {}", with_commas(fabric.units()),
                          fabric.cluster().unit_power.count / 1e3, fabric.cluster().unit));
}

/// All that holds of every host; the rest is in the profile that calibrate --device host leaves.
void threads(FactList& list, Fabric const& fabric) {
    list.count("gpus", "ranks, a CPU thread each", fabric.gpus(),
               fmt::format("the first {} of {} that the microkernels take", fabric.gpus(),
                           fabric.cluster().gpus_max()));
    list.count("units", "hosts in use", 1, "this one");
    list.count("nvlink_domains", "domains", 1, "all ranks share one memory");
    list.count("links_per_gpu", "links a rank", 0, "messages go through memory and caches");
    list.word("times", "times", "measured", "nvl72sim calibrate --device host -o host.yaml");
}

}  // namespace

/// The least NVLink bandwidth between two halves of a unit, one direction, worst unit.
Fact Fabric::bisection_fact() const {
    auto const gpus = static_cast<std::size_t>(wiring_.gpus);
    long long least = -1;
    auto const look_at = [&](UnitFaults const* faults) {
        std::vector<int> up(gpus);
        std::vector<std::vector<int>> pairs(gpus, std::vector<int>(gpus));
        for (std::size_t gpu = 0; gpu < gpus; ++gpu) {
            for (std::size_t link = 0; link < links_[gpu].size(); ++link) {
                auto const to = static_cast<std::size_t>(links_[gpu][link]);
                bool down = faults != nullptr && faults->link_down[gpu][link] != 0;
                down =
                    down || (faults != nullptr && wiring_.chips > 0 && faults->chip_down[to] != 0);
                if (down) continue;
                ++up[gpu];
                if (wiring_.chips == 0) ++pairs[gpu][to];
            }
        }
        long long const cut = wiring_.chips > 0 ? bisection_links(up) : bisection_links(pairs);
        if (least < 0 || cut < least) least = cut;
    };
    look_at(nullptr);
    for (auto const& entry : faults_) look_at(&entry.second);
    double const rate = static_cast<double>(least) * cluster_.nvlink.link_bandwidth.count;
    return {"nvlink_bisection",
            fmt::format("NVLink bisection of a {}, one direction", cluster_.unit), rate / 1e12,
            "TB/s",
            fmt::format("{} links cross the thinnest cut into halves x {}", with_commas(least),
                        in_gb(cluster_.nvlink.link_bandwidth))};
}

void Fabric::add_fault_facts(std::vector<Fact>& facts) const {
    if (faults_.empty()) return;
    GroupShape const all = shape_of(0, 1, gpus_);
    double const share = all.in_domain / nvlink_per_gpu();
    facts.push_back({"planes_up", "planes up, worst GPU", std::int64_t{all.planes_up}, "",
                     fmt::format("of {} switch chips; resiliency {}", all.planes,
                                 name_of(cluster_.resiliency))});
    facts.push_back(
        {"nvlink_left", "NVLink left, worst GPU, one direction", all.in_domain.count / 1e9, "GB/s",
         fmt::format("{} of {} links", std::llround(all.in_domain / cluster_.nvlink.link_bandwidth),
                     links_.front().size())});
    facts.push_back(
        {"nvlink_left_share", "share of NVLink left", share, "", "over what was built"});
    facts.push_back({"nic_left", "NIC left, worst GPU, one direction", all.per_gpu_nic.count / 1e9,
                     "GB/s", "a tray's GPUs share the NICs it has left"});
}

std::vector<Fact> Fabric::facts() const {
    FactList list;
    if (cluster_.threads()) {
        threads(list, *this);
        return std::move(list.facts);
    }
    machines(list, *this);
    nvlink(list, *this);
    list.facts.push_back(bisection_fact());
    add_fault_facts(list.facts);
    network(list, *this);
    totals(list, *this);
    return std::move(list.facts);
}

std::string Fabric::dot() const {
    std::string text = fmt::format(
        "graph \"{}\" {{\n  layout=neato; overlap=false; node [shape=box];\n", cluster_.name);
    UnitFaults const* faults = faults_of(0);
    for (int chip = 0; chip < wiring_.chips; ++chip) {
        bool const down =
            faults != nullptr && faults->chip_down[static_cast<std::size_t>(chip)] != 0;
        text += fmt::format("  chip{} [shape=ellipse{}];\n", chip,
                            down ? ", color=red, style=dashed" : "");
    }
    if (cluster_.threads()) text += "  memory [shape=ellipse];\n";
    for (int rank = 0; cluster_.threads() && rank < wiring_.gpus; ++rank) {
        text += fmt::format("  thread{} -- memory;\n", rank);
    }
    std::vector<std::size_t> next(links_.size());
    for (auto const& wire : wiring_.wires) {
        auto const gpu = static_cast<std::size_t>(wire.gpu);
        int up = 0;
        for (int i = 0; i < wire.count; ++i, ++next[gpu]) {
            bool down = faults != nullptr && faults->link_down[gpu][next[gpu]] != 0;
            down = down || (faults != nullptr && wiring_.chips > 0 &&
                            faults->chip_down[static_cast<std::size_t>(wire.to)] != 0);
            up += down ? 0 : 1;
        }
        if (wiring_.chips == 0 && wire.to < wire.gpu) continue;  // listed from its other end
        text += fmt::format("  gpu{} -- {}{} [label=\"{}\"{}];\n", wire.gpu,
                            wiring_.chips > 0 ? "chip" : "gpu", wire.to, up,
                            up < wire.count ? ", color=red, style=dashed" : "");
    }
    return text + "}\n";
}

}  // namespace nvl72
