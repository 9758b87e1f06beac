// Time to simulate one step, memory and all, with profiles and fabrics loaded beforehand: the two
// 405B systems of the shipped experiment, and the two largest jobs that the simulator must carry.
// And how many steps a second Replay re-costs.

#include "sim/graph/replay.hpp"
#include "sim/study/point.hpp"
#include "tests/support/small_experiment.hpp"

#include <algorithm>
#include <benchmark/benchmark.h>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <vector>

namespace {

using namespace nvl72;

LoadedPoint loaded(Experiment const& experiment, std::size_t system) {
    return load_point(experiment.points.at(system), support::shipped_library(), {});
}

/// As Llama 3's paper trains it: 16.8 million tokens a batch; in FP8, so that it fits.
constexpr std::string_view llama_text = R"(title: t
question: q
model: llama-3.1-405b
recipe: megatron-bridge-26.06
precision: fp8
sequence_length: 8192
global_batch: 2048
systems:
  - cluster: {name: hgx-h100-superpod, gpus: 16384}
    layout: {tp: 8, pp: 16, vp: 8, embedding_and_loss_as_layers: true}
)";

constexpr std::string_view mixture_text = R"(title: t
question: q
model: gpt-moe-1.8t
recipe: megatron-bridge-26.06
precision: fp8
sequence_length: 8192
global_batch: 49152
systems:
  - cluster: {name: gb200-nvl72-superpod, gpus: 98304}
    layout: {tp: 4, pp: 8, ep: 16, vp: 3, uneven_layers: true}
)";

void simulate(benchmark::State& state, LoadedPoint const& point) {
    state.SetLabel(point.model.name + " on " + std::to_string(point.fabric.gpus()) + " " +
                   point.system.name);
    std::size_t tasks = 0;
    for (auto _ : state) {
        auto const done = simulate_point(point, 0);
        benchmark::DoNotOptimize(done.row.step_s);
        tasks = done.step.graph.tasks().size();
    }
    state.counters["tasks"] = static_cast<double>(tasks);
    state.counters["tasks_per_s"] =
        benchmark::Counter(static_cast<double>(tasks) * static_cast<double>(state.iterations()),
                           benchmark::Counter::kIsRate);
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    state.counters["peak_mib"] = static_cast<double>(usage.ru_maxrss) / 1024;
}

/// range(0): which system of configs/experiments/llama405b-hopper-vs-nvl72.yaml.
void step_405b(benchmark::State& state) {
    auto const experiment =
        load_experiment(NVL72_SOURCE_DIR "/configs/experiments/llama405b-hopper-vs-nvl72.yaml", {});
    simulate(state, loaded(experiment, static_cast<std::size_t>(state.range(0))));
}
BENCHMARK(step_405b)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

void step_405b_on_16384(benchmark::State& state) {
    simulate(state, loaded(support::experiment_of(std::string(llama_text)), 0));
}
BENCHMARK(step_405b_on_16384)->Unit(benchmark::kMillisecond);

void step_moe_on_98304(benchmark::State& state) {
    simulate(state, loaded(support::experiment_of(std::string(mixture_text)), 0));
}
BENCHMARK(step_moe_on_98304)->Unit(benchmark::kMillisecond);

/// Steps of the 405B job of 16,384 GPUs at other prices, by Replay: its queries priced anew, then
/// the longest path, `range(0)` sets of prices at once.
void recost_405b_on_16384(benchmark::State& state) {
    auto const point = loaded(support::experiment_of(std::string(llama_text)), 0);
    StepSpec const spec = step_spec(point);
    StepResult const done = simulate_step(spec);
    auto const sets = static_cast<std::size_t>(state.range(0));
    for (auto _ : state) {
        std::vector<std::vector<TaskTime>> times;
        for (std::size_t i = 0; i < sets; ++i) times.push_back(reprice_step(spec, done));
        benchmark::DoNotOptimize(replay(done.replay, times));
    }
    state.counters["steps_per_s"] =
        benchmark::Counter(static_cast<double>(sets) * static_cast<double>(state.iterations()),
                           benchmark::Counter::kIsRate);
}
BENCHMARK(recost_405b_on_16384)->Arg(8)->Arg(64)->Unit(benchmark::kMillisecond);

/// The longest path alone.
void replay_405b_on_16384(benchmark::State& state) {
    auto const point = loaded(support::experiment_of(std::string(llama_text)), 0);
    StepSpec const spec = step_spec(point);
    StepResult const done = simulate_step(spec);
    std::vector<std::vector<TaskTime>> const times(static_cast<std::size_t>(state.range(0)),
                                                   reprice_step(spec, done));
    for (auto _ : state) benchmark::DoNotOptimize(replay(done.replay, times));
    state.counters["steps_per_s"] = benchmark::Counter(
        static_cast<double>(times.size()) * static_cast<double>(state.iterations()),
        benchmark::Counter::kIsRate);
}
BENCHMARK(replay_405b_on_16384)->Arg(8)->Arg(64)->Unit(benchmark::kMillisecond);

}  // namespace
