#include "sim/training/turn_cost.hpp"

#include "tests/support/turn_bench.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

using namespace literals;

using support::all_load;
using support::Bench;
using support::waited;

TurnCost part(Bench const& bench, Gradients gradients) {
    CostBook book([&](Query const& query) {
        Picoseconds const time = std::visit(bench.prices, query);
        return Cost{time, time, {BasisKind::on_grid, ""}};
    });
    TurnPricer const pricer(bench.model, bench.precision, bench.recipe, bench.profile, book);
    return pricer.backward(bench.chunk, bench.shape, gradients);
}

/// A turn of `compute` that exchanges tokens for `hidden` and `exposed`, 100 bytes of NVLink each.
TurnCost turn(Picoseconds compute, Picoseconds hidden, Picoseconds exposed) {
    TurnCost cost;
    cost.compute = {compute, compute, {}};
    auto& exchange = cost.communication.at(static_cast<std::size_t>(ParallelDimension::ep));
    exchange.hidden = hidden;
    exchange.hidden_load.nvlink = hidden.count > 0 ? 100 : 0;
    exchange.exposed = {exposed, exposed, {}};
    exchange.exposed_load.nvlink = 100;
    return cost;
}

}  // namespace

// Of a backward of 9100 ns, 4 GEMMs of 1000 ns are the weights'.
TEST(SplitBackward, IsTheWholeOneInTwoParts) {
    Bench const bench(1, 1);
    EXPECT_EQ(part(bench, Gradients::weights).compute.time, 4000_ns);
    EXPECT_EQ(part(bench, Gradients::inputs).compute.time, 5100_ns);
    EXPECT_EQ(part(bench, Gradients::all).compute.time, bench.turn(false).compute.time);
}

// Alone with the input's gradient, the two row layers gather and the two column layers scatter;
// these gather their inputs again for the weights' gradients.
TEST(SplitBackward, GathersForTheWeightsWhenTheirTurnComes) {
    Bench const bench(4, 1);
    EXPECT_EQ(waited(part(bench, Gradients::inputs), ParallelDimension::tp), 2 * 7_us + 2 * 11_us);
    EXPECT_EQ(waited(part(bench, Gradients::weights), ParallelDimension::tp), 2 * 7_us);
    double const bytes = all_load(part(bench, Gradients::all)).nvlink;
    EXPECT_DOUBLE_EQ(all_load(part(bench, Gradients::inputs)).nvlink +
                         all_load(part(bench, Gradients::weights)).nvlink,
                     bytes);
}

TEST(SplitBackward, MakesNoWeightGradientsOfFrozenWeights) {
    Bench bench(1, 1);
    bench.recipe.trains_weights = false;
    EXPECT_EQ(part(bench, Gradients::weights).compute.time, 0_ps);
}

// A forward of 30 ns computes while the backward exchanges for 20 + 40, and that, of 50, while the
// forward exchanges for 45: all of the forward's hides, 30 of the backward's 60 do not.
TEST(OverlappedTurn, HidesExchangesUnderThePartnersCompute) {
    TurnCost const both =
        TurnPricer::overlapped(turn(30_ns, 0_ns, 45_ns), turn(50_ns, 20_ns, 40_ns));
    EXPECT_EQ(both.compute.time, 80_ns);
    EXPECT_EQ(waited(both, ParallelDimension::ep), 30_ns);
    EXPECT_EQ(both.communication.at(static_cast<std::size_t>(ParallelDimension::ep)).hidden,
              45_ns + 20_ns + 10_ns);
    EXPECT_DOUBLE_EQ(all_load(both).nvlink, 300);
}

// Other communication stays as it is.
TEST(OverlappedTurn, WaitsForTensorParallelCollectives) {
    Bench const bench(4, 1);
    TurnCost const both = TurnPricer::overlapped(bench.turn(true), bench.turn(false));
    EXPECT_EQ(waited(both, ParallelDimension::tp), 36_us + 50_us);
}

// Keys and values of all 4 ranks before attention: 7 us; in the backward again, and their gradients
// summed in 11.
TEST(ContextParallelGather, IsWaitedForWhole) {
    Bench bench(1, 4);
    bench.shape.cp_comm_type = CpExchange::all_gather;
    bench.overlap(true);
    EXPECT_EQ(waited(bench.turn(true), ParallelDimension::cp), 7_us);
    EXPECT_EQ(waited(bench.turn(false), ParallelDimension::cp), 18_us);
    Picoseconds const gathered = bench.turn(true).compute.time;
    bench.shape.cp_comm_type = CpExchange::p2p;
    EXPECT_EQ(bench.turn(true).compute.time, gathered) << "attention computes the same pairs";
}

TEST(OperatorsOfATurn, SumToItsKernels) {
    Bench bench(4, 1);
    bench.recipe.kernel_launch = 10_us;
    bench.shape.grain = Grain::by_operator;
    for (bool const forward : {true, false}) {
        TurnCost const cost = bench.turn(forward);
        Picoseconds sum;
        for (auto const& [name, piece] : cost.operators) sum += piece.time;
        EXPECT_EQ(sum, cost.compute.time);
        EXPECT_EQ(cost.operators.size(), 4U + 1 + 6 + 1) << "and what the launches add";
    }
}

}  // namespace nvl72
