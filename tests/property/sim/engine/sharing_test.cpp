#include "sim/engine/engine.hpp"

#include "sim/base/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace nvl72 {
namespace {

constexpr std::uint64_t seeds = 150;

/// A flow starts when another ends (`after`, or at 0 where it is itself); many tie on purpose.
struct Flow {
    std::uint32_t after = 0;
    Picoseconds latency;
    double work = 0, rate_max = 1;
    std::uint32_t multiplicity = 1;
    std::vector<Usage> uses;
};
struct Change {
    Picoseconds at;
    std::uint32_t resource = 0;
    double capacity = 0;
};
struct Case {
    std::vector<double> capacities;
    std::vector<Flow> flows;
    std::vector<Change> changes;
};

Case draw(std::uint64_t seed) {
    RandomStream random(seed, "sharing");
    Case drawn;
    auto const resources = 1 + random.below(8);
    double const usual[]{50e9, 100e9, 900e9};
    for (std::uint64_t r = 0; r < resources; ++r) {
        drawn.capacities.push_back(random.below(4) ? usual[random.below(3)]
                                                   : 1e9 * (1 + 99 * random.uniform()));
    }
    auto const flows = static_cast<std::uint32_t>(2 + random.below(40));
    for (std::uint32_t i = 0; i < flows; ++i) {
        Flow flow;
        flow.after = random.below(2) ? i : static_cast<std::uint32_t>(random.below(i + 1));
        flow.latency = Picoseconds{static_cast<std::int64_t>(random.below(4) * 1'000'000)};
        if (random.below(3) == 0)
            flow.latency.count += static_cast<std::int64_t>(random.below(1 << 22));
        flow.work = random.below(12) == 0 ? 0 : random.below(3) ? 1e6 : 1e6 * random.uniform();
        flow.multiplicity = static_cast<std::uint32_t>(1 + random.below(3));
        flow.rate_max = random.below(3) ? 1e12 : 1e9 * (1 + static_cast<double>(random.below(50)));
        for (std::uint32_t r = 0; r < resources; ++r) {
            if (random.below(resources) > 1) continue;
            flow.uses.push_back({ResourceId{r}, random.below(2) ? 1 : 2 * random.uniform()});
        }
        drawn.flows.push_back(flow);
    }
    for (std::uint64_t i = random.below(4); i > 0; --i) {
        drawn.changes.push_back({Picoseconds{static_cast<std::int64_t>(random.below(100'000'000))},
                                 static_cast<std::uint32_t>(random.below(resources)),
                                 1e9 * (1 + 99 * random.uniform())});
    }
    return drawn;
}

/// Runs a case. Beside it integrates what the rates move, to compare with the work.
struct Played {
    Case const& spec;
    Engine engine{};
    std::vector<Picoseconds> ends{};
    std::vector<ActivityId> ids{};
    std::vector<bool> live{};
    std::vector<double> rates{}, done{};
    std::vector<std::vector<std::uint32_t>> followers{};
    Picoseconds last{};

    explicit Played(Case const& of) : spec(of) {
        auto const flows = spec.flows.size();
        ends.assign(flows, never);
        ids.resize(flows);
        live.assign(flows, false);
        rates.assign(flows, 0);
        done.assign(flows, 0);
        followers.resize(flows);
        for (double const capacity : spec.capacities) engine.add_resource({capacity, 1});
        for (std::uint32_t i = 0; i < spec.changes.size(); ++i) {
            engine.at(spec.changes[i].at, 0, i);
        }
        for (std::uint32_t i = 0; i < flows; ++i) {
            if (spec.flows[i].after == i) {
                start(i);
            } else {
                followers[spec.flows[i].after].push_back(i);
            }
        }
        engine.run(*this);
    }
    void start(std::uint32_t i) {
        Flow const& flow = spec.flows[i];
        Activity activity;
        activity.latency = flow.latency;
        activity.work = flow.work;
        activity.rate_max = flow.rate_max;
        activity.multiplicity = flow.multiplicity;
        activity.uses = flow.uses;
        ids[i] = engine.start(activity, i);
        live[i] = true;
    }
    void integrate() {
        auto const elapsed = to_seconds(engine.now() - last);
        for (std::size_t i = 0; i < rates.size(); ++i) done[i] += live[i] ? rates[i] * elapsed : 0;
        last = engine.now();
    }
    void finished(std::uint32_t i) {
        integrate();
        live[i] = false;
        ends[i] = engine.now();
        Flow const& flow = spec.flows[i];
        if (!flow.uses.empty()) {  // a rounded picosecond at its rate, and noise
            EXPECT_NEAR(done[i], flow.work, rates[i] * 1.01e-12 + flow.work * 1e-11) << i;
        }
        rates[i] = 0;
        for (std::uint32_t const next : followers[i]) start(next);
    }
    void timer(std::uint32_t, std::uint32_t i) {
        integrate();
        engine.set_capacity(ResourceId{spec.changes[i].resource}, spec.changes[i].capacity);
    }
    void settled() {
        integrate();
        engine.sharing().check();
        for (std::size_t i = 0; i < rates.size(); ++i) {
            if (live[i]) rates[i] = engine.rate(ids[i]);
        }
    }
};

std::vector<std::uint32_t> shuffled(std::size_t size, RandomStream& random) {
    std::vector<std::uint32_t> order(size);
    std::iota(order.begin(), order.end(), 0U);
    for (std::size_t i = size; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    return order;
}

TEST(SharingRandom, IsMaxMinAfterEverySolveAndConservesBytes) {
    std::uint64_t solves = 0;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        SCOPED_TRACE(seed);
        Case const spec = draw(seed);
        Played const run(spec);
        solves += run.engine.sharing().solves();
        for (std::uint32_t r = 0; r < spec.capacities.size(); ++r) {
            double bytes = 0;
            for (Flow const& flow : spec.flows) {
                for (Usage const& use : flow.uses) {
                    if (use.resource.value == r)
                        bytes += flow.multiplicity * flow.work * use.per_work;
                }
            }
            EXPECT_NEAR(run.engine.moved(ResourceId{r}), bytes, 1e-9 * bytes);
        }
        for (Picoseconds const end : run.ends) EXPECT_NE(end, never);
    }
    EXPECT_GT(solves, 10 * seeds);  // the cases do share
}

TEST(SharingRandom, RepeatsItself) {
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        Case const spec = draw(seed);
        EXPECT_EQ(Played(spec).ends, Played(spec).ends) << "seed " << seed;
    }
}

TEST(SharingRandom, RelabellingChangesNoFinishTime) {
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        Case const spec = draw(seed);
        RandomStream random(seed, "relabel");
        auto const flow_to = shuffled(spec.flows.size(), random);
        auto const resource_to = shuffled(spec.capacities.size(), random);
        Case other = spec;
        for (std::size_t r = 0; r < resource_to.size(); ++r) {
            other.capacities[resource_to[r]] = spec.capacities[r];
        }
        for (auto& change : other.changes) change.resource = resource_to[change.resource];
        for (std::size_t i = 0; i < flow_to.size(); ++i) {
            Flow flow = spec.flows[i];
            flow.after = flow_to[flow.after];
            for (Usage& use : flow.uses) use.resource.value = resource_to[use.resource.value];
            std::ranges::reverse(flow.uses);
            other.flows[flow_to[i]] = flow;
        }
        Played const original(spec), relabelled(other);
        for (std::size_t i = 0; i < flow_to.size(); ++i) {
            ASSERT_EQ(original.ends[i], relabelled.ends[flow_to[i]]) << "seed " << seed;
        }
    }
}

TEST(SharingRandom, FoldedEqualsUnfoldedToThePicosecond) {
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        Case const folded = draw(seed);
        Case unfolded = folded;
        unfolded.flows.clear();
        std::vector<std::uint32_t> first;
        for (Flow flow : folded.flows) {
            auto const self = static_cast<std::uint32_t>(unfolded.flows.size());
            bool const root = flow.after == first.size();
            first.push_back(self);
            auto const copies = flow.multiplicity;
            flow.multiplicity = 1;
            for (std::uint32_t copy = 0; copy < copies; ++copy) {
                Flow added = flow;
                added.after = root ? self + copy : first[flow.after];
                unfolded.flows.push_back(added);
            }
        }
        Played const few(folded), many(unfolded);
        for (std::size_t i = 0; i < folded.flows.size(); ++i) {
            for (std::uint32_t copy = 0; copy < folded.flows[i].multiplicity; ++copy) {
                ASSERT_EQ(few.ends[i], many.ends[first[i] + copy]) << "seed " << seed;
            }
        }
    }
}

/// Two copies of the whole network, joined by nothing, against one.
TEST(SharingRandom, AStrangerElsewhereChangesNoFinishTime) {
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        Case const one = draw(seed);
        Case both = one;
        Case const stranger = draw(seed + seeds);
        auto const resources = static_cast<std::uint32_t>(one.capacities.size());
        auto const flows = static_cast<std::uint32_t>(one.flows.size());
        both.capacities.insert(both.capacities.end(), stranger.capacities.begin(),
                               stranger.capacities.end());
        for (Flow flow : stranger.flows) {
            flow.after += flows;
            for (Usage& use : flow.uses) use.resource.value += resources;
            both.flows.push_back(flow);
        }
        auto const alone = Played(one).ends;
        auto beside = Played(both).ends;
        beside.resize(alone.size());
        EXPECT_EQ(alone, beside) << "seed " << seed;
    }
}

TEST(SharingRandom, MoreCapacityIsNeverSlowerForIndependentFlowsOnOneLink) {
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        RandomStream random(seed, "one link");
        Case spec;
        spec.capacities = {1e9 * (1 + 99 * random.uniform())};
        for (std::uint32_t i = 0; i < 30; ++i) {
            Flow flow;
            flow.after = i;
            flow.latency = Picoseconds{static_cast<std::int64_t>(random.below(1'000'000'000))};
            flow.work = 1e6 * random.uniform();
            flow.rate_max = 1e9 * (1 + 99 * random.uniform());
            flow.uses = {{ResourceId{0}, 1}};
            spec.flows.push_back(flow);
        }
        auto const makespan = [](std::vector<Picoseconds> const& ends) {
            return *std::ranges::max_element(ends);
        };
        auto const slower = makespan(Played(spec).ends);
        spec.capacities[0] *= 1 + random.uniform();
        EXPECT_LE(makespan(Played(spec).ends), slower) << "seed " << seed;
    }
}

}  // namespace
}  // namespace nvl72
