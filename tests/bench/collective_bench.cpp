// Time of one collective query after the first: the tuner's choice among all algorithms, its
// calibrated time and its interval; on 1,024 GPUs, 131,072 (H100) and 1,048,576 (GB200).

#include "sim/collective/algorithms.hpp"
#include "sim/cost/profile.hpp"
#include "sim/cost/spread.hpp"
#include "topology/fabric.hpp"

#include <benchmark/benchmark.h>
#include <string>

namespace {

using namespace nvl72;

/// range(0): GPUs; range(1): size in bytes.
void collective_query(benchmark::State& state, std::string const& cluster, CollectiveOp op) {
    Library const library(NVL72_SOURCE_DIR "/configs");
    ClusterChoice choice;
    choice.name = cluster;
    choice.gpus = state.range(0);
    Fabric const fabric = build_fabric(choice, library);
    Profile const profile = load_profile(library, fabric.gpu().name);
    for (auto _ : state) {
        auto const shape = fabric.shape_of(0, 1, fabric.gpus());
        auto const plan = plan_collective(profile, op, Bytes{state.range(1)}, shape);
        auto const priced = cost(profile, plan.query, Load::burst);
        benchmark::DoNotOptimize(spread_of(profile, plan.query, priced.basis.kind).high);
        benchmark::DoNotOptimize(priced.time.count);
    }
}

template <std::int64_t most>
void sizes(benchmark::internal::Benchmark* bench) {
    for (std::int64_t const gpus : {std::int64_t{1024}, most}) {
        for (std::int64_t const size : {65536, 1073741824}) bench->Args({gpus, size});
    }
    bench->Unit(benchmark::kMicrosecond)->MinTime(0.1);
}
BENCHMARK_CAPTURE(collective_query, nvl72, "gb200-nvl72-superpod", CollectiveOp::all_reduce)
    ->Apply(sizes<1048576>);
BENCHMARK_CAPTURE(collective_query, nvl72_alltoall, "gb200-nvl72-superpod", CollectiveOp::alltoall)
    ->Apply(sizes<1048576>);
BENCHMARK_CAPTURE(collective_query, hgx_h100, "hgx-h100-superpod", CollectiveOp::all_reduce)
    ->Apply(sizes<131072>);

}  // namespace
