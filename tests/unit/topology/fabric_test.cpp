#include "topology/fabric.hpp"
#include "topology/wiring.hpp"

#include "sim/base/error.hpp"

#include <cmath>
#include <gtest/gtest.h>
#include <string>
#include <variant>

namespace nvl72 {
namespace {

Library shipped() { return Library(NVL72_SOURCE_DIR "/configs"); }

/// The fabric an experiment describes by these lines under `cluster:`.
Fabric fabric_of(std::string const& lines) {
    Value const root = parse_yaml("cluster:\n" + lines, "experiment.yaml");
    return build_fabric(read_spec<ClusterChoice>(*root.find("cluster"), nullptr), shipped());
}

std::string error_of(std::string const& lines) {
    try {
        fabric_of(lines);
    } catch (ConfigError const& error) {
        return error.what();
    }
    return "no error";
}

double number(Fabric const& fabric, std::string const& name) {
    for (auto const& fact : fabric.facts()) {
        if (fact.name != name) continue;
        if (auto const* whole = std::get_if<std::int64_t>(&fact.value))
            return static_cast<double>(*whole);
        if (auto const* real = std::get_if<double>(&fact.value)) return *real;
    }
    ADD_FAILURE() << "no fact " << name;
    return std::nan("");
}

TEST(Gb200Nvl72, DerivesItsPublishedCountsFromTheWiring) {
    Fabric const rack = fabric_of("  name: gb200-nvl72\n");
    EXPECT_EQ(number(rack, "gpus"), 72);
    EXPECT_EQ(number(rack, "trays_per_unit"), 18);       // 72 / 4
    EXPECT_EQ(number(rack, "superchips_per_unit"), 36);  // 72 / 2
    EXPECT_EQ(number(rack, "cpus_per_unit"), 36);        // 18 trays x 2
    EXPECT_EQ(number(rack, "switch_chips"), 18);
    EXPECT_EQ(number(rack, "ports_used"), 72);
    EXPECT_EQ(number(rack, "links_per_gpu"), 18);
    EXPECT_DOUBLE_EQ(number(rack, "nvlink_per_gpu"), 900);               // 18 x 50 GB/s
    EXPECT_DOUBLE_EQ(number(rack, "nvlink_per_gpu_both_ways"), 1.8);     // TB/s
    EXPECT_DOUBLE_EQ(number(rack, "nvlink_per_unit_both_ways"), 129.6);  // 72 x 1.8
    EXPECT_EQ(number(rack, "copper_pairs"), 5184);                       // 1,296 links x 2 x 2
    EXPECT_DOUBLE_EQ(number(rack, "nvlink_bisection"), 32.4);            // 36 GPUs x 900 GB/s
    EXPECT_DOUBLE_EQ(number(rack, "cpu_gpu_bandwidth"), 900);
}

TEST(HgxH100, SplitsItsLinksFiveFourFourFive) {
    Fabric const box = fabric_of("  name: hgx-h100\n");
    std::vector<int> to_chip(4);
    for (auto const& wire : box.wiring().wires) {
        if (wire.gpu == 3) to_chip[static_cast<std::size_t>(wire.to)] += wire.count;
    }
    EXPECT_EQ(to_chip, (std::vector<int>{5, 4, 4, 5}));
    EXPECT_DOUBLE_EQ(box.nvlink_per_gpu().count, 450e9);
    EXPECT_DOUBLE_EQ(box.nic_per_gpu().count, 50e9);
}

TEST(ShippedBoxes, HaveTheirPublishedNvlink) {
    EXPECT_DOUBLE_EQ(fabric_of("  name: hgx-a100-80gb\n").nvlink_per_gpu().count,
                     300e9);                                                           // 12 x 25
    EXPECT_DOUBLE_EQ(fabric_of("  name: hgx-h800\n").nvlink_per_gpu().count, 200e9);   // 8 x 25
    EXPECT_DOUBLE_EQ(fabric_of("  name: hgx-b200\n").nvlink_per_gpu().count, 900e9);   // 18 x 50
    EXPECT_DOUBLE_EQ(fabric_of("  name: vr-nvl72\n").nvlink_per_gpu().count, 1800e9);  // 36 x 50
    EXPECT_DOUBLE_EQ(fabric_of("  name: gb300-nvl72\n").nic_per_gpu().count, 100e9);   // 800 Gb/s
}

TEST(FabricFaults, LostPlaneTakesItsShareOfLinks) {
    // One of 18 planes, one link each: 17/18. HGX: chip 0 has 5 of 18 links, chip 1 has 4.
    GroupShape const rack =
        fabric_of("  name: gb200-nvl72\n  faults: {switch_chips: [rack 0 chip 3]}\n")
            .shape_of(0, 1, 72);
    EXPECT_DOUBLE_EQ(rack.in_domain.count, 17 * 50e9);
    EXPECT_EQ(rack.planes, 18);
    EXPECT_EQ(rack.planes_up, 17);
    EXPECT_DOUBLE_EQ(fabric_of("  name: hgx-h100\n  faults: {switch_chips: [box 0 chip 0]}\n")
                         .shape_of(0, 1, 8)
                         .in_domain.count,
                     13 * 25e9);
    EXPECT_DOUBLE_EQ(fabric_of("  name: hgx-h100\n  faults: {switch_chips: [box 0 chip 1]}\n")
                         .shape_of(0, 1, 8)
                         .in_domain.count,
                     14 * 25e9);
}

TEST(FabricFaults, LostPlaneStaysInItsRack) {
    Fabric const two = fabric_of(
        "  name: gb200-nvl72-superpod\n  gpus: 144\n  faults: {switch_chips: [rack 1 chip 0]}\n");
    EXPECT_DOUBLE_EQ(two.shape_of(0, 1, 72).in_domain.count, 900e9);
    EXPECT_DOUBLE_EQ(two.shape_of(72, 1, 72).in_domain.count, 850e9);
    EXPECT_DOUBLE_EQ(two.shape_of(0, 1, 144).in_domain.count, 850e9);
}

TEST(FabricFaults, LostLinkTouchesOnlyGroupsWithItsGpu) {
    Fabric const rack = fabric_of("  name: gb200-nvl72\n  faults: {links: [gpu 5 link 2]}\n");
    EXPECT_DOUBLE_EQ(rack.nvlink_of(5).count, 850e9);
    EXPECT_DOUBLE_EQ(rack.nvlink_of(6).count, 900e9);
    EXPECT_DOUBLE_EQ(rack.shape_of(0, 1, 4).in_domain.count, 900e9);
    EXPECT_DOUBLE_EQ(rack.shape_of(4, 1, 4).in_domain.count, 850e9);
    // A direct link has two ends: gpu 0 link 0 is one of the six to gpu 1.
    Fabric const node = fabric_of("  name: gh200\n  faults: {links: [gpu 0 link 0]}\n");
    EXPECT_DOUBLE_EQ(node.nvlink_of(1).count, 17 * 25e9);
    EXPECT_DOUBLE_EQ(node.nvlink_of(2).count, 18 * 25e9);
    EXPECT_DOUBLE_EQ(node.shape_of(0, 1, 2).in_domain.count, 5 * 25e9);
    EXPECT_DOUBLE_EQ(node.shape_of(0, 2, 2).in_domain.count, 6 * 25e9);
}

TEST(FabricFaults, LostNicIsSharedByItsTray) {
    Fabric const racks =
        fabric_of("  name: gb200-nvl72-superpod\n  gpus: 144\n  faults: {nics: [gpu 5]}\n");
    EXPECT_DOUBLE_EQ(racks.nic_of(4).count, 37.5e9);  // 3 of 4 NICs for 4 GPUs
    EXPECT_DOUBLE_EQ(racks.nic_of(8).count, 50e9);
    EXPECT_EQ(racks.shape_of(0, 1, 144).rails, 71);
    // Rubin has 2 NICs of 100 GB/s a GPU: 7 of 8 for the 4 GPUs of the tray.
    Fabric const rubin =
        fabric_of("  name: vr-nvl72-superpod\n  gpus: 144\n  faults: {nics: [gpu 5 nic 1]}\n");
    EXPECT_DOUBLE_EQ(rubin.nic_of(4).count, 175e9);
}

TEST(FabricFaults, FullResiliencyRefusesToRunAtTheFaultsPlace) {
    std::string const error = error_of(
        "  name: gb200-nvl72\n  fabric: {resiliency: full}\n  faults:\n    switch_chips:\n      - "
        "rack 0 chip 3\n");
    EXPECT_TRUE(error.starts_with(
        "experiment.yaml:6: cluster.faults.switch_chips[0]: 'rack 0 chip 3' stops the "
        "NVLink partition"))
        << error;
}

TEST(FabricErrors, NameThePlaceAndTheRemedy) {
    EXPECT_EQ(error_of("  name: gb200-nvl72\n  gpus: 73\n"),
              "experiment.yaml:3: cluster.gpus: 73 GPUs (gb200-nvl72 holds 72; "
              "gb200-nvl72-superpod goes to 1179648)");
    EXPECT_EQ(error_of("  name: gb200-nvl27\n"),
              "experiment.yaml:2: cluster.name: unknown 'gb200-nvl27' (did you mean gb200-nvl72? "
              "see nvl72sim list "
              "clusters)");
    EXPECT_EQ(error_of("  name: gb200-nvl72\n  faults: {switch_chips: [rack 0 chip 18]}\n"),
              "experiment.yaml:3: cluster.faults.switch_chips[0]: 'rack 0 chip 18' (expected rack "
              "0 to 0 chip 0 to 17)");
    EXPECT_NE(error_of("  name: gb200-nvl72-superpod\n").find("cluster.gpus: missing"),
              std::string::npos);
    EXPECT_NE(error_of("  name: gb200-nvl72\n  gpus: -1\n").find("-1 GPUs (expected 1 to 72)"),
              std::string::npos);
    EXPECT_NE(error_of("  name: gb200-nvl72\n  nvlink_domain: 7\n").find("nvlink_domain: 7 GPUs"),
              std::string::npos);
    EXPECT_NE(
        error_of("  name: hgx-h100\n  oversubscription: 0.5\n").find("0.5 (expected 1 or more)"),
        std::string::npos);
}

TEST(FabricShape, CountsDomainsSharesAndTiers) {
    Fabric const pod = fabric_of("  name: hgx-h100-superpod\n  gpus: 4096\n");
    GroupShape const data = pod.shape_of(3, 8, 512);  // GPU 3 of each box
    EXPECT_EQ(data.domains, 512);
    EXPECT_EQ(data.ranks_per_domain, 1);
    EXPECT_EQ(data.rails, 1);
    EXPECT_EQ(data.network_tiers, 3);                    // boxes 0 and 511; a spine joins 256
    EXPECT_DOUBLE_EQ(data.network_efficiency, 0.95);     // adaptive
    EXPECT_EQ(pod.shape_of(0, 8, 32).network_tiers, 1);  // one scalable unit: one leaf a rail
    EXPECT_DOUBLE_EQ(pod.shape_of(0, 8, 32).network_efficiency, 1);
    EXPECT_EQ(pod.shape_of(0, 8, 33).network_tiers, 2);
    GroupShape const tensor = pod.shape_of(8, 1, 8);
    EXPECT_EQ(tensor.domains, 1);
    EXPECT_EQ(tensor.network_tiers, 0);
    EXPECT_EQ(pod.shape_of(0, 1, 12).ranks_per_domain, 8);
    EXPECT_EQ(pod.route(0, 4095).network_switches, 5);
    EXPECT_EQ(pod.route(0, 7).nvlink_switches, 1);
}

TEST(FabricFaults, ASwitchTrayTakesAllItsChips) {
    // 9 trays of 2 chips: 16 of 18 planes are left.
    Fabric const rack =
        fabric_of("  name: gb200-nvl72\n  faults: {switch_trays: [rack 0 tray 8]}\n");
    EXPECT_EQ(rack.shape_of(0, 1, 72).planes_up, 16);
    EXPECT_DOUBLE_EQ(rack.shape_of(0, 1, 72).in_domain.count, 800e9);
    // A chip of the tray that is down already counts once.
    EXPECT_EQ(fabric_of("  name: gb200-nvl72\n  faults: {switch_trays: [rack 0 tray 0], "
                        "switch_chips: [rack 0 chip 1]}\n")
                  .shape_of(0, 1, 72)
                  .planes_up,
              16);
    EXPECT_EQ(error_of("  name: gb200-nvl72\n  faults: {switch_trays: [rack 0 tray 9]}\n"),
              "experiment.yaml:3: cluster.faults.switch_trays[0]: 'rack 0 tray 9' (expected rack 0 "
              "to 0 tray 0 to 8)");
    EXPECT_NE(error_of("  name: hgx-h100\n  faults: {switch_trays: [box 0 tray 0]}\n")
                  .find("hgx-h100 has no switch trays"),
              std::string::npos);
    EXPECT_NE(error_of("  name: gb200-nvl72\n  fabric: {resiliency: full}\n  faults: "
                       "{switch_trays: [rack 0 tray 1]}\n")
                  .find("stops the NVLink partition"),
              std::string::npos);
}

TEST(FabricShape, SmallerNvlinkDomainsCutARack) {
    Fabric const cut =
        fabric_of("  name: gb200-nvl72-superpod\n  gpus: 128\n  nvlink_domain: 16\n");
    EXPECT_EQ(cut.units(), 2);  // 4 partitions of 16 in each rack
    EXPECT_EQ(cut.domains(), 8);
    EXPECT_EQ(cut.shape_of(0, 1, 72).domains, 5);
    EXPECT_EQ(cut.shape_of(0, 1, 72).planes, 18);
    EXPECT_EQ(cut.route(0, 16).network_tiers, 1);  // the same rack, another partition
    EXPECT_EQ(cut.route(0, 127).network_tiers, 2);
}

TEST(FabricShape, EcmpAndOversubscriptionLowerTheNetwork) {
    Fabric const pod = fabric_of(
        "  name: hgx-h100-superpod\n  gpus: 1024\n  routing: ecmp\n  oversubscription: 2\n");
    EXPECT_DOUBLE_EQ(pod.shape_of(0, 1, 1024).network_efficiency, 0.606 / 2);
    EXPECT_DOUBLE_EQ(fabric_of("  name: hgx-h100-superpod\n  gpus: 16\n  nic_line_rate: 200 Gb/s\n")
                         .shape_of(0, 1, 16)
                         .per_gpu_nic.count,
                     25e9);
}

TEST(DirectNode, UsesOnlyLinksToMembers) {
    Fabric const node = fabric_of("  name: gh200\n");
    EXPECT_DOUBLE_EQ(node.shape_of(0, 1, 2).in_domain.count, 150e9);  // 6 of 18 links
    EXPECT_DOUBLE_EQ(node.shape_of(0, 1, 4).in_domain.count, 450e9);
    EXPECT_DOUBLE_EQ(number(node, "nvlink_bisection"), 0.6);  // 2 x 2 pairs x 6 links x 25 GB/s
}

TEST(FabricShape, WorstDomainIsOneWhereMembersMeet) {
    // GPU 72 stands alone in its rack: its lost link slows no NVLink traffic of the group.
    Fabric const racks =
        fabric_of("  name: gb200-nvl72-superpod\n  gpus: 73\n  faults: {links: [gpu 72 link 0]}\n");
    EXPECT_DOUBLE_EQ(racks.shape_of(0, 1, 73).in_domain.count, 900e9);
    EXPECT_DOUBLE_EQ(racks.nvlink_of(72).count, 850e9);
    // Six GPUs of quad nodes: the second node's pair has only the 6 links between them.
    Fabric const nodes = fabric_of("  name: gh200-superpod\n  gpus: 6\n");
    EXPECT_DOUBLE_EQ(nodes.shape_of(0, 1, 6).in_domain.count, 150e9);
}

TEST(WiringChecks, FindAMissingWireAndAFullChip) {
    ClusterSpec const spec = load_cluster(shipped(), "hgx-h100", {});
    Wiring wiring = build_hgx(spec);
    for (auto const& check : wiring_checks(wiring, spec)) EXPECT_TRUE(check.holds) << check.name;
    wiring.wires.pop_back();
    auto const checks = wiring_checks(wiring, spec);
    EXPECT_FALSE(checks[0].holds);  // links_used_once
    EXPECT_FALSE(checks[3].holds);  // one_hop
    ClusterSpec small = spec;
    small.nvlink.switch_ports = 39;
    EXPECT_FALSE(wiring_checks(build_hgx(spec), small)[2].holds);  // 8 x 5 = 40 ports
}

TEST(GpuSpecs, CarryDensePeaks) {
    GpuSpec const h100 = load_gpu(shipped(), "h100", {});
    EXPECT_DOUBLE_EQ(h100.peak.bf16.count, 989.4e12);
    EXPECT_FALSE(h100.peak.nvfp4.has_value());
    EXPECT_EQ(h100.hbm_capacity.count, 81559LL << 20);
    EXPECT_EQ(load_gpu(shipped(), "h200", {}).sister.value_or(""), "h100");
}

TEST(HostThreads, ShareMemoryAndHaveNoLinks) {
    Fabric const host = fabric_of("  {name: localhost, gpus: 4}");
    EXPECT_EQ(number(host, "gpus"), 4);
    EXPECT_EQ(number(host, "links_per_gpu"), 0);
    GroupShape const shape = host.shape_of(0, 1, 4);
    EXPECT_EQ(shape.ranks, 4);
    EXPECT_EQ(shape.domains, 1);
    EXPECT_EQ(shape.in_domain.count, 0);
    EXPECT_NE(host.dot().find("thread0 -- memory"), std::string::npos);
    EXPECT_NE(error_of("  {name: localhost, gpus: 17}").find("localhost holds 16"),
              std::string::npos);
    EXPECT_NE(error_of("  {name: localhost, gpus: 2, faults: {links: [gpu 0 link 0]}}")
                  .find("threads of a host have no links"),
              std::string::npos);
}

// Slurm keeps 16 of a rack's 18 trays together: 64 of its 72 GPUs, all in the rack's one domain.
TEST(Segments, TakeWholeTraysOfARackAndLeaveTheRest) {
    std::string const pod = "  name: gb200-nvl72-superpod\n  gpus: ";
    Fabric const sixteen = fabric_of(pod + "128\n  segment: 16\n");
    EXPECT_EQ(sixteen.units(), 2);
    EXPECT_EQ(sixteen.gpus_per_domain(), 64);
    EXPECT_EQ(fabric_of(pod + "128\n").gpus_per_domain(), 72);
    EXPECT_EQ(sixteen.shape_of(0, 1, 64).domains, 1);  // not 72 + 56 of two racks
    EXPECT_EQ(sixteen.shape_of(64, 1, 64).domains, 1);
    EXPECT_EQ(fabric_of(pod + "128\n").shape_of(64, 1, 64).domains, 2);
    // Two segments of 8 share a rack and its NVLink; four of 4 as well; 18 of one fill it.
    EXPECT_EQ(fabric_of(pod + "96\n  segment: 8\n").shape_of(0, 1, 64).domains, 1);
    EXPECT_EQ(fabric_of(pod + "96\n  segment: 8\n").units(), 2);
    EXPECT_EQ(fabric_of(pod + "128\n  segment: 4\n").gpus_per_domain(), 64);
    EXPECT_EQ(fabric_of(pod + "144\n  segment: 18\n").gpus_per_domain(), 72);
}

TEST(Segments, RefuseWhatSlurmWouldNotPlace) {
    std::string const pod = "  name: gb200-nvl72-superpod\n  gpus: ";
    EXPECT_EQ(error_of(pod + "100\n  segment: 16\n").substr(0, 42),
              "experiment.yaml:3: cluster.gpus: 100 GPUs ");
    EXPECT_NE(
        error_of(pod + "128\n  segment: 19\n").find("(expected 1 to 18, the trays of a rack)"),
        std::string::npos);
    EXPECT_NE(error_of(pod + "128\n  segment: 16\n  nvlink_domain: 8\n").find("either"),
              std::string::npos);
    EXPECT_NE(error_of("  name: hgx-h100-superpod\n  gpus: 128\n  segment: 2\n").find("expected 0"),
              std::string::npos);
}

}  // namespace
}  // namespace nvl72
