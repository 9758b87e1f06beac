#include "sim/interchange/nccl_topology.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <gtest/gtest.h>
#include <set>

namespace nvl72 {
namespace {

Library const& library() {
    static Library const configs(NVL72_SOURCE_DIR "/configs");
    return configs;
}

NcclTopology topology_of(std::string const& cluster) {
    ClusterChoice choice;
    choice.name = cluster;
    choice.gpus = load_cluster(library(), cluster, {}).gpus_per_unit;
    return nccl_topology(build_fabric(choice, library()));
}

void walk(NcclPci const& pci, std::function<void(NcclPci const&)> const& visit) {
    visit(pci);
    for (auto const& device : pci.devices) walk(device, visit);
}
void walk(NcclTopology const& topology, std::function<void(NcclPci const&)> const& visit) {
    for (auto const& cpu : topology.cpus) {
        for (auto const& device : cpu.devices) walk(device, visit);
    }
}

Fact fact(std::vector<Fact> const& facts, std::string const& name) {
    auto const found = std::ranges::find(facts, name, &Fact::name);
    return found == facts.end() ? Fact{} : *found;
}
NcclComparedFact compared(NcclComparison const& comparison, std::string const& name) {
    for (auto const& row : comparison.facts) {
        if (row.fact.name == name) return row;
    }
    return {};
}

std::vector<std::string> clusters_of_gpus() {
    std::vector<std::string> names;
    for (auto const& name : library().names("clusters")) {
        if (!load_cluster(library(), name, {}).threads()) names.push_back(name);
    }
    return names;
}

TEST(NcclTopology, WrittenAndReadIsTheSameForEveryCluster) {
    for (auto const& name : clusters_of_gpus()) {
        auto const topology = topology_of(name);
        EXPECT_EQ(parse_nccl_xml(nccl_xml(topology), "x.xml"), topology) << name;
    }
}

TEST(NcclTopology, EveryClusterAgreesWithItselfAndIsRecognised) {
    for (auto const& name : clusters_of_gpus()) {
        auto const spec = load_cluster(library(), name, {});
        auto const own = compare_nccl_topology(topology_of(name), library(), name);
        EXPECT_EQ(own.disagreements(), 0) << name;
        if (!spec.superpod) continue;
        auto const nearest = compare_nccl_topology(topology_of(name), library());
        bool const found = nearest.cluster == name ||
                           std::ranges::find(nearest.alike, name) != nearest.alike.end();
        EXPECT_TRUE(found) << name << " taken for " << nearest.cluster;
        EXPECT_EQ(nearest.disagreements(), 0) << name;
    }
}

TEST(NcclTopology, DeviceNumbersAreUniqueAndInNcclsRanges) {
    for (auto const& name : clusters_of_gpus()) {
        std::set<std::string> busids, guids;
        std::size_t devices = 0, nets = 0;
        walk(topology_of(name), [&](NcclPci const& pci) {
            ++devices;
            busids.insert(pci.busid);
            EXPECT_TRUE(pci.link_width == 2 || pci.link_width == 16);
            for (auto const& gpu : pci.gpus) {
                EXPECT_GE(gpu.sm, 80);
                EXPECT_EQ(gpu.dev, gpu.rank);
            }
            for (auto const& net : pci.nets) {
                ++nets;
                guids.insert(net.guid);
                EXPECT_GE(net.speed, 200'000);
            }
        });
        EXPECT_EQ(busids.size(), devices) << name;
        EXPECT_EQ(guids.size(), nets) << name;
    }
}

/// 18 links over 4 chips, 5-4-4-5, each chip by its bus id; one NIC behind each GPU's PCIe switch.
TEST(NcclTopology, HgxH100HasFourSwitchChipsAndANicBesideEachGpu) {
    auto const topology = topology_of("hgx-h100");
    ASSERT_EQ(topology.cpus.size(), 2U);
    ASSERT_EQ(topology.cpus[0].devices.size(), 4U);
    auto const& bridge = topology.cpus[0].devices[0];
    ASSERT_EQ(bridge.devices.size(), 2U);
    auto const& gpu = bridge.devices[0].gpus.at(0);
    EXPECT_EQ(gpu.sm, 90);
    std::vector<int> counts;
    for (auto const& link : gpu.nvlinks) counts.push_back(link.count);
    EXPECT_EQ(counts, (std::vector{5, 4, 4, 5}));
    EXPECT_FALSE(gpu.c2c);
    EXPECT_EQ(bridge.devices[1].nets.at(0).speed, 400'000);
    EXPECT_EQ(bridge.link_speed, "32.0 GT/s PCIe");
}

/// 64 GB/s a CPU for 4 GPUs are 16 each; a switch that carries 200 Gb/s is 4th generation, 32 GB/s.
TEST(NcclTopology, TwoGpusOfADgxA100ShareAPcieSwitch) {
    auto const topology = topology_of("dgx-a100-40gb");
    ASSERT_EQ(topology.cpus[0].devices.size(), 2U);
    EXPECT_EQ(topology.cpus[0].devices[0].devices.size(), 4U);  // 2 GPUs and 2 NICs
    EXPECT_EQ(topology.cpus[0].devices[0].link_speed, "16.0 GT/s PCIe");
}

/// One tray of the rack: 4 GPUs, 18 links each into a fabric that hides its chips.
TEST(NcclTopology, Nvl72IsOneTray) {
    auto const facts = nccl_facts(topology_of("gb200-nvl72"));
    EXPECT_EQ(fact(facts, "gpus").value, Cell{std::int64_t{4}});
    EXPECT_EQ(fact(facts, "nvlinks_per_gpu").value, Cell{std::int64_t{18}});
    EXPECT_EQ(fact(facts, "nic_line_rates").value, Cell{std::string("4 x 400")});
    EXPECT_EQ(fact(facts, "c2c_per_gpu").value, Cell{225.0});  // 450 GB/s for two
    EXPECT_EQ(fact(facts, "cpu_architecture").value, Cell{std::string("arm64")});
}

TEST(NcclTopology, ThreadsAndFaultsHaveNone) {
    EXPECT_THROW(topology_of("localhost"), ConfigError);
    ClusterChoice choice;
    choice.name = "hgx-h100";
    choice.gpus = 8;
    choice.faults.links.push_back({{}, "gpu 0 link 0"});
    EXPECT_THROW(nccl_topology(build_fabric(choice, library())), ConfigError);
}

/// As NCCL writes it: more attributes than ours, two trays of one NVLink domain, of which GPU 5 has
/// lost its links.
std::string fused_trays() {
    std::string text = "<system version=\"1\">\n";
    int rank = 0;
    for (int tray = 0; tray < 2; ++tray) {
        text += fmt::format(
            "  <cpu host_hash=\"0x{:x}\" numaid=\"0\" affinity=\"ff,ffffffff\" "
            "arch=\"arm64\">\n",
            17 + tray);
        for (int gpu = 0; gpu < 4; ++gpu, ++rank) {
            text += fmt::format(
                "    <pci busid=\"000{}:06:00.0\" class=\"0x030200\" vendor=\"0x10de\" "
                "link_speed=\"32.0 GT/s PCIe\" link_width=\"1\">\n"
                "      <gpu dev=\"{}\" sm=\"103\" mlopart=\"-1\" rank=\"{}\" gdr=\"1\">\n{}"
                "        <c2c bw=\"44712\" count=\"5\"/>\n      </gpu>\n    </pci>\n",
                gpu, gpu, rank,
                rank == 1 ? ""
                          : "        <nvlink target=\"fffffff:ff:ff.0\" count=\"18\" "
                            "tclass=\"0x068000\"/>\n");
        }
        text +=
            "    <nic><net name=\"eth0\" dev=\"0\" speed=\"10000\" port=\"0\" guid=\"0x0\" "
            "maxconn=\"65536\" gdr=\"0\"/></nic>\n    <gin/>\n  </cpu>\n";
    }
    return text + "</system>\n";
}

TEST(NcclTopology, AGpuThatLostItsLinksIsSeen) {
    auto const topology = parse_nccl_xml(fused_trays(), "trays.xml");
    EXPECT_EQ(parse_nccl_xml(nccl_xml(topology), "again.xml"), topology);
    auto const found = compare_nccl_topology(topology, library());
    EXPECT_EQ(found.cluster, "gb300-nvl72");
    EXPECT_EQ(compared(found, "machines").fact.value, Cell{std::int64_t{2}});
    EXPECT_TRUE(compared(found, "gpus").agrees);
    EXPECT_FALSE(compared(found, "nvlinks_per_gpu").agrees);
    EXPECT_FALSE(compared(found, "nvlink_per_gpu").agrees);
    EXPECT_TRUE(compared(found, "nvlinks_per_gpu_most").agrees);
    EXPECT_TRUE(compared(found, "c2c_per_gpu").agrees);  // 223.6 of 225 GB/s
    EXPECT_FALSE(compared(found, "nics").agrees);
}

struct Broken {
    std::string from, to;  ///< what is replaced in the file of hgx-h100
    std::string message;
};

TEST(NcclTopology, BrokenFilesAreOneLineWithTheirPlace) {
    std::string const whole = nccl_xml(topology_of("hgx-h100"));
    std::vector<Broken> const broken{
        {"</system>", "", "x.xml:126: "},
        {"<system", "<graphs", "x.xml:"},
        {"version=\"1\"", "version=\"2\"", "x.xml:1: system.version: '2' (expected 1)"},
        {"arch=\"x86_64\"", "arch=\"x87\"", "x.xml:2: cpu.arch: 'x87' (expected x86_64 | arm64"},
        {" vendor=\"GenuineIntel\"", "", "x.xml:2: cpu.vendor: missing"},
        {"0000:10:00.0", "0000:1g:00.0", "x.xml:4: pci.busid: '0000:1g:00.0' (expected such as"},
        {"0000:10:00.0", "0000:90:00.0", "x.xml:4: pci.busid: '0000:90:00.0' again"},
        {R"(dev="0" sm="90")", R"(dev="0" sm="9.0")", "x.xml:5: gpu.sm: '9.0' (expected a whole"},
        {"count=\"5\"", "count=\"0\"",
         "x.xml:6: nvlink.count: '0' (expected a whole number from 1"},
        {"<nvlink target", "<nvlnk target", "x.xml:6: <nvlnk> in <gpu> (expected did you mean"},
        {"speed=\"400000\"", "speed=\"0\"", "x.xml:14: net.speed: '0' (expected a whole number"},
        {"gdr=\"1\" coll", "gdr=\"2\" coll", "x.xml:14: net.gdr: '2' (expected a whole number"},
        {"latency=\"0.000000\"", "latency=\"nan\"", "x.xml:14: net.latency: 'nan' (expected"},
        {"<nic>", "<gpu>", "x.xml:"},
        {whole, "", "x.xml:1: "},
        {whole, R"(<system version="1"><cpu numaid="0" arch="arm64"/></system>)",
         "x.xml:1: no <gpu> (expected at least one"},
    };
    for (auto const& slip : broken) {
        std::string text = whole;
        auto const at = text.find(slip.from);
        ASSERT_NE(at, text.npos) << slip.from;
        text.replace(at, slip.from.size(), slip.to);
        try {
            parse_nccl_xml(text, "x.xml");
            ADD_FAILURE() << "read with " << slip.from << " -> " << slip.to;
        } catch (ConfigError const& error) {
            std::string const message = error.what();
            EXPECT_TRUE(message.starts_with(slip.message)) << message;
            EXPECT_EQ(message.find('\n'), message.npos) << message;
        }
    }
}

TEST(NcclTopology, PciSwitchesBehindSwitchesEndSomewhere) {
    std::string text = R"(<system version="1"><cpu numaid="0" arch="arm64">)";
    for (int i = 0; i < 200; ++i) text += fmt::format("<pci busid=\"{:04x}:00:00.0\">", i);
    for (int i = 0; i < 200; ++i) text += "</pci>";
    EXPECT_THROW(parse_nccl_xml(text + "</cpu></system>", "deep.xml"), ConfigError);
}

}  // namespace
}  // namespace nvl72
