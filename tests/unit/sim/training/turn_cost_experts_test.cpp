#include "sim/training/turn_cost.hpp"
#include "tests/support/turn_bench.hpp"

#include <gtest/gtest.h>
#include <set>
#include <utility>
#include <variant>
#include <vector>

namespace nvl72 {
namespace {

using namespace literals;

using support::all_load;
using support::Bench;
using support::waited;

constexpr std::int64_t row_bytes = 2048;  // a token of 1024 in BF16

/// One layer with 16 experts of width 512, of which a token passes 2, on ep 4 H100s.
Bench experts_bench(int tp = 1, int expert_tp = 1) {
    Bench bench(tp, 1);
    bench.model.experts = 16;
    bench.model.top_k = 2;
    bench.model.expert_ffn = 512;
    bench.chunk.layers = {0, 0, 1};
    bench.profile.moe.reset();
    bench.shape.ep = 4;
    bench.shape.expert_tp = expert_tp;
    bench.shape.ep_group = bench.shape.tp_group;
    bench.shape.ep_group.ranks = bench.shape.ep_group.ranks_per_domain = 4;
    return bench;
}

/// Sizes of the collectives of one kind that a turn asks for.
std::set<std::int64_t> sizes(Bench const& bench, bool forward, CollectiveOp op) {
    std::set<std::int64_t> found;
    for (Query const& query : bench.queries(forward)) {
        auto const* collective = std::get_if<Collective>(&query);
        if (collective != nullptr && collective->op == op) found.insert(collective->size.count);
    }
    return found;
}

std::set<Gemm> grouped_gemms(Bench const& bench, bool forward) {
    std::set<Gemm> found;
    for (Query const& query : bench.queries(forward)) {
        auto const* gemm = std::get_if<Gemm>(&query);
        if (gemm != nullptr && gemm->groups > 1) found.insert(*gemm);
    }
    return found;
}

}  // namespace

// Forward: qkv, projection and router 3 x 1000; 2 grouped GEMMs of 3000; attention 500; 6
// elementwise operators and 2 permutations of 100. Backward: each GEMM twice.
TEST(ExpertTurn, AddsUpItsKernels) {
    Bench const bench = experts_bench();
    EXPECT_EQ(bench.turn(true).compute.time, 3000_ns + 6000_ns + 500_ns + 800_ns);
    EXPECT_EQ(bench.turn(false).compute.time, 6000_ns + 12'000_ns + 500_ns + 800_ns);
}

// A rank holds 16 / 4 experts; they get 4096 x 2 rows, 2048 each. Gate and up 2 x 512 of 1024, down
// 1024 of 512. Backward swaps them for the data's gradient and sums over rows for the weights'.
TEST(ExpertTurn, AsksForOneGroupedGemmOfARanksExperts) {
    Bench const bench = experts_bench();
    EXPECT_EQ(grouped_gemms(bench, true),
              (std::set<Gemm>{{Precision::bf16, 2048, 1024, 1024, false, 4},
                              {Precision::bf16, 2048, 1024, 512, false, 4}}));
    EXPECT_EQ(grouped_gemms(bench, false),
              (std::set<Gemm>{{Precision::bf16, 2048, 1024, 1024, false, 4},  // data, gate and up
                              {Precision::bf16, 2048, 512, 1024, false, 4},   // data, down
                              {Precision::bf16, 1024, 1024, 2048, false, 4},  // weights
                              {Precision::bf16, 1024, 512, 2048, false, 4}}));
    auto alone = bench;
    alone.shape.ep = 1;
    EXPECT_TRUE(
        grouped_gemms(alone, true).contains(Gemm{Precision::bf16, 512, 1024, 1024, false, 16}));
}

// tp 2 halves the tokens whose routes a rank sends; with expert_tp 2 each expert gets both ranks'
// rows, and half of its inner width lies here.
TEST(ExpertTurn, TensorParallelismOfExpertsCutsTheirInnerWidth) {
    EXPECT_EQ(grouped_gemms(experts_bench(2, 2), true),
              (std::set<Gemm>{{Precision::bf16, 2048, 512, 1024, false, 4},
                              {Precision::bf16, 2048, 1024, 256, false, 4}}));
    EXPECT_EQ(grouped_gemms(experts_bench(2, 1), true),
              (std::set<Gemm>{{Precision::bf16, 1024, 1024, 1024, false, 4},
                              {Precision::bf16, 1024, 1024, 512, false, 4}}));
    EXPECT_EQ(sizes(experts_bench(2, 1), true, CollectiveOp::alltoall),
              (std::set<std::int64_t>{4096 * row_bytes}));
}

// Dispatch and combine, 19 us each, on the way there and back.
TEST(ExpertTurn, WaitsForTwoExchangesEachWay) {
    Bench bench = experts_bench();
    for (bool const forward : {true, false}) {
        EXPECT_EQ(waited(bench.turn(forward), ParallelDimension::ep), 38_us);
        EXPECT_EQ(bench.turn(forward)
                      .communication[static_cast<std::size_t>(ParallelDimension::ep)]
                      .hidden,
                  0_ps);
    }
    bench.chunk.layers = {1, 0, 3};
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::ep), 3 * 38_us);
    bench.shape.ep = 1;
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::ep), 0_ps);
}

// A layer's compute is 10.3 us forward, 19.3 backward: two exchanges of 4 us hide; of two of 8 us
// the second is seen for 5.7 us; two of 19 us leave 38 - 10.3 and 38 - 19.3. Layers do not lend.
TEST(ExpertTurn, OverlapHidesExchangesUnderTheLayersCompute) {
    Bench bench = experts_bench();
    bench.recipe.overlap.ep = true;
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::ep), 27'700_ns);
    EXPECT_EQ(waited(bench.turn(false), ParallelDimension::ep), 18'700_ns);
    bench.prices.collective[CollectiveOp::alltoall] = 8_us;
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::ep), 5700_ns);
    bench.chunk.layers = {5, 0, 2};
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::ep), 2 * 5700_ns);
    bench.prices.collective[CollectiveOp::alltoall] = 4_us;
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::ep), 0_ps);
    auto const& hidden =
        bench.turn(true).communication[static_cast<std::size_t>(ParallelDimension::ep)];
    EXPECT_EQ(hidden.hidden, 2 * 8_us);
}

// A network that every token passes: gate_up 1000, swiglu 100, down 1000 (backward 2000, 100, 2000)
// lie beside the exchanges where the recipe runs them so. 38 us less 2.1 or 4.1 are left; an
// exchange of 1 us and most of the next hide.
TEST(ExpertTurn, TheSharedExpertHidesExchangesWhereTheRecipeSaysSo) {
    Bench bench = experts_bench();
    bench.model.shared_ffn = 512;
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::ep), 38_us);
    bench.recipe.overlap.shared_expert = true;
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::ep), 35'900_ns);
    EXPECT_EQ(waited(bench.turn(false), ParallelDimension::ep), 33'900_ns);
    EXPECT_EQ(bench.turn(true).compute.time, 10'300_ns + 2100_ns);
    bench.chunk.layers = {2, 0, 2};  // dense layers lend nothing
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::ep), 2 * 35'900_ns);
    bench.chunk.layers = {0, 0, 1};
    bench.prices.collective[CollectiveOp::alltoall] = 1_us;
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::ep), 0_ps);
    bench.model.shared_ffn = 0;
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::ep), 2_us) << "nothing to hide under";
}

TEST(ExpertTurn, TheHostStopsTheGpuOnceALayerAndPass) {
    Bench bench = experts_bench();
    bench.chunk.layers = {2, 0, 3};
    for (int const ep : {4, 1}) {
        bench.shape.ep = ep;
        for (bool const forward : {true, false}) {
            bench.recipe.moe.host_sync = 0_us;
            Picoseconds const without = bench.turn(forward).compute.time;
            bench.recipe.moe.host_sync = 50_us;
            EXPECT_EQ(bench.turn(forward).compute.time, without + 3 * 50_us) << ep;
        }
    }
}

// 16 experts over ep 4 are 4 of a rank, over ep 2 they are 8.
TEST(ExpertTurn, EachExpertOfARankIsLaunchedAfterTheOther) {
    Bench bench = experts_bench();
    for (int const ep : {4, 2}) {
        bench.shape.ep = ep;
        for (bool const forward : {true, false}) {
            bench.recipe.moe.expert_launch = 0_us;
            Picoseconds const without = bench.turn(forward).compute.time;
            bench.recipe.moe.expert_launch = 5_us;
            EXPECT_EQ(bench.turn(forward).compute.time, without + 16 / ep * 5_us) << ep;
        }
    }
}

TEST(ExpertTurn, WithACapacityNobodyWaitsForTheHost) {
    Bench bench = experts_bench();
    Picoseconds const without = bench.turn(true).compute.time;
    bench.recipe.moe.host_sync = 50_us;
    bench.recipe.moe.capacity = 1;
    EXPECT_EQ(bench.turn(true).compute.time, without);
}

// A rank's 4096 tokens are 2048 of its own with tp 2, each to 2 experts: 4096 rows, and as many of
// its neighbour, gathered before the experts and scattered after: 7 + 11 us beside the exchanges.
TEST(ExpertTurn, RanksThatCutAnExpertShareItsRows) {
    Bench bench = experts_bench(2, 2);
    std::int64_t const gathered = 2 * 4096 * row_bytes;
    EXPECT_TRUE(sizes(bench, true, CollectiveOp::all_gather).contains(gathered));
    EXPECT_TRUE(sizes(bench, true, CollectiveOp::reduce_scatter).contains(gathered));
    auto const shared = waited(bench.turn(true), ParallelDimension::ep);
    EXPECT_EQ(shared, waited(experts_bench(2, 1).turn(true), ParallelDimension::ep) + 18_us);
}

TEST(ExpertTurn, ExchangeTimeStretchesExchangesAlone) {
    Bench bench = experts_bench();
    auto const compute = bench.turn(true).compute.time;
    bench.recipe.moe.exchange_time = 1.5;
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::ep), 57_us);
    EXPECT_EQ(bench.turn(true).compute.time, compute);
    bench.recipe.moe.exchange_time = 0;
    EXPECT_EQ(waited(bench.turn(false), ParallelDimension::ep), 0_ps);
}

// The busiest rank gets 1.5 times its even share of 2048 rows an expert, unless it may take fewer:
// what is past its capacity is dropped, from GEMMs and exchanges.
TEST(ExpertTurn, RowsPastTheCapacityAreDropped) {
    Bench bench = experts_bench();
    auto const rows = [&] { return grouped_gemms(bench, true).begin()->m; };
    auto const sent = [&] { return *sizes(bench, true, CollectiveOp::alltoall).begin(); };
    std::int64_t const even = 8192 * row_bytes;
    bench.recipe.moe.imbalance = 1.5;
    EXPECT_EQ(rows(), 3072);
    EXPECT_EQ(sent(), even * 3 / 2);
    bench.recipe.moe.capacity = 2;
    EXPECT_EQ(rows(), 3072) << "there is room";
    bench.recipe.moe.capacity = 1.25;
    EXPECT_EQ(rows(), 2560);
    bench.recipe.moe.capacity = 1;
    EXPECT_EQ(rows(), 2048);
    EXPECT_EQ(sent(), even);
    bench.recipe.moe.imbalance = 1;
    bench.recipe.moe.capacity = 0.5;
    EXPECT_EQ(rows(), 1024);
    EXPECT_EQ(sent(), even / 2);
}

// NCCL's all-to-all sends a token to each of its 2 experts; a fused kernel once to each of the 4
// ranks that holds one: 4 (1 - (3/4)^2) = 1.75 on average.
TEST(ExpertTurn, AFusedDispatcherSendsATokenOnceToARank) {
    Bench bench = experts_bench();
    EXPECT_EQ(sizes(bench, true, CollectiveOp::alltoall),
              (std::set<std::int64_t>{8192 * row_bytes}));
    bench.recipe.moe.dispatcher = MoeDispatcher::fused;
    EXPECT_EQ(sizes(bench, true, CollectiveOp::alltoall),
              (std::set<std::int64_t>{4096 * row_bytes * 7 / 4}));
    // All 8: 4 (1 - (3/4)^8) = 3.5996 of 4 ranks.
    bench.model.top_k = 8;
    auto const sent = *sizes(bench, true, CollectiveOp::alltoall).begin();
    EXPECT_NEAR(static_cast<double>(sent), 4096.0 * row_bytes * (4 - 4 * 6561.0 / 65'536), 1);
    // A byte an element on the way out, two on the way back.
    bench.model.top_k = 2;
    bench.recipe.moe.dispatch_bytes = 1;
    std::set<std::int64_t> const both{4096L * 1024 * 7 / 4, 4096 * row_bytes * 7 / 4};
    for (bool const forward : {true, false}) {
        EXPECT_EQ(sizes(bench, forward, CollectiveOp::alltoall), both);
    }
}

// Where its kernels are measured, the fused dispatcher asks for those: 23 us out, 29 us back.
TEST(ExpertTurn, AFusedDispatcherAsksForMeasuredKernels) {
    Bench bench = experts_bench();
    bench.profile.moe = load_profile(support::library(), "gb200").moe;
    ASSERT_TRUE(bench.profile.moe);
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::ep), 38_us) << "all-to-all";
    bench.recipe.moe.dispatcher = MoeDispatcher::fused;
    for (bool const forward : {true, false}) {
        EXPECT_EQ(waited(bench.turn(forward), ParallelDimension::ep), 52_us);
        EXPECT_DOUBLE_EQ(all_load(bench.turn(forward)).nvlink, 2 * 1.75 * 4096 * row_bytes);
    }
    MoeExchange wanted{
        MoeStep::dispatch,   MoeTransport::two_sided, Precision::bf16, 4096, 1024, 2, 16,
        bench.shape.ep_group};
    EXPECT_TRUE(bench.queries(true).contains(wanted));
    bench.recipe.moe.dispatch_bytes = 1.03125;
    wanted.precision = Precision::fp8;
    EXPECT_TRUE(bench.queries(true).contains(wanted));
    wanted.step = MoeStep::combine;
    wanted.precision = Precision::bf16;
    EXPECT_TRUE(bench.queries(true).contains(wanted));
}

// Over 2 domains: a copy to each that holds an expert, 2 (1 - (1/2)^2) = 1.5; half of them leave
// through the NIC at 0.9 of its rate, made to take 10 us; the made-up price has no latency.
TEST(ExpertTurn, AFusedDispatcherSendsATokenOnceToADomainAcrossTheNetwork) {
    Bench bench = experts_bench();
    bench.recipe.moe.dispatcher = MoeDispatcher::fused;
    bench.shape.ep_group.domains = 2;
    bench.shape.ep_group.ranks_per_domain = 2;
    double const leaves = 0.5 * 1.5 * 4096 * row_bytes;
    bench.shape.ep_group.per_gpu_nic = BytesPerSecond{leaves / 0.9 / 10e-6};
    auto const turn = bench.turn(true);
    EXPECT_EQ(waited(turn, ParallelDimension::ep), 20_us);
    EXPECT_DOUBLE_EQ(all_load(turn).nic, 2 * leaves);
    EXPECT_DOUBLE_EQ(all_load(turn).nvlink, 4 * leaves);
}

// Two permutations of 4096 x 2 rows of 1024 share a pass's 8 B of an element: 4 each.
TEST(ExpertTurn, PermutesTheRowsBothWays) {
    Bench bench = experts_bench();
    EXPECT_TRUE(bench.queries(true).contains(MemoryTraffic{Bytes{4096L * 2 * 1024 * 4}, 1}));
    bench.recipe.moe.permute_bytes = 0;
    EXPECT_EQ(bench.turn(true).compute.time, 10'300_ns - 200_ns);
}

// With adapters alone a backward is one GEMM each: 3000 + 6000, attention 500 and 800.
TEST(ExpertTurn, FrozenWeightsHaveNoGradientGemm) {
    Bench bench = experts_bench();
    bench.recipe.trains_weights = false;
    EXPECT_EQ(bench.turn(false).compute.time, 10'300_ns);
    for (Gemm const& gemm : grouped_gemms(bench, false)) EXPECT_EQ(gemm.m, 2048);
}

// Named operators run again before the backward: swiglu 100, the grouped gate and up 3000; an
// exchange run again is waited for.
TEST(ExpertTurn, RecomputedOperatorsRunAgain) {
    Bench bench = experts_bench();
    auto const plain = bench.turn(false);
    bench.recipe.recompute = {"swiglu", "expert_gate_up"};
    EXPECT_EQ(bench.turn(false).compute.time, plain.compute.time + 3100_ns);
    EXPECT_EQ(bench.turn(true).compute.time, 10'300_ns) << "forward as before";
    bench.recipe.recompute = {"dispatch"};
    EXPECT_EQ(waited(bench.turn(false), ParallelDimension::ep), 57_us);
}

// A module beside no layer: norms of state and embedding 200, a projection 1000, an embedding 100,
// a layer 10,300, the head's norm, GEMM and cross entropy 1200; backward 200 + 2000 + 100 + 19,300
// + 2200. Its exchanges hide under that, named operators run again, and full recomputation leaves
// it alone, as it does in memory.
TEST(ExpertTurn, AModuleOfFurtherTokensIsALayerOfItsOwn) {
    Bench bench = experts_bench();
    bench.chunk = {{}, false, false, 1};
    EXPECT_EQ(bench.turn(true).compute.time, 12'800_ns);
    EXPECT_EQ(bench.turn(false).compute.time, 23'800_ns);
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::ep), 38_us);
    bench.recipe.overlap.ep = true;
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::ep), 25'200_ns);
    bench.recipe.recompute = {"swiglu", "expert_gate_up"};
    EXPECT_EQ(bench.turn(false).compute.time, 23'800_ns + 3100_ns);
    bench.recipe.recompute = {};
    bench.recipe.full_recompute = true;
    EXPECT_EQ(bench.turn(false).compute.time, 23'800_ns);
    // Its weights are sharded too: attention, projection, 5 norms, router, 4 experts.
    bench.shape.fsdp_group = bench.shape.ep_group;
    std::int64_t const parameters =
        (4L + 2) * 1024 * 1024 + 5L * 1024 + 1024L * 16 + 4L * 3 * 1024 * 512;
    EXPECT_EQ(sizes(bench, true, CollectiveOp::all_gather), (std::set{2 * parameters}));
    EXPECT_EQ(sizes(bench, false, CollectiveOp::reduce_scatter), (std::set{4 * parameters}));
}

// The small model's layer: qkv 3 x 1024^2, projection 1024^2, 3 x 1024 x 4096, 2 norms. In BF16 it
// is gathered each way (7 us) and its 4-byte gradients are scattered backward (11 us).
TEST(ShardedTurn, GathersWeightsEachWayAndScattersGradients) {
    Bench bench(1, 1);
    bench.shape.fsdp_group = bench.shape.tp_group;
    bench.shape.fsdp_group.ranks = bench.shape.fsdp_group.ranks_per_domain = 8;
    bench.recipe.overlap.fsdp = false;
    std::int64_t const parameters = 4L * 1024 * 1024 + 3L * 1024 * 4096 + 2L * 1024;
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::dp), 7_us);
    EXPECT_EQ(waited(bench.turn(false), ParallelDimension::dp), 18_us);
    for (bool const forward : {true, false}) {
        EXPECT_EQ(sizes(bench, forward, CollectiveOp::all_gather), (std::set{2 * parameters}));
    }
    EXPECT_EQ(sizes(bench, false, CollectiveOp::reduce_scatter), (std::set{4 * parameters}));
    EXPECT_TRUE(sizes(bench, true, CollectiveOp::reduce_scatter).empty());
    // Frozen weights are gathered, and have no gradients.
    bench.recipe.trains_weights = false;
    EXPECT_EQ(waited(bench.turn(false), ParallelDimension::dp), 7_us);
}

// Of 5.1 us of compute forward 7 - 5.1 is left; of 9.1 us backward, the gather takes 7 and the
// scatter shows for 11 - 2.1. Two layers twice that.
TEST(ShardedTurn, HidesUnderTheLayersCompute) {
    Bench bench(1, 1);
    bench.shape.fsdp_group = bench.shape.tp_group;
    bench.shape.fsdp_group.ranks = bench.shape.fsdp_group.ranks_per_domain = 8;
    ASSERT_TRUE(bench.recipe.overlap.fsdp);
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::dp), 1900_ns);
    EXPECT_EQ(waited(bench.turn(false), ParallelDimension::dp), 8900_ns);
    bench.chunk.layers = {2};
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::dp), 2 * 1900_ns);
    bench.prices.collective[CollectiveOp::all_gather] = 1_us;
    bench.prices.collective[CollectiveOp::reduce_scatter] = 2_us;
    EXPECT_EQ(waited(bench.turn(false), ParallelDimension::dp), 0_ps);
}

// A layer's share of one rank: attention 4 x 1024^2 / tp 2, 2 norms, a router of 1024 x 16, and 16
// experts of 3 x 1024 x 512 over ep 4 x expert_tp 2.
TEST(ShardedTurn, GathersARanksShareOfTheExperts) {
    Bench bench = experts_bench(2, 2);
    bench.shape.fsdp_group = bench.shape.ep_group;
    std::int64_t const parameters =
        2L * 1024 * 1024 + 2L * 1024 + 1024L * 16 + 16L * 3 * 1024 * 512 / 8;
    EXPECT_TRUE(sizes(bench, true, CollectiveOp::all_gather).contains(2 * parameters));
    EXPECT_TRUE(sizes(bench, false, CollectiveOp::reduce_scatter).contains(4 * parameters));
}

}  // namespace nvl72
