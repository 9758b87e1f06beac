// Time to simulate one step of the two 405B systems of the shipped experiment: graph, execution
// and breakdown, profiles and fabrics loaded beforehand.

#include "sim/study/point.hpp"

#include <benchmark/benchmark.h>
#include <string>

namespace {

using namespace nvl72;

/// range(0): which system of configs/experiments/llama405b-hopper-vs-nvl72.yaml.
void step_405b(benchmark::State& state) {
    auto const experiment =
        load_experiment(NVL72_SOURCE_DIR "/configs/experiments/llama405b-hopper-vs-nvl72.yaml", {});
    auto const point = load_point(experiment.points.at(static_cast<std::size_t>(state.range(0))),
                                  Library(NVL72_SOURCE_DIR "/configs"), {});
    state.SetLabel(point.system.name);
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
}
BENCHMARK(step_405b)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

}  // namespace
