#pragma once

#include "sim/cost/profile.hpp"
#include "sim/training/turn_cost.hpp"
#include "topology/fabric.hpp"

#include <map>
#include <set>
#include <variant>

namespace nvl72::support {

using namespace literals;

/// Prices made up for the hand: every GEMM 1000 ns (one cut into pieces: its share of the tokens),
/// a grouped one 3000, attention 500, elementwise kernels 100.
struct Prices {
    std::int64_t tokens = 4096;
    Picoseconds gemm = 1000_ns, grouped = 3000_ns, attention = 500_ns, elementwise = 100_ns;
    std::map<CollectiveOp, Picoseconds> collective{{CollectiveOp::all_gather, 7000_ns},
                                                   {CollectiveOp::reduce_scatter, 11000_ns},
                                                   {CollectiveOp::all_reduce, 13000_ns},
                                                   {CollectiveOp::sendrecv, 17000_ns},
                                                   {CollectiveOp::alltoall, 19000_ns}};
    std::map<MoeStep, Picoseconds> exchange{{MoeStep::dispatch, 23000_ns},
                                            {MoeStep::combine, 29000_ns}};

    Picoseconds operator()(Gemm const& query) const {
        if (query.groups > 1) return grouped;
        bool const weight_gradient = query.k == tokens;
        return weight_gradient ? gemm : gemm * query.m / tokens;
    }
    Picoseconds operator()(Attention const&) const { return attention; }
    Picoseconds operator()(MemoryTraffic const&) const { return elementwise; }
    Picoseconds operator()(Collective const& query) const { return collective.at(query.op); }
    Picoseconds operator()(MoeExchange const& query) const { return exchange.at(query.step); }
};

/// One layer of a dense model: 4 GEMMs, attention, 6 elementwise operators.
inline Architecture small_model() {
    Architecture model;
    model.layers = 1;
    model.hidden = 1024;
    model.heads = model.kv_heads = 8;
    model.head_dim = 128;
    model.ffn = 4096;
    model.vocab = 4096;
    return model;
}

inline Library library() { return Library(NVL72_SOURCE_DIR "/configs"); }

/// A turn of the small model on H100 boxes.
struct Bench {
    Architecture model = small_model();
    PrecisionPolicy precision;
    Recipe recipe;
    Profile profile = load_profile(library(), "h100");
    Prices prices;
    TurnShape shape;
    ChunkContent chunk{{1}, false, false};

    Bench(int tp, int cp) {
        ClusterChoice choice;
        choice.name = "hgx-h100-superpod";
        choice.gpus = 8;
        Fabric const fabric = build_fabric(choice, library());
        shape.tp = tp;
        shape.cp = cp;
        shape.sequence_parallel = tp > 1;
        shape.sequence = 4096;
        prices.tokens = shape.tokens();
        shape.tp_group = fabric.shape_of(0, 1, tp);
        shape.cp_group = fabric.shape_of(0, tp, cp);
        overlap(false);
    }
    void overlap(bool on) {
        recipe.overlap.tp = recipe.overlap.cp = on;
        recipe.overlap.tp_scatter_pieces = 4;
    }
    [[nodiscard]] TurnCost turn(bool forward) const {
        CostBook book([this](Query const& query) {
            Picoseconds const time = std::visit(prices, query);
            return Cost{time, time, {BasisKind::on_grid, ""}};
        });
        TurnPricer const pricer(model, precision, recipe, profile, book);
        return forward ? pricer.forward(chunk, shape) : pricer.backward(chunk, shape);
    }
    /// Every distinct query of a turn.
    [[nodiscard]] std::set<Query> queries(bool forward) const {
        std::set<Query> asked;
        CostBook book([&](Query const& query) {
            asked.insert(query);
            Picoseconds const time = std::visit(prices, query);
            return Cost{time, time, {BasisKind::on_grid, ""}};
        });
        TurnPricer const pricer(model, precision, recipe, profile, book);
        (void)(forward ? pricer.forward(chunk, shape) : pricer.backward(chunk, shape));
        return asked;
    }
};

inline Picoseconds waited(TurnCost const& cost, ParallelDimension dimension) {
    return cost.communication.at(static_cast<std::size_t>(dimension)).exposed.time;
}

/// Bytes sent under and beside the kernels.
inline LinkLoad all_load(TurnCost const& cost) {
    LinkLoad sum;
    for (auto const& communication : cost.communication) {
        sum += communication.hidden_load;
        sum += communication.exposed_load;
    }
    return sum;
}

}  // namespace nvl72::support
