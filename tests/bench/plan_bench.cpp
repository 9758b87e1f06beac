// Layouts that a core bounds, walks and simulates in a second, for GPT-3 175B on 1,024 H100.

#include "sim/study/plan_search.hpp"
#include "tests/support/plan_case.hpp"

#include <benchmark/benchmark.h>

namespace {

using namespace nvl72;

PlanJob gpt3() {
    return support::job_of({.model = "gpt3-175b", .gpus = 1024, .batch = 1536, .sequence = 2048},
                           support::shipped_library());
}

/// Bounded, or refused for their memory; the first pass of a plan on one core.
void bound_gpt3_on_1024(benchmark::State& state) {
    auto const job = gpt3();
    PlanCounts counts;
    for (auto _ : state) counts = PlanSearch(job, 1).counts();
    auto const looked_at = static_cast<double>(counts.bounded + counts.too_large);
    state.counters["crossed"] = static_cast<double>(counts.crossed);
    state.counters["bounded_per_s"] = benchmark::Counter(
        looked_at * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(bound_gpt3_on_1024)->Unit(benchmark::kSecond)->Iterations(1);

/// The layouts of the best bounds, one after the other.
void simulate_gpt3_on_1024(benchmark::State& state) {
    auto const job = gpt3();
    PlanSearch search(job, 1);
    std::size_t next = 0;
    for (auto _ : state) benchmark::DoNotOptimize(search.simulate(search.layouts().at(next++)));
    state.counters["simulated_per_s"] =
        benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(simulate_gpt3_on_1024)->Unit(benchmark::kMillisecond)->Iterations(100);

void walk_gpt3_on_1024(benchmark::State& state) {
    auto const job = gpt3();
    PlanSearch const search(job, 1);
    LayoutBounder bounder(job);
    std::size_t next = 0;
    for (auto _ : state) benchmark::DoNotOptimize(bounder.walk(search.layouts().at(next++).layout));
    state.counters["walked_per_s"] =
        benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(walk_gpt3_on_1024)->Unit(benchmark::kMillisecond)->Iterations(200);

}  // namespace
