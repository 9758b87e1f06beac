#pragma once

#include "sim/collective/collective.hpp"
#include "sim/cost/cost_book.hpp"
#include "sim/graph/task_graph.hpp"
#include "sim/model/architecture.hpp"
#include "sim/parallel/layout.hpp"
#include "sim/training/recipe.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// What one chunk of the model holds on a pipeline stage.
struct ChunkContent {
    LayerCounts layers{};
    bool embedding = false;
    bool head = false;
    int mtp = 0;  ///< multi-token prediction modules
    friend auto operator<=>(ChunkContent const&, ChunkContent const&) = default;
};

/// Tasks of a turn: one for all its kernels, or one for each operator.
enum class Grain : std::uint8_t { block, by_operator };
template <>
struct EnumNames<Grain> {
    static constexpr std::array words{"block", "operator"};
};

/// How the job is cut, as far as one turn of one stage feels it.
struct TurnShape {
    int tp = 1;
    int cp = 1;
    int ep = 1;
    int expert_tp = 1;
    bool sequence_parallel = true;
    CpExchange cp_comm_type = CpExchange::p2p;
    std::int64_t micro_batch = 1;  ///< sequences
    std::int64_t sequence = 1;     ///< tokens of one sequence, before context parallelism
    GroupShape tp_group;           ///< the stage's slowest tensor-parallel group
    GroupShape cp_group;
    GroupShape ep_group;
    GroupShape fsdp_group;  ///< one rank: weights are not sharded
    Grain grain = Grain::block;

    /// Tokens of one micro-batch on one context-parallel rank.
    [[nodiscard]] std::int64_t tokens() const { return micro_batch * sequence / cp; }
};

/// Communication of one parallel dimension in a turn: what runs under the kernels, and what is
/// waited for after them.
struct TurnCommunication {
    Picoseconds hidden;
    LinkLoad hidden_load;
    PricedCost exposed;
    LinkLoad exposed_load;
};

/// The cost of one turn: kernels on the compute stream, and the communication around them.
struct TurnCost {
    PricedCost compute;
    std::int64_t kernels = 0;                                   ///< launched
    std::vector<std::pair<std::string, PricedCost>> operators;  ///< the same by operator, in order
    std::array<TurnCommunication, parallel_dimensions> communication;
};

/// Which gradients a backward turn makes: all, or those of one half of a backward cut in two.
enum class Gradients : std::uint8_t { all, inputs, weights };

/// Prices turns of one job. With overlap, a collective that is pipelined with its GEMM in ring
/// steps is waited for only where a step outlasts the GEMM's share of it.
class TurnPricer {
public:
    TurnPricer(Architecture const& model,
               PrecisionPolicy const& precision,
               Recipe const& recipe,
               Profile const& profile,
               CostBook& book)
        : model_(model), precision_(precision), recipe_(recipe), profile_(profile), book_(book) {}

    [[nodiscard]] TurnCost forward(ChunkContent const& chunk, TurnShape const& shape) const;
    [[nodiscard]] TurnCost backward(ChunkContent const& chunk,
                                    TurnShape const& shape,
                                    Gradients gradients = Gradients::all) const;

    /// A forward beside a backward of another micro-batch: the expert exchanges of each have the
    /// other's compute to hide under.
    [[nodiscard]] static TurnCost overlapped(TurnCost const& forward, TurnCost const& backward);

private:
    struct Pass;

    Architecture const& model_;
    PrecisionPolicy const& precision_;
    Recipe const& recipe_;
    Profile const& profile_;
    CostBook& book_;
};

}  // namespace nvl72
