// What a topology says in numbers, and where a shipped cluster says otherwise.
#include "sim/interchange/nccl_topology.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <set>
#include <utility>

namespace nvl72 {
namespace {

/// Numbers of a file and of a datasheet are the same within this: C2C is written rounded.
constexpr double tolerance = 0.02;

/// All of one machine, flat.
struct Machine {
    std::int64_t cpus = 0;
    std::set<std::string> architectures;
    std::vector<NcclGpu const*> gpus;
    std::map<int, NcclNet const*> nets;  ///< by device: a NIC without PCI stands under every CPU
};

void gather(Machine& machine, std::vector<NcclNet> const& nets) {
    for (auto const& net : nets) machine.nets.emplace(net.dev, &net);
}
void gather(Machine& machine, NcclPci const& pci) {
    for (auto const& gpu : pci.gpus) machine.gpus.push_back(&gpu);
    gather(machine, pci.nets);
    for (auto const& device : pci.devices) gather(machine, device);
}

/// By host_hash: a file of several trays is those of a whole NVLink domain.
std::map<std::string, Machine> machines_of(NcclTopology const& topology) {
    std::map<std::string, Machine> machines;
    for (auto const& cpu : topology.cpus) {
        auto& machine = machines[cpu.host_hash];
        ++machine.cpus;
        machine.architectures.insert(cpu.arch);
        gather(machine, cpu.nets);
        for (auto const& device : cpu.devices) gather(machine, device);
    }
    return machines;
}

std::int64_t links_of(NcclGpu const& gpu) {
    std::int64_t links = 0;
    for (auto const& nvlink : gpu.nvlinks) links += nvlink.count;
    return links;
}

/// "switches", "GPUs", both, or "nothing".
std::string targets_of(Machine const& machine) {
    std::set<std::string> words;
    for (auto const* gpu : machine.gpus) {
        for (auto const& nvlink : gpu->nvlinks) {
            bool const to_gpu = nvlink.tclass.starts_with("0x03");
            words.insert(to_gpu ? "GPUs" : "switches");
        }
    }
    std::vector<std::string> const found(words.begin(), words.end());
    return found.empty() ? "nothing" : join(found, " and ");
}

/// "8 x 400": Gb/s of the NICs, most frequent first by rate.
std::string rates_of(Machine const& machine) {
    std::map<std::int64_t, int> counts;
    for (auto const& entry : machine.nets) ++counts[entry.second->speed];
    std::vector<std::string> parts;
    for (auto const& [speed, count] : counts) {
        parts.push_back(fmt::format("{} x {:.6g}", count, static_cast<double>(speed) / 1e3));
    }
    return parts.empty() ? "none" : join(parts, " + ");
}

std::string compute_capabilities(Machine const& machine) {
    std::set<int> found;
    for (auto const* gpu : machine.gpus) found.insert(gpu->sm);
    std::vector<std::string> words;
    for (int const sm : found) words.push_back(std::to_string(sm));
    return join(words, " and ");
}

void add_nvlink(std::vector<Fact>& facts, Machine const& machine) {
    std::int64_t least = links_of(*machine.gpus.front()), most = least;
    for (auto const* gpu : machine.gpus) {
        least = std::min(least, links_of(*gpu));
        most = std::max(most, links_of(*gpu));
    }
    facts.push_back({"nvlinks_per_gpu", "NVLink links a GPU", least, "",
                     least == most ? "the same of every GPU"
                                   : fmt::format("of the poorest; the richest has {}", most)});
    facts.push_back({"nvlinks_per_gpu_most", "the same, richest GPU", most, "", ""});
    facts.push_back(
        {"nvlink_targets", "NVLink leads to", targets_of(machine), "", "PCI class of the targets"});
}

/// Summary of the host side and the network.
void add_host(std::vector<Fact>& facts, Machine const& machine) {
    auto const gpus = static_cast<double>(machine.gpus.size());
    double least_c2c = 0;
    for (auto const* gpu : machine.gpus) {
        double const rate = gpu->c2c ? gpu->c2c->bw * 1e-3 * gpu->c2c->count : 0;
        least_c2c = gpu == machine.gpus.front() ? rate : std::min(least_c2c, rate);
    }
    facts.push_back({"c2c_per_gpu", "C2C between CPU and GPU, one direction", least_c2c, "GB/s",
                     "links x bandwidth of one"});
    facts.push_back({"nics", "NICs", static_cast<std::int64_t>(machine.nets.size()), "",
                     "devices of <net>, each once"});
    facts.push_back({"nic_line_rates", "line rates", rates_of(machine), "Gb/s", "NICs x speed"});
    double mbits = 0;
    for (auto const& entry : machine.nets) mbits += static_cast<double>(entry.second->speed);
    facts.push_back({"nic_per_gpu", "NIC a GPU, one direction", mbits / 8e3 / gpus, "GB/s",
                     fmt::format("{:.6g} Gb/s / {} GPUs", mbits / 1e3, gpus)});
    facts.push_back({"cpus", "CPUs", machine.cpus, "", "NUMA nodes"});
    std::vector<std::string> const words(machine.architectures.begin(),
                                         machine.architectures.end());
    facts.push_back({"cpu_architecture", "their architecture", join(words, " and "), "", ""});
}

bool agree(Cell const& a, Cell const& b) {
    auto const* left = std::get_if<double>(&a);
    auto const* right = std::get_if<double>(&b);
    if (left == nullptr || right == nullptr) return a == b;
    return std::abs(*left - *right) <= tolerance * std::max(std::abs(*left), std::abs(*right));
}

/// The cluster as built, all of its first unit.
Fabric fabric_of(Library const& library, std::string const& name) {
    ClusterChoice choice;
    choice.name = name;
    choice.name_place = {"--cluster", 0, ""};
    choice.gpus = load_cluster(library, name, choice.name_place).gpus_per_unit;
    return build_fabric(choice, library);
}

NcclComparison compare(std::vector<Fact> const& facts, Fabric const& fabric) {
    NcclComparison comparison{fabric.cluster().name, {}, {}};
    auto const own = nccl_facts(nccl_topology(fabric));
    for (auto const& fact : facts) {
        auto const same = std::ranges::find(own, fact.name, &Fact::name);
        NVL72_EXPECT(same != own.end(), "facts of a topology are always the same ones");
        bool const counted = fact.name != "machines";
        comparison.facts.push_back(
            {fact, counted ? same->value : Cell{}, !counted || agree(fact.value, same->value)});
    }
    auto const links = std::ranges::find(facts, "nvlinks_per_gpu", &Fact::name);
    auto const count = static_cast<double>(std::get<std::int64_t>(links->value));
    double const one = fabric.cluster().nvlink.link_bandwidth.count / 1e9;
    double const built = fabric.nvlink_per_gpu().count / 1e9;
    Fact const bandwidth{
        "nvlink_per_gpu", "NVLink a GPU, one direction", count * one, "GB/s",
        fmt::format("{} links x {:.6g} GB/s of {}", count, one, fabric.cluster().name)};
    auto const after = comparison.facts.begin() + (links - facts.begin()) + 1;
    comparison.facts.insert(after, {bandwidth, built, agree(bandwidth.value, Cell{built})});
    return comparison;
}

}  // namespace

std::vector<Fact> nccl_facts(NcclTopology const& topology) {
    auto const machines = machines_of(topology);
    auto const fullest =
        std::ranges::max_element(machines, {}, [](auto const& m) { return m.second.gpus.size(); });
    NVL72_EXPECT(fullest != machines.end() && !fullest->second.gpus.empty(), "a GPU was read");
    Machine const& machine = fullest->second;
    std::vector<Fact> facts;
    facts.push_back({"machines", "machines", static_cast<std::int64_t>(machines.size()), "",
                     machines.size() > 1 ? "host_hash; what follows is of the fullest" : ""});
    facts.push_back(
        {"gpus", "GPUs", static_cast<std::int64_t>(machine.gpus.size()), "", "of one machine"});
    facts.push_back({"sm", "compute capability x 10", compute_capabilities(machine), "", ""});
    add_nvlink(facts, machine);
    add_host(facts, machine);
    return facts;
}

int NcclComparison::disagreements() const {
    return static_cast<int>(std::ranges::count(facts, false, &NcclComparedFact::agrees));
}

Table table_of(NcclComparison const& comparison, bool titles) {
    Table table({{"fact", "fact"},
                 {"value", "value"},
                 {"unit", "unit"},
                 {"cluster", comparison.cluster},
                 {"agrees", "agrees"},
                 {"how", "follows from"}});
    for (auto const& row : comparison.facts) {
        std::vector<Cell> cells(6);
        cells[0] = titles ? row.fact.title : row.fact.name;
        cells[1] = row.fact.value;
        cells[2] = row.fact.unit;
        cells[3] = row.cluster;
        bool const compared = !std::holds_alternative<std::monostate>(row.cluster);
        if (compared) cells[4] = std::string(row.agrees ? "yes" : "no");
        cells[5] = row.fact.how;
        table.add(std::move(cells));
    }
    return table;
}

NcclComparison compare_nccl_topology(NcclTopology const& topology,
                                     Library const& library,
                                     std::string const& name) {
    auto const facts = nccl_facts(topology);
    if (!name.empty()) return compare(facts, fabric_of(library, name));
    std::vector<NcclComparison> all;
    for (auto const& cluster : library.names("clusters")) {
        // A superpod is made of the boxes or racks of another file.
        auto const spec = load_cluster(library, cluster, {"--cluster", 0, ""});
        if (spec.threads() || !spec.superpod) continue;
        all.push_back(compare(facts, fabric_of(library, cluster)));
    }
    if (all.empty()) {
        throw ConfigError(
            fmt::format("{}: no cluster to compare with (expected clusters/*.yaml "
                        "that name their superpod, or --cluster)",
                        library.folder()));
    }
    // The GPU decides first: what it is and how many links it has; then all facts together.
    auto const distance = [](NcclComparison const& comparison) {
        int gpu = 0;
        for (auto const& row : comparison.facts) {
            bool const decides = row.fact.name == "sm" || row.fact.name == "nvlinks_per_gpu_most";
            gpu += decides && !row.agrees ? 1 : 0;
        }
        return std::pair{gpu, comparison.disagreements()};
    };
    auto best = std::ranges::min_element(all, {}, distance);
    for (auto const& other : all) {
        if (&other != &*best && distance(other) == distance(*best)) {
            best->alike.push_back(other.cluster);
        }
    }
    return *best;
}

}  // namespace nvl72
