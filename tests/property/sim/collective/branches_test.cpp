// What holds of every branch that can run, not only of the tuner's choice; on shapes of real
// fabrics, with and without faults. 100 cases a property, or $NVL72_CASES (label `long`: 1,000).
#include "sim/base/error.hpp"
#include "sim/base/random.hpp"
#include "sim/collective/algorithms.hpp"
#include "sim/cost/profile.hpp"
#include "topology/fabric.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <string>

namespace nvl72 {
namespace {

constexpr std::array ops{CollectiveOp::all_reduce,     CollectiveOp::all_gather,
                         CollectiveOp::reduce_scatter, CollectiveOp::broadcast,
                         CollectiveOp::alltoall,       CollectiveOp::sendrecv};

int cases() {
    char const* asked = std::getenv("NVL72_CASES");
    return asked != nullptr ? std::max(1, std::atoi(asked)) : 100;
}

Library const& library() {
    static Library const configs(NVL72_SOURCE_DIR "/configs");
    return configs;
}

/// A cluster with the profile of its GPU.
struct System {
    std::string cluster;
    std::string profile;
    int gpus_per_unit = 0;
    int chips = 0;
    int links = 0;
};
std::array const systems{System{"gb200-nvl72-superpod", "gb200", 72, 18, 18},
                         System{"hgx-h100-superpod", "h100", 8, 4, 18},
                         System{"hgx-a100-80gb-superpod", "a100-80gb", 8, 6, 12}};

Profile const& profile_of(System const& system) {
    static std::map<std::string, Profile> profiles;
    auto const found = profiles.find(system.profile);
    if (found != profiles.end()) return found->second;
    return profiles.emplace(system.profile, load_profile(library(), system.profile)).first->second;
}

/// One or a few units, all their GPUs.
ClusterChoice random_choice(RandomStream& random, System const& system) {
    ClusterChoice choice;
    choice.name = system.cluster;
    auto const units = random.below(3) == 0 ? 1 : 1 + static_cast<std::int64_t>(random.below(8));
    choice.gpus = units * system.gpus_per_unit;
    return choice;
}

void add_fault(RandomStream& random, System const& system, ClusterChoice& choice) {
    auto const gpu = random.below(static_cast<std::uint64_t>(choice.gpus));
    auto& faults = choice.faults;
    bool const trays = system.gpus_per_unit == 72;
    switch (random.below(trays ? 4 : 3)) {
        case 0:
            faults.switch_chips.push_back(
                {{},
                 fmt::format("{} {} chip {}", system.gpus_per_unit == 72 ? "rack" : "box",
                             gpu / static_cast<std::uint64_t>(system.gpus_per_unit),
                             random.below(static_cast<std::uint64_t>(system.chips - 1)))});
            return;
        case 1:
            faults.links.push_back(
                {{},
                 fmt::format("gpu {} link {}", gpu,
                             random.below(static_cast<std::uint64_t>(system.links)))});
            return;
        case 2: faults.nics.push_back({{}, fmt::format("gpu {}", gpu)}); return;
        default:
            faults.switch_trays.push_back(
                {{}, fmt::format("rack {} tray {}", gpu / 72, random.below(9))});
    }
}

GroupShape shape_of(ClusterChoice const& choice) {
    Fabric const fabric = build_fabric(choice, library());
    return fabric.shape_of(0, 1, fabric.gpus());
}

Bytes random_bytes(RandomStream& random) {
    return Bytes{static_cast<std::int64_t>(std::exp2(random.uniform() * 34)) + 1};
}

/// Calls `look(profile, query)` for every branch that can run, case by case.
template <class Look>
void for_every_branch(std::string const& name, Look const& look) {
    RandomStream random(21, name);
    std::size_t looked = 0;
    for (int i = 0; i < cases(); ++i) {
        auto const& system = systems[random.below(systems.size())];
        Profile const& profile = profile_of(system);
        auto const choice = random_choice(random, system);
        auto const op = ops[random.below(ops.size())];
        auto const plan = plan_collective(profile, op, random_bytes(random), shape_of(choice));
        for (auto const& candidate : collective_candidates(profile, plan)) {
            if (!candidate.cost) continue;
            Collective query = plan.query;
            query.algorithm =
                static_cast<std::uint8_t>(candidate.row - collective_algorithms().data());
            SCOPED_TRACE(fmt::format("case {}: {} of {}, {} bytes, {} GPUs of {}", i,
                                     candidate.row->name, name_of(op), query.size.count,
                                     query.shape.ranks, system.cluster));
            look(random, system, choice, query);
            ++looked;
        }
    }
    EXPECT_GE(looked, static_cast<std::size_t>(cases()));
}

Picoseconds time_of(Profile const& profile, Collective const& query) {
    return collective_cost(*profile.collectives, query).time;
}

TEST(EveryBranch, IsNeverSlowerWithMoreBandwidthOrFewerBytes) {
    for_every_branch("bandwidth", [](RandomStream& random, System const& system,
                                     ClusterChoice const&, Collective const& query) {
        Profile const& profile = profile_of(system);
        auto const time = time_of(profile, query);
        Collective changed = query;
        changed.shape.in_domain = query.shape.in_domain * (1 + random.uniform());
        EXPECT_LE(time_of(profile, changed), time);
        changed = query;
        changed.shape.per_gpu_nic = query.shape.per_gpu_nic * (1 + random.uniform());
        EXPECT_LE(time_of(profile, changed), time);
        changed = query;
        auto const less = random.below(static_cast<std::uint64_t>(query.size.count));
        changed.size = Bytes{1 + static_cast<std::int64_t>(less)};
        EXPECT_LE(time_of(profile, changed), time);
    });
}

/// Every constant of the calibration that is a time, one after the other.
TEST(EveryBranch, IsNeverFasterWithALargerLatency) {
    for_every_branch("latency", [](RandomStream& random, System const& system, ClusterChoice const&,
                                   Collective const& query) {
        auto section = *profile_of(system).collectives;
        auto const time = collective_cost(section, query).time;
        auto& network = section.network;
        std::vector<Seconds*> latencies{&section.ring_ll.base,     &section.ring_ll.hop,
                                        &section.ring_ll.hop_data, &section.ring_ll128.step,
                                        &section.ring_simple.base, &section.ring_simple.step,
                                        &section.alltoall_ll.base, &section.alltoall_simple.base,
                                        &section.sendrecv.base,    &section.tree.step_ll128,
                                        &network.hop_ll,           &network.hop_ll128,
                                        &network.hop_simple,       &network.tree_step,
                                        &network.alltoall_peer,    &network.sendrecv_base,
                                        &network.message_gap,      &network.message_gap_ll};
        if (section.nvls) latencies.push_back(&section.nvls->base);
        bool any = false;
        for (std::size_t i = 0; i < latencies.size(); ++i) {
            auto const before = *latencies[i];
            *latencies[i] = Seconds{before.count * (1.5 + random.uniform())};
            auto const slower = collective_cost(section, query).time;
            EXPECT_GE(slower, time) << "latency " << i;
            any = any || slower > time;
            *latencies[i] = before;
        }
        EXPECT_TRUE(any) << "no latency counts";
    });
}

TEST(EveryBranch, IsNeverFasterWithOneFaultMore) {
    int compared = 0, slowed = 0;
    for_every_branch("faults", [&](RandomStream& random, System const& system, ClusterChoice choice,
                                   Collective query) {
        Profile const& profile = profile_of(system);
        auto before = time_of(profile, query);
        for (int fault = 0; fault < 2; ++fault) {
            add_fault(random, system, choice);
            try {
                query.shape = shape_of(choice);
            } catch (ConfigError const&) {
                return;  // nothing is left: refused
            }
            auto const after = time_of(profile, query);
            EXPECT_GE(after, before);
            ++compared;
            slowed += after > before ? 1 : 0;
            before = after;
        }
    });
    EXPECT_GT(compared, cases());  // few are refused
    EXPECT_GT(slowed, cases() / 4);
}

TEST(EveryBranch, PutsNoLinkAboveItsCapacity) {
    for_every_branch("capacity", [](RandomStream& random, System const& system,
                                    ClusterChoice choice, Collective query) {
        for (int fault = 0; fault < 2; ++fault) {
            auto const branch = collective_algorithms()[query.algorithm].branch;
            auto const load = link_load(branch, query.op, query.size, query.shape);
            double const seconds = to_seconds(time_of(profile_of(system), query));
            EXPECT_LE(load.nvlink, query.shape.in_domain.count * seconds);
            EXPECT_LE(load.nic, query.shape.per_gpu_nic.count * seconds);
            add_fault(random, system, choice);
            try {
                query.shape = shape_of(choice);
            } catch (ConfigError const&) {
                return;
            }
        }
    });
}

/// One of 18 planes lost, resiliency adaptive: the bandwidth term is that of 17/18 of the rate.
TEST(EveryBranch, KeepsSeventeenEighteenthsOfItsBandwidthWithoutOnePlane) {
    System const rack{"gb200-nvl72", "gb200", 72, 18, 18};
    auto const& section = *profile_of(rack).collectives;
    RandomStream random(22, "planes");
    for (int i = 0; i < cases(); ++i) {
        ClusterChoice choice;
        choice.name = rack.cluster;
        choice.gpus = 72;
        auto const plan = plan_collective(profile_of(rack), ops[random.below(ops.size())],
                                          random_bytes(random), shape_of(choice));
        choice.faults.switch_chips.push_back({{}, fmt::format("rack 0 chip {}", random.below(18))});
        choice.fabric.resiliency = Resiliency::adaptive;
        for (auto const& candidate : collective_candidates(profile_of(rack), plan)) {
            if (!candidate.cost) continue;
            Collective query = plan.query;
            query.algorithm =
                static_cast<std::uint8_t>(candidate.row - collective_algorithms().data());
            auto const whole = collective_terms(section, query);
            query.shape = shape_of(choice);
            EXPECT_EQ(query.shape.planes_up, 17);
            auto const left = collective_terms(section, query);
            EXPECT_NEAR(left.transfer / whole.transfer, 18.0 / 17, 1e-9) << candidate.row->name;
            EXPECT_DOUBLE_EQ(left.latency_empty, whole.latency_empty) << candidate.row->name;
        }
        choice.fabric.resiliency = Resiliency::full;
        EXPECT_THROW(shape_of(choice), ConfigError);
    }
}

/// A fixed number of GPUs in fewer, larger NVLink domains. Not a tree's: NCCL chains the GPUs of a
/// domain, and two racks without NVLS take 126 steps for 8 bytes. Nor a send's, that gets fewer
/// channels over NVLink than over NICs. Rings of LL and LL128 wait for messages while others move
/// only between domains (ring_norm): where one domain is left they may lose by what that hides.
TEST(EveryBranch, IsNeverSlowerInLargerDomains) {
    RandomStream random(23, "domains");
    std::array const others{CollectiveAlgorithm::tree_ll, CollectiveAlgorithm::tree_ll128,
                            CollectiveAlgorithm::tree_simple, CollectiveAlgorithm::sendrecv};
    constexpr double hidden = 1.05;
    int looked = 0;
    for (int i = 0; i < cases(); ++i) {
        auto const& system = systems[random.below(2)];  // those that sum in switches
        Profile const& profile = profile_of(system);
        // No domain beyond 72: an LL all-to-all is fitted by peer, to no more of them.
        std::int64_t const small = 2 + static_cast<std::int64_t>(random.below(17));
        std::int64_t const times = 2 + static_cast<std::int64_t>(random.below(3));
        std::int64_t const domains = 1 + static_cast<std::int64_t>(random.below(8));
        GroupShape shape;
        shape.ranks = small * times * domains;
        shape.planes = shape.planes_up = 18;
        shape.in_domain = profile.collectives->nvlink;
        shape.per_gpu_nic = BytesPerSecond{1e9 * (10 + static_cast<double>(random.below(90)))};
        auto const op = ops[random.below(ops.size())];
        auto const bytes = random_bytes(random);
        auto const in_domains_of = [&](std::int64_t ranks) {
            auto other = shape;
            other.ranks_per_domain = ranks;
            other.domains = shape.ranks / ranks;
            return other;
        };
        auto const plan = plan_collective(profile, op, bytes, in_domains_of(small));
        for (auto const& candidate : collective_candidates(profile, plan)) {
            if (!candidate.cost ||
                std::ranges::find(others, candidate.row->branch) != others.end()) {
                continue;
            }
            Collective query = plan.query;
            query.algorithm =
                static_cast<std::uint8_t>(candidate.row - collective_algorithms().data());
            query.shape = in_domains_of(small * times);
            bool const one = query.shape.domains == 1;
            auto const branch = candidate.row->branch;
            if (one && (branch == CollectiveAlgorithm::hierarchical ||
                        branch == CollectiveAlgorithm::collnet)) {
                query.algorithm = static_cast<std::uint8_t>(CollectiveAlgorithm::nvls);
            }
            bool const hides = one && (branch == CollectiveAlgorithm::ring_ll ||
                                       branch == CollectiveAlgorithm::ring_ll128);
            EXPECT_LE(to_seconds(time_of(profile, query)),
                      to_seconds(candidate.cost->time) * (hides ? hidden : 1))
                << candidate.row->name << " of " << name_of(op) << ", " << bytes.count << " bytes, "
                << shape.ranks << " GPUs in domains of " << small << " and " << small * times;
            ++looked;
        }
    }
    EXPECT_GT(looked, cases());
}

/// A NIC that NVLink cannot feed makes no other graph, so that the tuner stays where it was.
TEST(TheTuner, SeesNoFasterRingBehindAFasterNicThanNvlinkFeeds) {
    ClusterChoice choice;
    choice.name = "hgx-h100-superpod";
    choice.gpus = 64;
    auto const& profile = profile_of(systems[1]);
    Picoseconds before{std::numeric_limits<std::int64_t>::max()};
    for (double const rate : {50e9, 60e9, 75e9, 100e9, 200e9}) {
        choice.nic_line_rate = BytesPerSecond{rate};
        auto const plan =
            plan_collective(profile, CollectiveOp::all_reduce, Bytes{1 << 30}, shape_of(choice));
        auto const time = time_of(profile, plan.query);
        EXPECT_LE(time, before) << rate;
        before = time;
    }
}

}  // namespace
}  // namespace nvl72
