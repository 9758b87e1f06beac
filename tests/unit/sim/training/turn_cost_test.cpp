#include "sim/training/turn_cost.hpp"

#include "tests/support/turn_bench.hpp"

#include <gtest/gtest.h>
#include <set>
#include <utility>
#include <variant>

namespace nvl72 {
namespace {

using namespace literals;

using support::all_load;
using support::Bench;
using support::waited;

std::set<Attention> attentions(Bench const& bench, bool forward) {
    std::set<Attention> found;
    for (Query const& query : bench.queries(forward)) {
        if (auto const* attention = std::get_if<Attention>(&query)) found.insert(*attention);
    }
    return found;
}

}  // namespace

// Forward: 4 GEMMs + attention + 6 elementwise = 4000 + 500 + 600. Backward: each GEMM twice.
TEST(TurnCost, AddsUpItsKernels) {
    Bench const bench(1, 1);
    EXPECT_EQ(bench.turn(true).compute.time, 5100_ns);
    EXPECT_EQ(bench.turn(false).compute.time, 9100_ns);
}

// The head adds its norm, its GEMM and the cross entropy; the embedding one copy.
TEST(TurnCost, AddsTheEndsOfTheModel) {
    Bench bench(1, 1);
    bench.chunk = {{2}, true, true};
    EXPECT_EQ(bench.turn(true).compute.time, 2 * 5100_ns + 100_ns + 1200_ns);
    EXPECT_EQ(bench.turn(false).compute.time, 2 * 9100_ns + 100_ns + 2200_ns);
}

// Megatron's sequence parallelism. Forward: QKV and gate-up gather, projection and down scatter:
// 2 x 7 + 2 x 11 us. Backward: the two row layers gather, the two column layers gather and scatter:
// 4 x 7 + 2 x 11 us.
TEST(TurnCost, WithoutOverlapWaitsForEveryTensorParallelCollective) {
    Bench const bench(4, 1);
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::tp), 36_us);
    EXPECT_EQ(waited(bench.turn(false), ParallelDimension::tp), 50_us);
    EXPECT_EQ(bench.turn(true).compute.time, 5100_ns) << "kernels run alone";
    for (auto const& communication : bench.turn(true).communication) {
        EXPECT_EQ(communication.hidden, 0_ps);
    }
}

// Without it, two all-reduces each way (Shoeybi et al. 2019).
TEST(TurnCost, WithoutSequenceParallelismAllReduces) {
    Bench bench(4, 1);
    bench.shape.sequence_parallel = false;
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::tp), 26_us);
    EXPECT_EQ(waited(bench.turn(false), ParallelDimension::tp), 26_us);
}

// tp 4: a gather has 3 ring steps under quarters of a GEMM (250 ns); of 600 ns they are 200 each:
// hidden. A scatter follows its GEMM in 4 pieces of 150 and waits for the last. Backward, all 600
// ns fit under whole GEMMs (1000 ns), and the row layers' gathers are pipelined and hidden too.
TEST(TurnCost, WithOverlapWaitsForTheStepsThatOutlastTheirGemm) {
    Bench bench(4, 1);
    bench.overlap(true);
    bench.prices.collective[CollectiveOp::all_gather] = 600_ns;
    bench.prices.collective[CollectiveOp::reduce_scatter] = 600_ns;
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::tp), 300_ns);
    EXPECT_EQ(waited(bench.turn(false), ParallelDimension::tp), 0_ns);
    // 1200 ns: steps of 400 outlast 250 by 150. Gather 3 x 150; scatter, of pieces of 300,
    // 300 + 3 x 50. Backward: row gathers 3 x 150 each; column gather and scatter 1200 - 1000 each.
    bench.prices.collective[CollectiveOp::all_gather] = 1200_ns;
    bench.prices.collective[CollectiveOp::reduce_scatter] = 1200_ns;
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::tp), 2 * 450_ns + 2 * 450_ns);
    EXPECT_EQ(waited(bench.turn(false), ParallelDimension::tp), 2 * 450_ns + 4 * 200_ns);
}

// What is asked of the price book, on one of tp 4 x cp 2 ranks with 2048 of 4096 tokens.
//   QKV 3 x 1024 of 1024 -> 768 x 1024; projection 1024 of 1024 -> 1024 x 256
//   gate and up 2 x 4096 of 1024 -> 2048 x 1024; down 1024 of 4096 -> 1024 x 1024
// Attention: 2 of 8 heads over the own block, then half of the other rank's (zigzag halves).
TEST(TurnCost, AsksForTheShareOfOneRank) {
    Bench const bench(4, 2);
    auto const asked = bench.queries(true);
    for (Gemm const& gemm : {Gemm{Precision::bf16, 2048, 768, 1024},
                             {Precision::bf16, 2048, 1024, 256},
                             {Precision::bf16, 2048, 2048, 1024},
                             {Precision::bf16, 2048, 1024, 1024}}) {
        EXPECT_TRUE(asked.contains(gemm)) << gemm.n << " x " << gemm.k;
    }
    Attention attention{Precision::bf16, 1, 2048, 2048, 2, 2, 128, true, false, true};
    EXPECT_TRUE(asked.contains(attention));
    attention.causal = false;
    attention.kv_tokens = 1024;
    EXPECT_TRUE(asked.contains(attention));
    // Norms: 2 passes of 1024 x 2 B over a quarter of 2048 tokens. Rotary positions: Q and K in and
    // out, 2 heads of 128 each, 2 kernels. SwiGLU: 3 widths of 1024.
    EXPECT_TRUE(asked.contains(MemoryTraffic{Bytes{512L * 2 * 2048}, 1}));
    EXPECT_TRUE(asked.contains(MemoryTraffic{Bytes{2048L * 2 * 2 * (256 + 256)}, 2}));
    EXPECT_TRUE(asked.contains(MemoryTraffic{Bytes{2048L * 3 * 2 * 1024}, 1}));
    // A whole tensor of 2048 x 1024 is gathered or scattered; keys and values of 2 heads go round.
    std::set<std::pair<CollectiveOp, std::int64_t>> collectives;
    for (Query const& query : asked) {
        auto const* collective = std::get_if<Collective>(&query);
        if (collective != nullptr) collectives.emplace(collective->op, collective->size.count);
    }
    std::int64_t const tensor = 2048L * 1024 * 2;
    std::set<std::pair<CollectiveOp, std::int64_t>> const wanted{
        {CollectiveOp::all_gather, tensor},
        {CollectiveOp::reduce_scatter, tensor},
        {CollectiveOp::sendrecv, 2048 * 2 * 256 * 2}};
    EXPECT_EQ(collectives, wanted);
}

// The data gradient swaps outputs and inputs; the weight gradient sums over the tokens.
TEST(TurnCost, AsksForBothGradientsOfEachGemm) {
    Bench const bench(4, 2);
    auto const asked = bench.queries(false);
    EXPECT_TRUE(asked.contains(Gemm{Precision::bf16, 2048, 1024, 768}));
    EXPECT_TRUE(asked.contains(Gemm{Precision::bf16, 768, 1024, 2048}));
    EXPECT_TRUE(
        asked.contains(Attention{Precision::bf16, 1, 2048, 2048, 2, 2, 128, true, true, true}));
    EXPECT_TRUE(asked.contains(MemoryTraffic{Bytes{512L * 3 * 2048}, 1})) << "norm: 3 passes";
}

// The head's GEMM keeps its precision: the output layer stays BF16 where blocks run FP8.
TEST(TurnCost, RunsTheHeadInItsOwnPrecision) {
    Bench bench(1, 1);
    bench.precision.linear = Precision::fp8;
    bench.chunk = {{1}, false, true};
    for (Query const& query : bench.queries(true)) {
        auto const* gemm = std::get_if<Gemm>(&query);
        if (gemm == nullptr) continue;
        bool const head = gemm->n == 4096 && gemm->k == 1024;
        EXPECT_EQ(gemm->precision, head ? Precision::bf16 : Precision::fp8) << gemm->n;
    }
}

// FP8 with 6 B of traffic an element. Forward quantises the inputs of the 4 linear layers (widths
// 1024, 1024, 1024, 4096), backward the gradients of their outputs (3072, 1024, 8192, 1024): 4
// kernels of 100 ns more each way. The head stays BF16 and quantises nothing.
TEST(TurnCost, QuantisesInputsForwardAndGradientsBackward) {
    Bench bench(1, 1);
    bench.precision.linear = Precision::fp8;
    bench.precision.quantise_bytes = 6;
    EXPECT_EQ(bench.turn(true).compute.time, 5100_ns + 400_ns);
    EXPECT_EQ(bench.turn(false).compute.time, 9100_ns + 400_ns);
    auto const asks = [&](bool forward, std::int64_t width) {
        return bench.queries(forward).contains(MemoryTraffic{Bytes{4096 * width * 6}, 1});
    };
    for (std::int64_t const width : {1024, 4096}) EXPECT_TRUE(asks(true, width)) << width;
    for (std::int64_t const width : {1024, 3072, 8192}) EXPECT_TRUE(asks(false, width)) << width;
    bench.chunk = {{1}, false, true};
    EXPECT_EQ(bench.turn(false).compute.time, 9100_ns + 400_ns + 2200_ns);
}

// Each of 4 ranks quantises its quarter before it is gathered: 4096 tokens x 8192 / 4 x 6 B.
TEST(TurnCost, QuantisesOnlyItsOwnPartOfAGradient) {
    Bench bench(4, 1);
    bench.precision.linear = Precision::fp8;
    bench.precision.quantise_bytes = 6;
    EXPECT_TRUE(bench.queries(false).contains(MemoryTraffic{Bytes{4096L * 8192 / 4 * 6}, 1}));
}

// Whatever the times, hiding never waits longer, and the same bytes cross the links.
TEST(TurnCost, OverlapNeverWaitsLongerAndMovesTheSameBytes) {
    for (std::int64_t ns = 10; ns < 1'000'000; ns *= 3) {
        Bench bench(4, 2);
        for (auto& [op, time] : bench.prices.collective) time = Picoseconds{1000 * ns};
        for (bool const forward : {true, false}) {
            bench.overlap(false);
            TurnCost const shown = bench.turn(forward);
            bench.overlap(true);
            TurnCost const hidden = bench.turn(forward);
            for (auto const dimension : {ParallelDimension::tp, ParallelDimension::cp}) {
                EXPECT_LE(waited(hidden, dimension), waited(shown, dimension)) << ns << " ns";
            }
            EXPECT_GT(all_load(shown).nvlink, 0);
            EXPECT_NEAR(all_load(hidden).nvlink, all_load(shown).nvlink,
                        1e-9 * all_load(shown).nvlink);
            EXPECT_EQ(hidden.compute.time, shown.compute.time) << "tp_sms is 0";
        }
    }
}

// As above with 600 ns: hidden are 2 x 600 (gathers) and 2 x 450 (scatters). On 33 of 132 SMs their
// GEMMs lose a quarter of that time: 525 ns. Backward hides 4 x 600 and 2 x 600: 900 ns.
TEST(TurnCost, HiddenCollectivesTakeTheirSmsFromTheGemm) {
    Bench bench(4, 1);
    ASSERT_EQ(bench.profile.sms, 132);
    bench.overlap(true);
    bench.recipe.overlap.tp_sms = 33;
    bench.prices.collective[CollectiveOp::all_gather] = 600_ns;
    bench.prices.collective[CollectiveOp::reduce_scatter] = 600_ns;
    EXPECT_EQ(bench.turn(true).compute.time, 5100_ns + 525_ns);
    EXPECT_EQ(bench.turn(false).compute.time, 9100_ns + 900_ns);
    bench.overlap(false);
    EXPECT_EQ(bench.turn(true).compute.time, 5100_ns) << "nothing is hidden";
}

// The layer's forward runs again, with its communication; the model's ends do not.
TEST(TurnCost, RecomputeAddsExactlyTheLayersForward) {
    Bench bench(4, 2);
    bench.chunk = {{3}, true, true};
    TurnCost const plain = bench.turn(false);
    bench.chunk = {{3}, false, false};
    TurnCost const layers = bench.turn(true);
    bench.chunk = {{3}, true, true};
    bench.recipe.full_recompute = true;
    TurnCost const again = bench.turn(false);
    EXPECT_EQ(again.compute.time, plain.compute.time + layers.compute.time);
    for (auto const dimension : {ParallelDimension::tp, ParallelDimension::cp}) {
        EXPECT_EQ(waited(again, dimension), waited(plain, dimension) + waited(layers, dimension));
    }
    EXPECT_EQ(bench.turn(true).compute.time, layers.compute.time + 1300_ns) << "forward as before";
}

TEST(TurnCost, WithoutParallelismWaitsForNothing) {
    Bench const bench(1, 1);
    for (bool const forward : {true, false}) {
        TurnCost const cost = bench.turn(forward);
        for (auto const& communication : cost.communication) {
            EXPECT_EQ(communication.exposed.time, 0_ps);
        }
        EXPECT_EQ(all_load(cost).nvlink, 0);
        EXPECT_EQ(all_load(cost).nic, 0);
    }
}

// Ring attention over 4 ranks: the own block and 3 others (500 ns each), 3 exchanges of 17 us.
// Hidden, each exchange outlasts its block by 16.5 us.
TEST(TurnCost, RingAttentionExchangesKeysOnceForEveryOtherRank) {
    Bench bench(1, 4);
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::cp), 51_us);
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::tp), 0_ps);
    EXPECT_EQ(bench.turn(true).compute.time, 5100_ns + 3 * 500_ns);
    bench.overlap(true);
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::cp), 3 * 16'500_ns);
    bench.prices.collective[CollectiveOp::sendrecv] = 500_ns;
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::cp), 0_ps);
}

// 2 x kv heads x 128 x 2 B of 1024 tokens, 3 times; backward also the gradients: twice the bytes.
TEST(TurnCost, RingAttentionMovesKeysAndValues) {
    Bench const bench(1, 4);
    double const once = 2.0 * 8 * 128 * 2 * 1024;
    EXPECT_DOUBLE_EQ(all_load(bench.turn(true)).nvlink, 3 * once);
    EXPECT_DOUBLE_EQ(all_load(bench.turn(false)).nvlink, 6 * once);
}

// As WithOverlapWaitsForTheStepsThatOutlastTheirGemm, but at least 40 % of each shows: 240 ns of
// 600, 480 of 1200. Of 2400, gathers wait 3 x (800 - 250) and scatters 600 + 3 x (600 - 250), more.
TEST(TurnCost, AShareOfATensorParallelCollectiveAlwaysShows) {
    Bench bench(4, 1);
    bench.overlap(true);
    bench.recipe.overlap.tp_hidden = 0.6;
    auto const wait = [&](Picoseconds each, bool forward) {
        bench.prices.collective[CollectiveOp::all_gather] = each;
        bench.prices.collective[CollectiveOp::reduce_scatter] = each;
        return waited(bench.turn(forward), ParallelDimension::tp);
    };
    EXPECT_EQ(wait(600_ns, true), 4 * 240_ns);
    EXPECT_EQ(wait(600_ns, false), 6 * 240_ns);
    EXPECT_EQ(wait(1200_ns, true), 4 * 480_ns);
    EXPECT_EQ(wait(1200_ns, false), 6 * 480_ns);
    EXPECT_EQ(wait(2400_ns, true), 4 * 1650_ns);
}

// A window of 1024 over 2 sequences of 4096 is 8 blocks of 1024 queries over 1024 keys, every query
// over as many keys as it sees: no mask.
TEST(TurnCost, WindowedAttentionAsksForItsWindows) {
    Bench bench(1, 1);
    bench.model.window = 1024;
    bench.shape.micro_batch = 2;
    bench.prices.tokens = bench.shape.tokens();
    bench.chunk.layers = {0, 1};
    for (bool const forward : {true, false}) {
        EXPECT_EQ(attentions(bench, forward),
                  (std::set<Attention>{
                      {Precision::bf16, 8, 1024, 1024, 8, 8, 128, false, !forward, true}}));
    }
    bench.model.window = 4096;  // all of the sequence
    Attention const whole{Precision::bf16, 2, 4096, 4096, 8, 8, 128, true, false, true};
    EXPECT_EQ(attentions(bench, true), (std::set<Attention>{whole}));
    bench.chunk.layers = {1, 0};  // a layer without a window
    bench.model.window = 1024;
    EXPECT_EQ(attentions(bench, true), (std::set<Attention>{whole}));
}

// DeepSeek-V3's heads: 128 + 64 for scores, 128 for values; their mean does the same work.
TEST(TurnCost, LatentAttentionAsksForTheMeanOfItsWidths) {
    Bench bench(1, 1);
    bench.model.head_dim = 192;
    bench.model.value_dim = 128;
    bench.model.q_rank = 768;
    bench.model.kv_rank = 512;
    bench.model.rope_dim = 64;
    EXPECT_EQ(
        attentions(bench, true),
        (std::set<Attention>{{Precision::bf16, 1, 4096, 4096, 8, 8, 160, true, false, true}}));
    auto const asked = bench.queries(true);
    for (Gemm const& gemm : {Gemm{Precision::bf16, 4096, 768, 1024},  // q_down
                             {Precision::bf16, 4096, 1536, 768},      // q_up: 8 x 192
                             {Precision::bf16, 4096, 576, 1024},      // kv_down: 512 + 64
                             {Precision::bf16, 4096, 2048, 512},      // kv_up: 8 x (128 + 128)
                             {Precision::bf16, 4096, 1024, 1024}}) {  // projection
        EXPECT_TRUE(asked.contains(gemm)) << gemm.n << " x " << gemm.k;
    }
}

// Six elementwise operators of 100 ns each whatever they move: only what they ask for grows.
TEST(TurnCost, UnfusedElementwiseKernelsMoveMore) {
    Bench bench(1, 1);
    auto const moved = [&] {
        double sum = 0;
        for (Query const& query : bench.queries(true)) {
            if (auto const* traffic = std::get_if<MemoryTraffic>(&query))
                sum += static_cast<double>(traffic->traffic.count);
        }
        return sum;
    };
    double const fused = moved();
    bench.recipe.elementwise_traffic = 2.5;
    EXPECT_NEAR(moved(), 2.5 * fused, 10);
}

}  // namespace nvl72
