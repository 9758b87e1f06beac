#pragma once

#include "sim/cost/profile.hpp"
#include "sim/model/closed_form.hpp"
#include "sim/model/operators.hpp"
#include "sim/training/turn_cost.hpp"

#include <string_view>
#include <vector>

namespace nvl72 {

/// One direction of one turn, while it is being added up. For turn_*.cpp alone.
struct TurnPricer::Pass {
    /// A collective alone, and what one GPU sends for it.
    struct Planned {
        Cost cost;
        LinkLoad load;
    };

    TurnPricer const& pricer;
    TurnShape const& shape;
    Gradients gradients = Gradients::all;  ///< of a backward
    TurnCost cost{};
    std::int64_t kernels = 0;            ///< launched
    std::vector<Planned> exchanges{};    ///< of this layer's experts
    std::vector<Planned> shard_moves{};  ///< of this layer's weights and gradients (FSDP)
    PricedCost piece{};                  ///< of the operator at work
    Picoseconds shared_cover{0};         ///< compute of the shared expert, to hide exchanges under

    // turn_cost.cpp: a chunk, layer by layer.
    void operators(std::vector<Operator> list, bool back);
    void layers(ChunkContent const& chunk, bool back);
    /// Multi-token prediction: a layer and its ends each, which full recomputation leaves alone.
    void modules(ChunkContent const& chunk, bool back);
    /// The host launches kernels one by one where no graph does: no pass is faster than that.
    TurnCost done();

    /// One transformer layer, forward or backward.
    void layer(std::vector<Operator> const& operators,
               LayerParameters const& held,
               bool back,
               bool full_recompute);
    /// One operator, which is a shared expert's where `shared`.
    void run(Operator const& op, bool back, bool shared);
    void forward(Operator const& op);
    void backward(Operator const& op);
    /// What is left of an operator's backward when its input has its gradient. A column layer
    /// gathers its input again for it.
    void weight_gradient(Operator const& op);
    /// What was added since the last one is this operator's. It is named whether or not it takes
    /// time, so that other prices find the same operators.
    void name_piece(std::string_view name);
    /// Moves a layer's weights or gradients over the ranks that shard them.
    void move_shards(CollectiveOp op, std::int64_t parameters, double bytes_each);
    /// What a layer leaves to hide under its own compute, which took `compute_time`; without
    /// another micro-batch's, exchanges have what the shared expert took.
    void end_layer(Picoseconds compute_time);
    /// Waits for what of `moves` outlasts `cover`, which they use up.
    void hide(ParallelDimension dimension, std::vector<Planned>& moves, Picoseconds& cover);

    // turn_kernels.cpp: kernels and the collectives pipelined with them.
    Picoseconds compute(Query const& query, std::int64_t count = 1);
    void add_compute(Cost const& more, std::int64_t count = 1);
    [[nodiscard]] bool quantised(Operator const& op) const;
    /// Brings `width` elements per token into the linear layers' precision. Each rank quantises its
    /// own part: a slice of the width, or of the tokens, before they are gathered.
    void quantise(Operator const& op, std::int64_t width);
    void elementwise(Operator const& op, double factor);
    void gemm_forward(Operator const& op);
    void gemm_backward(Operator const& op);
    /// The gradient of a GEMM's input alone: what a column layer scatters has no weight gradient to
    /// hide under, and goes out in pieces as a forward's does.
    void gemm_input_gradient(Operator const& op);
    void gemm_weight_gradient(Operator const& op);
    void attention(Operator const& op, bool backward);
    Planned plan(CollectiveOp op, Bytes size, GroupShape const& group);
    /// A collective that takes `full` alone, `count` times, of which `waited` is not hidden.
    void wait(ParallelDimension dimension,
              Planned const& full,
              Picoseconds waited,
              std::int64_t count);

    // turn_experts.cpp: a layer of experts.
    [[nodiscard]] MoePolicy const& moe() const { return pricer.recipe_.moe; }
    /// Rows of routed experts that one rank gets, over the tokens it brings in.
    [[nodiscard]] double rows_per_token() const;
    /// The forward GEMM of all routed experts of this rank, or its two gradients.
    void experts_forward(Operator const& op);
    void experts_backward(Operator const& op);
    void experts_weight_gradient(Operator const& op);
    /// Rows in token order to expert order, or back.
    void permute();
    /// An NVLink or network exchange of one step of experts.
    void exchange(Operator const& op, MoeStep step);

private:
    Cost const& price(Query const& query) const { return pricer.book_.price(query); }
    Picoseconds gemm(Operator const& op,
                     std::int64_t m,
                     std::int64_t n,
                     std::int64_t k,
                     std::int64_t pieces = 1);
    [[nodiscard]] std::int64_t gather_pieces() const;
    [[nodiscard]] std::int64_t scatter_pieces() const;
    [[nodiscard]] std::int64_t rows(Operator const& op) const;
    [[nodiscard]] Bytes tensor(std::int64_t width, double bytes) const;
    [[nodiscard]] Bytes gathered(Operator const& op, std::int64_t width) const;
    void slow_gemm(Cost const& collective, Picoseconds hidden, std::int64_t count);
    void tp_gather(Bytes size, Picoseconds gemm_time);
    void tp_scatter(std::int64_t width, Picoseconds gemm_time);
    void tp_beside(CollectiveOp op, Bytes size, Picoseconds gemm_time);
    void gather_keys(CollectiveOp op, std::int64_t width);

    [[nodiscard]] double busiest_share() const;
    [[nodiscard]] double routing_tokens() const;
    void grouped_gemm(Operator const& op, std::int64_t n, std::int64_t k, bool weight_gradient);
    void share_rows(Operator const& op, MoeStep step);
    [[nodiscard]] Planned plan_exchange(Operator const& op, MoeStep step);
    void over_network(Planned& planned, double bytes) const;
};

}  // namespace nvl72
