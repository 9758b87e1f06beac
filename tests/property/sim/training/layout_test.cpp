#include "sim/base/error.hpp"
#include "sim/base/random.hpp"
#include "sim/study/point.hpp"
#include "sim/training/step.hpp"
#include "tests/support/small_experiment.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {
namespace {

using support::shipped_library;
using support::small_experiment;

int one_of(RandomStream& random, std::vector<int> const& choices) {
    return choices.at(random.below(choices.size()));
}

std::string system_key(std::string const& key, std::string const& value) {
    return "systems.0." + key + "=" + value;
}

/// A random job of 32 or 48 GPUs, dense or with experts, with uneven layers and any schedule, on
/// boxes or in a cut of a rack; none where its layout does not divide.
std::optional<LoadedPoint> draw(RandomStream& random, bool faults) {
    bool const experts = random.below(3) == 0;
    bool const boxes = random.below(2) == 0;
    int const tp = one_of(random, {1, 2, 4});
    int const pp = one_of(random, {1, 2, 4});
    auto const& schedule = pipeline_schedules.at(random.below(pipeline_schedules.size()));
    bool const interleaved = schedule.name == "interleaved";
    std::vector<std::string> keys{
        experts ? "model=qwen3-30b-a3b" : "model=llama-3.1-8b",
        "sequence_length=1024",
        fmt::format("global_batch={}", 96 * one_of(random, {1, 2})),
        system_key("cluster.name", boxes ? "hgx-h100-superpod" : "gb200-nvl72-superpod"),
        system_key("cluster.gpus", std::to_string(one_of(random, {32, 48}))),
        system_key("layout.tp", std::to_string(tp)),
        system_key("layout.pp", std::to_string(pp)),
        system_key("layout.cp", std::to_string(one_of(random, {1, 1, 2}))),
        system_key("layout.vp", interleaved ? std::to_string(one_of(random, {2, 3})) : "1"),
        system_key("layout.ep", experts ? std::to_string(one_of(random, {4, 8, 16})) : "1"),
        system_key("layout.schedule", std::string(schedule.name)),
        system_key("layout.uneven_layers", "true"),
    };
    if (!boxes) keys.push_back(system_key("cluster.nvlink_domain", "16"));
    static std::vector<std::string> const orders{
        "tp-cp-ep-dp-pp", "tp-cp-ep-pp-dp", "cp-ep-dp-tp-pp", "pp-tp-cp-ep-dp", "dp-cp-pp-ep-tp"};
    if (random.below(2) == 0)
        keys.push_back(system_key("layout.order", orders.at(random.below(orders.size()))));
    if (faults) {
        auto const gpu = [&] { return fmt::format("gpu {}", random.below(32)); };
        keys.push_back(system_key("cluster.faults.nics", "[" + gpu() + "]"));
        keys.push_back(system_key("cluster.faults.links",
                                  fmt::format("[{} link {}, {} link {}]", gpu(), random.below(18),
                                              gpu(), random.below(18))));
        if (random.below(2) == 0) {
            keys.push_back(system_key("cluster.faults.switch_chips",
                                      boxes ? "[box 1 chip 2]" : "[rack 0 chip 3]"));
        }
    }
    try {
        return load_point(small_experiment(keys).points.at(0), shipped_library(), {});
    } catch (ConfigError const&) {
        return std::nullopt;
    }
}

/// Whether or not it fits.
StepSpec small_spec_of(LoadedPoint const& point) {
    StepSpec spec = step_spec(point);
    spec.must_fit = false;
    return spec;
}

std::string text_of(LoadedPoint const& point) {
    Parallel const& p = point.parallel;
    return fmt::format("{} {} tp {} pp {} cp {} vp {} ep {} dp {} {}", point.model.name,
                       point.fabric.gpus(), p.tp, p.pp, p.cp, p.vp, p.ep, p.dp, p.schedule->name);
}

}  // namespace

// Each replica of the model in classes of its own, or those wired alike together: the same step to
// the picosecond, uneven layers and failed links, planes and NICs or not.
TEST(RandomJobs, FoldedEqualUnfolded) {
    RandomStream random(41, "folding");
    int ran = 0, split = 0;
    for (int i = 0; i < 200 && ran < 24; ++i) {
        auto const point = draw(random, i % 4 != 0);
        if (!point) continue;
        ++ran;
        StepSpec spec = small_spec_of(*point);
        StepResult const folded = simulate_step(spec);
        spec.fold = false;
        StepResult const unfolded = simulate_step(spec);
        EXPECT_EQ(folded.step, unfolded.step) << text_of(*point);
        EXPECT_LE(folded.graph.classes().size(), unfolded.graph.classes().size());
        std::uint32_t gpus[2] = {0, 0};
        for (RankClass const& who : folded.graph.classes()) gpus[0] += who.multiplicity;
        for (RankClass const& who : unfolded.graph.classes()) gpus[1] += who.multiplicity;
        EXPECT_EQ(gpus[0], point->fabric.gpus());
        EXPECT_EQ(gpus[1], point->fabric.gpus());
        if (folded.graph.classes().size() > static_cast<std::size_t>(point->parallel.pp)) ++split;
    }
    EXPECT_EQ(ran, 24);
    EXPECT_GT(split, 4) << "else faults split nothing";
}

// One task for each turn or one for each of its operators: the same step within 0.1 % where its
// communication waits for no link that others hold.
TEST(RandomJobs, TakeAsLongOperatorByOperator) {
    RandomStream random(42, "grain");
    int ran = 0;
    for (int i = 0; i < 200 && ran < 12; ++i) {
        auto const point = draw(random, false);
        if (!point) continue;
        ++ran;
        StepSpec spec = small_spec_of(*point);
        StepResult const blocks = simulate_step(spec);
        spec.grain = Grain::by_operator;
        StepResult const operators = simulate_step(spec);
        EXPECT_GT(operators.graph.tasks().size(), 4 * blocks.graph.tasks().size());
        EXPECT_NEAR(operators.step / blocks.step, 1, 1e-3) << text_of(*point);
    }
    EXPECT_EQ(ran, 12);
}

// Replay of a step at its own prices is the step; with the GPU's rates up to 5 % off, each by
// itself, it is the step simulated anew within 0.1 %.
TEST(RandomJobs, ReplayAsTheyResimulate) {
    RandomStream random(45, "replay");
    int ran = 0;
    for (int i = 0; i < 400 && ran < 40; ++i) {
        auto const point = draw(random, i % 2 == 0);
        if (!point) continue;
        ++ran;
        StepSpec const spec = small_spec_of(*point);
        StepResult const done = simulate_step(spec);
        auto const factor = [&] { return 0.95 + 0.1 * random.uniform(); };
        Profile changed = point->profile;
        changed.sustained *= factor();
        changed.memory->rate.count *= factor();
        StepSpec const other{spec.model,  spec.parallel,  spec.fabric, changed,
                             spec.recipe, spec.precision, spec.grain,  false};
        auto const replayed =
            replay(done.replay, std::vector{reprice_step(spec, done), reprice_step(other, done)});
        EXPECT_EQ(replayed.at(0), done.step) << text_of(*point);
        EXPECT_NEAR(replayed.at(1) / simulate_step(other).step, 1, 1e-3) << text_of(*point);
    }
    EXPECT_EQ(ran, 40);
}

// A class's memory over time peaks where `step_memory` says, and ends as it began.
TEST(RandomJobs, PeakOverTimeWhereTheirMemorySays) {
    RandomStream random(46, "over time");
    int ran = 0;
    for (int i = 0; i < 400 && ran < 24; ++i) {
        auto point = draw(random, false);
        if (!point) continue;
        ++ran;
        point->recipe.full_recompute = i % 3 == 0;
        point->recipe.activation_offload = i % 4 == 0 ? 0.5 : 0;
        StepSpec spec = small_spec_of(*point);
        spec.grain = i % 2 == 0 ? Grain::block : Grain::by_operator;
        StepResult const done = simulate_step(spec);
        std::vector<Bytes> peak(done.graph.classes().size()), first(peak.size()), last(peak.size());
        for (MemoryAt const& each : memory_over_time(spec, done)) {
            auto const c = each.who.value;
            if (each.at.count == 0 && first[c].count == 0) first[c] = each.total;
            peak[c] = std::max(peak[c], each.total);
            last[c] = each.total;
        }
        for (std::size_t c = 0; c < peak.size(); ++c) {
            Memory const& stated = done.memory[c % done.memory.size()];
            EXPECT_NEAR(static_cast<double>(peak[c].count),
                        static_cast<double>(stated.total().count), 4)
                << text_of(*point);
            EXPECT_NEAR(static_cast<double>(last[c].count), static_cast<double>(first[c].count), 4);
        }
    }
    EXPECT_EQ(ran, 24);
}

// Recomputation trades activations for a second forward: the memory is each layer's input and one
// layer's all, the time that of the layers' forwards.
TEST(RandomJobs, TradeActivationsForAForwardByRecomputing) {
    RandomStream random(43, "recompute");
    int ran = 0;
    for (int i = 0; i < 200 && ran < 12; ++i) {
        auto point = draw(random, false);
        if (!point || point->parallel.schedule->splits_backward || point->model.experts > 0) {
            continue;
        }
        ++ran;
        StepSpec const spec = small_spec_of(*point);
        point->recipe.recompute.clear();
        point->recipe.overlap.dp = false;  // else its kernels take SMs from the turns
        StepResult const kept = simulate_step(spec);
        point->recipe.full_recompute = true;
        StepResult const again = simulate_step(spec);
        for (std::size_t s = 0; s < kept.memory.size(); ++s) {
            EXPECT_LT(again.memory[s].activations, kept.memory[s].activations) << text_of(*point);
            EXPECT_EQ(again.memory[s].total() - again.memory[s].activations,
                      kept.memory[s].total() - kept.memory[s].activations);
        }
        // No stage computes less than its layers' forwards more.
        for (std::size_t c = 0; c < kept.by_class.size(); ++c) {
            Picoseconds forwards;
            for (std::uint32_t t = 0; t < kept.graph.tasks().size(); ++t) {
                Task const& task = kept.graph.tasks()[t];
                bool const own = kept.graph.class_of(TaskId{t}).value == c &&
                                 task.kind == TaskKind::compute && task.phase == 0;
                if (own) forwards += kept.execution.finish[t] - kept.execution.start[t];
            }
            Picoseconds const more = again.by_class[c].compute - kept.by_class[c].compute;
            EXPECT_LE(more, forwards) << text_of(*point);
            auto const stages = static_cast<std::size_t>(point->parallel.pp);
            bool const ends = c % stages == 0 || (c + 1) % stages == 0;
            if (ends) continue;
            EXPECT_NEAR(more / forwards, 1, 0.02) << text_of(*point);
        }
        EXPECT_GT(again.step, kept.step);
    }
    EXPECT_EQ(ran, 12);
}

// Offloaded activations leave the GPU and come back: what it frees lies in the CPU's memory, and
// the step takes no less; with a link that is fast enough it takes no more.
TEST(RandomJobs, HoldOffloadedActivationsInTheCpusMemory) {
    RandomStream random(44, "offload");
    int ran = 0;
    for (int i = 0; i < 200 && ran < 12; ++i) {
        auto point = draw(random, false);
        if (!point || point->parallel.schedule->splits_backward) continue;
        ++ran;
        StepSpec const spec = small_spec_of(*point);
        StepResult const here = simulate_step(spec);
        point->recipe.activation_offload = 0.5;
        StepResult const away = simulate_step(spec);
        for (std::size_t s = 0; s < here.memory.size(); ++s) {
            Memory const& before = here.memory[s];
            Memory const& after = away.memory[s];
            EXPECT_EQ(before.offloaded.count, 0);
            // Two layers stream, of which a half each would have left: at most one layer's all.
            EXPECT_LE(after.activations + after.offloaded, 2 * before.activations);
            EXPECT_GE(after.activations + after.offloaded, before.activations);
            EXPECT_GT(after.offloaded.count, before.activations.count / 4) << text_of(*point);
        }
        EXPECT_GE(away.step, here.step) << text_of(*point);
    }
    EXPECT_EQ(ran, 12);
}

namespace {

std::vector<std::string> job(std::string const& gpus,
                             std::string const& tp,
                             std::string const& pp,
                             std::string const& domain) {
    return {"model=llama-3.1-8b",
            "sequence_length=2048",
            "global_batch=288",
            system_key("cluster.name", "gb200-nvl72-superpod"),
            system_key("cluster.gpus", gpus),
            system_key("cluster.nvlink_domain", domain),
            system_key("layout.tp", tp),
            system_key("layout.pp", pp),
            system_key("layout.vp", "1"),
            system_key("layout.cp", "1")};
}

Picoseconds step_in_order(std::vector<std::string> keys, std::string const& order) {
    if (!order.empty()) keys.push_back(system_key("layout.order", order));
    auto const point = load_point(small_experiment(keys).points.at(0), shipped_library(), {});
    return simulate_step(small_spec_of(point)).step;
}

}  // namespace

TEST(Placement, MegatronsOrderIsTheDefaultToThePicosecond) {
    for (auto const* domain : {"8", "36", "72"}) {
        auto const keys = job("144", "4", "2", domain);
        EXPECT_EQ(step_in_order(keys, ""), step_in_order(keys, "tp-cp-ep-dp-pp")) << domain;
    }
}

// Tensor-parallel ranks talk in every layer: spread over the machine they are never quicker.
TEST(Placement, TensorParallelRanksFarApartAreNeverQuicker) {
    for (auto const* domain : {"8", "16", "36", "72"}) {
        for (auto const* tp : {"2", "4", "8"}) {
            for (auto const* pp : {"1", "2"}) {
                auto const keys = job("144", tp, pp, domain);
                auto const near = step_in_order(keys, "");
                for (auto const* order : {"cp-ep-dp-tp-pp", "cp-ep-dp-pp-tp"}) {
                    EXPECT_GE(step_in_order(keys, order), near)
                        << domain << " tp " << tp << " pp " << pp << " " << order;
                }
            }
        }
    }
    // Where one domain holds the job, and every group, the order is no matter.
    auto const inside = job("72", "4", "1", "72");
    EXPECT_EQ(step_in_order(inside, "cp-ep-dp-tp-pp"), step_in_order(inside, ""));
}

}  // namespace nvl72
