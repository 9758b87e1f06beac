#include "sim/base/random.hpp"
#include "sim/collective/algorithms.hpp"
#include "sim/collective/steps.hpp"
#include "sim/cost/profile.hpp"
#include "sim/engine/engine.hpp"

#include <array>
#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <string>

namespace nvl72 {
namespace {

Profile const& shipped(std::string const& name) {
    static Library const library(NVL72_SOURCE_DIR "/configs");
    static std::map<std::string, Profile> profiles;
    auto const found = profiles.find(name);
    if (found != profiles.end()) return found->second;
    return profiles.emplace(name, load_profile(library, name)).first->second;
}

GroupShape random_shape(RandomStream& random, Profile const& profile) {
    GroupShape shape;
    shape.domains = random.below(2) == 0 ? 1 : 1 + static_cast<std::int64_t>(random.below(8));
    shape.ranks_per_domain = 1 + static_cast<std::int64_t>(random.below(72));
    shape.ranks = std::max<std::int64_t>(2, shape.domains * shape.ranks_per_domain);
    if (shape.ranks_per_domain == 1 && shape.domains == 1) shape.ranks_per_domain = 2;
    shape.planes = shape.planes_up = 18;
    shape.in_domain = profile.collectives->nvlink * ((1 + random.below(18)) / 18.0);
    shape.per_gpu_nic = BytesPerSecond{1e9 * (10 + static_cast<double>(random.below(190)))};
    return shape;
}

Bytes random_size(RandomStream& random) {
    return Bytes{static_cast<std::int64_t>(std::exp2(random.uniform() * 34)) + 1};
}

constexpr std::array ops{CollectiveOp::all_reduce, CollectiveOp::all_gather,
                         CollectiveOp::reduce_scatter, CollectiveOp::alltoall,
                         CollectiveOp::sendrecv};

class ShippedBranch : public testing::TestWithParam<char const*> {};
INSTANTIATE_TEST_SUITE_P(Gpus,
                         ShippedBranch,
                         testing::Values("h100", "gb200", "a100-80gb", "h200"));

/// With the branch held fixed.
TEST_P(ShippedBranch, MoreBandwidthFewerBytesOrOneFaultLessIsNeverSlower) {
    Profile const& profile = shipped(GetParam());
    RandomStream random(7, "collective monotone");
    for (int i = 0; i < 4000; ++i) {
        auto const op = ops[random.below(ops.size())];
        GroupShape const shape = random_shape(random, profile);
        Bytes const size = random_size(random);
        Collective query = plan_collective(profile, op, size, shape).query;
        auto const time = collective_cost(*profile.collectives, query).time;

        Collective changed = query;
        changed.shape.in_domain = query.shape.in_domain * (1 + random.uniform());
        EXPECT_LE(collective_cost(*profile.collectives, changed).time, time);
        changed = query;
        changed.shape.per_gpu_nic = query.shape.per_gpu_nic * (1 + random.uniform());
        EXPECT_LE(collective_cost(*profile.collectives, changed).time, time);
        changed = query;
        changed.size = Bytes{
            1 + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(size.count)))};
        EXPECT_LE(collective_cost(*profile.collectives, changed).time, time)
            << name_of(op) << ' ' << name_of(algorithm_of(query));
    }
}

TEST_P(ShippedBranch, BandwidthPartIsAPartOfAPositiveTime) {
    Profile const& profile = shipped(GetParam());
    RandomStream random(8, "collective parts");
    for (int i = 0; i < 4000; ++i) {
        auto const op = ops[random.below(ops.size())];
        auto const plan =
            plan_collective(profile, op, random_size(random), random_shape(random, profile));
        auto const cost = collective_cost(*profile.collectives, plan.query);
        EXPECT_GT(cost.time.count, 0);
        EXPECT_GE(cost.bandwidth_part.count, 0);
        EXPECT_LE(cost.bandwidth_part, cost.time);
        EXPECT_GT(plan.load.nvlink + plan.load.nic, 0);
        EXPECT_GT(plan.sms, 0);
    }
}

/// No branch moves its traffic faster than the links under it can carry it.
TEST_P(ShippedBranch, NoLinkIsAboveItsCapacity) {
    Profile const& profile = shipped(GetParam());
    RandomStream random(9, "collective capacity");
    for (int i = 0; i < 4000; ++i) {
        auto const op = ops[random.below(ops.size())];
        GroupShape const shape = random_shape(random, profile);
        auto const plan = plan_collective(profile, op, random_size(random), shape);
        double const seconds = to_seconds(collective_cost(*profile.collectives, plan.query).time);
        EXPECT_LE(plan.load.nvlink / seconds, shape.in_domain.count);
        EXPECT_LE(plan.load.nic / seconds, shape.per_gpu_nic.count);
    }
}

/// As an activity on its links, alone, to the picosecond.
TEST_P(ShippedBranch, AloneTakesItsCalibratedTime) {
    struct Ended {
        void finished(std::uint32_t) {}
        void timer(std::uint32_t, std::uint32_t) {}
    };
    Profile const& profile = shipped(GetParam());
    RandomStream random(10, "collective alone");
    for (int i = 0; i < 1000; ++i) {
        auto const op = ops[random.below(ops.size())];
        GroupShape const shape = random_shape(random, profile);
        auto const plan = plan_collective(profile, op, random_size(random), shape);
        auto const cost = collective_cost(*profile.collectives, plan.query);
        if (cost.bandwidth_part.count == 0) continue;
        Engine engine;
        auto const nvlink = engine.add_resource({shape.in_domain.count, 1});
        auto const nic = engine.add_resource({shape.per_gpu_nic.count, 1});
        // Work in seconds at one second a second; a link carries load / bandwidth part.
        double const seconds = to_seconds(cost.bandwidth_part);
        std::array const uses{Usage{nvlink, plan.load.nvlink / seconds},
                              Usage{nic, plan.load.nic / seconds}};
        engine.start({cost.time - cost.bandwidth_part, seconds, 1, 1, uses}, 0);
        Ended handler;
        engine.run(handler);
        EXPECT_EQ(engine.last_call(), cost.time);
    }
}

/// With equal shares everything a ring or an all-to-all sends is either on NVLink or on NICs.
TEST(CollectiveBytes, AreConservedBetweenNvlinkAndNics) {
    Profile const& profile = shipped("gb200");
    RandomStream random(11, "collective bytes");
    for (int i = 0; i < 4000; ++i) {
        GroupShape const shape = random_shape(random, profile);
        Bytes const size = random_size(random);
        auto const bytes = static_cast<double>(size.count);
        auto const n = static_cast<double>(shape.ranks);
        auto const sum = [&](CollectiveAlgorithm algorithm, CollectiveOp op) {
            auto const load = link_load(algorithm, op, size, shape);
            return load.nvlink + load.nic;
        };
        EXPECT_NEAR(sum(CollectiveAlgorithm::ring_simple, CollectiveOp::all_reduce) / bytes,
                    2 * (n - 1) / n, 1e-9);
        EXPECT_NEAR(sum(CollectiveAlgorithm::ring_ll, CollectiveOp::all_gather) / bytes,
                    (n - 1) / n, 1e-9);
        EXPECT_NEAR(sum(CollectiveAlgorithm::alltoall_simple, CollectiveOp::alltoall) / bytes,
                    (n - 1) / n, 1e-9);
    }
}

TEST(RingStepsProperty, RecurrenceAndEngineAgreeToThePicosecond) {
    RandomStream random(12, "ring engine");
    for (int i = 0; i < 60; ++i) {
        std::size_t const ranks = 2 + random.below(7);
        RingProgram ring{1e6 + static_cast<double>(random.below(1000)) * 1e3,
                         1 + static_cast<std::int64_t>(random.below(20)),
                         {},
                         {},
                         {}};
        for (std::size_t r = 0; r < ranks; ++r) {
            ring.rate.push_back(1e9 * (1 + static_cast<double>(random.below(500))));
            ring.hop.emplace_back(static_cast<std::int64_t>(random.below(5'000'000)));
            ring.start.emplace_back(static_cast<std::int64_t>(random.below(100'000'000)));
        }
        EXPECT_EQ(ring_makespan(ring), ring_makespan_on_engine(ring));
    }
}

/// Any ring: operation, protocol, size, domains of equal shares or with a smaller last one, healthy
/// or not; in every other case its flows are hashed.
Collective random_ring(RandomStream& random, CollectiveSection const& section) {
    GroupShape shape;
    shape.domains = random.below(3) == 0 ? 1 : 2 + static_cast<std::int64_t>(random.below(12));
    shape.ranks_per_domain = 1 + static_cast<std::int64_t>(random.below(24));
    if (shape.domains == 1 && shape.ranks_per_domain == 1) shape.ranks_per_domain = 72;
    shape.ranks = shape.domains * shape.ranks_per_domain;
    if (shape.domains > 1 && random.below(2) == 0) {  // the last domain is not full
        shape.ranks -= static_cast<std::int64_t>(
            random.below(static_cast<std::uint64_t>(shape.ranks_per_domain)));
    }
    shape.planes = shape.planes_up = 18;
    shape.in_domain = section.nvlink * ((1 + random.below(18)) / 18.0);
    shape.per_gpu_nic = BytesPerSecond{1e9 * (10 + static_cast<double>(random.below(90)))};
    shape.network_efficiency = 0.2 + 0.8 * random.uniform();
    return {ops[random.below(3)], static_cast<std::uint8_t>(random.below(3)), random_size(random),
            2, shape};
}

TEST_P(ShippedBranch, SingleSendsTakeTheTimeOfTheActivityOfTheSameLinks) {
    auto const& section = *shipped(GetParam()).collectives;
    RandomStream random(13, "ring steps");
    for (int i = 0; i < 500; ++i) {
        auto const query = random_ring(random, section);
        std::vector<double> shares;
        if (query.shape.domains > 1 && random.below(2) == 0) {
            for (std::int64_t d = 0; d < query.shape.domains; ++d) {
                shares.push_back(1.0 / static_cast<double>(1 + random.below(4)));
            }
        }
        auto const ring = ring_times(section, query, shares);
        EXPECT_NEAR(to_seconds(ring.steps) / to_seconds(ring.activity), 1, 0.03)
            << name_of(algorithm_of(query)) << ' ' << name_of(query.op) << " of "
            << query.shape.ranks << " in " << query.shape.domains << " domains, "
            << query.size.count << " bytes";
    }
}

/// Alone on the engine, on a resource of the slowest link's rate.
TEST(RingStepsProperty, TheActivityIsOneThatTheEngineRuns) {
    struct Ended {
        void finished(std::uint32_t) {}
        void timer(std::uint32_t, std::uint32_t) {}
    };
    auto const& section = *shipped("gb200").collectives;
    RandomStream random(15, "ring activity");
    for (int i = 0; i < 100; ++i) {
        auto const program = ring_program(section, random_ring(random, section));
        auto const activity = ring_activity(program);
        Engine engine;
        auto const link = engine.add_resource({activity.rate_max, 1});
        std::array const uses{Usage{link, 1}};
        engine.start({activity.latency, activity.work, activity.rate_max, 1, uses}, 0);
        Ended handler;
        engine.run(handler);
        EXPECT_EQ(engine.last_call(), activity.alone());
    }
}

/// Inside a domain the calibrated time is the same sum, but for its p-norm.
TEST_P(ShippedBranch, SingleSendsTakeTheCalibratedTimeWhereNothingOverlaps) {
    auto section = *shipped(GetParam()).collectives;
    section.overlap_norm = 1;
    RandomStream random(16, "ring calibrated");
    for (int i = 0; i < 300; ++i) {
        auto query = random_ring(random, section);
        query.shape.domains = 1;
        query.shape.ranks = query.shape.ranks_per_domain =
            std::max<std::int64_t>(2, query.shape.ranks);
        auto const steps = ring_times(section, query).steps;
        EXPECT_NEAR(to_seconds(collective_cost(section, query).time) / to_seconds(steps), 1, 1e-3);
    }
}

/// Where the ring leaves its domains, the NICs of large buffers pace the calibrated branch too.
/// Below, they part: it counts NCCL's 2 (N - 1) crossings and waits before it sends, the last chunk
/// of the single sends crosses 2 N times, and sends while others wait.
TEST(RingStepsProperty, AreWithinThreePercentOfTheCalibratedTimeWhereNicsDecide) {
    auto section = *shipped("h100").collectives;
    section.overlap_norm = 1;
    RandomStream random(14, "ring steps across");
    for (int i = 0; i < 300; ++i) {
        GroupShape shape;
        shape.domains = 2 + static_cast<std::int64_t>(random.below(7));
        shape.ranks_per_domain = 2 + static_cast<std::int64_t>(random.below(7));
        shape.ranks = shape.domains * shape.ranks_per_domain;
        shape.planes = shape.planes_up = 4;
        shape.in_domain = section.nvlink;
        shape.per_gpu_nic = BytesPerSecond{1e9 * (1 + random.uniform())};
        Bytes const size{static_cast<std::int64_t>((1 + random.uniform()) * 0x1p33)};
        Collective const query{ops[random.below(3)], static_cast<std::uint8_t>(random.below(3)),
                               size, 2, shape};
        double const calibrated = to_seconds(collective_cost(section, query).time);
        double const steps = to_seconds(ring_times(section, query).steps);
        EXPECT_NEAR(steps / calibrated, 1, 0.03)
            << name_of(algorithm_of(query)) << " over " << shape.domains << " x "
            << shape.ranks_per_domain;
    }
}

}  // namespace
}  // namespace nvl72
