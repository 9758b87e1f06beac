#pragma once

#include "sim/cost/cost_book.hpp"
#include "sim/cost/profile.hpp"
#include "sim/model/architecture.hpp"
#include "sim/serving/curve.hpp"
#include "sim/serving/engine.hpp"
#include "sim/serving/layout.hpp"

#include <cstdint>
#include <vector>

namespace nvl72 {

/// A replica complete: all that the cost of its steps follows from.
struct Replica {
    Architecture model;
    ServingPrecision precision;
    ServingLayout layout;
    ServingGroups groups;
    EngineProfile engine;
    Profile profile;
};

/// The prompts of one step: new tokens of all, of the group that has most of them, their attention.
struct PromptWork {
    double tokens = 0;
    double tokens_of_group = 0;
    double ends = 0;       ///< prompts whose last token is among them
    double attention = 0;  ///< seconds, of `StepCost::prompt_attention`
};

/// Seconds of one step of a replica, as a closed sum of queries to the calibration by the number of
/// running sequences, their cached tokens and the new tokens of prompts. Each is asked for once at
/// the points of a grid.
class StepCost {
public:
    explicit StepCost(Replica replica);
    StepCost(StepCost const&) = delete;
    StepCost& operator=(StepCost const&) = delete;
    StepCost(StepCost&&) = delete;
    StepCost& operator=(StepCost&&) = delete;
    ~StepCost() = default;

    /// One step of `sequences` over `kv_tokens` each, on average; no prompt in it.
    double decode(double sequences, double kv_tokens);
    /// The same with prompts.
    double mixed(double sequences, double kv_tokens, PromptWork const& prompts);
    /// Attention of `tokens` new tokens of one prompt over `past` and themselves, all layers.
    double prompt_attention(double tokens, double past);

    /// Tokens that a running sequence gains in a step.
    [[nodiscard]] double gain() const { return 1 + replica_.engine.speculation.accepted; }
    [[nodiscard]] Replica const& replica() const { return replica_; }
    /// What the prices so far stand on.
    [[nodiscard]] std::vector<BasisShare> const& shares() const { return shares_; }

private:
    struct Pricer;

    double kernels(double sequences, double kv_tokens, PromptWork const& prompts);
    [[nodiscard]] double fixed() const;
    [[nodiscard]] double with_host(double gpu, double sequences) const;
    double noted(PricedCost const& priced);

    Replica replica_;
    std::vector<BasisShare> shares_;
    double layers_ = 0, expert_layers_ = 0, all_reduces_ = 0;
    Curve dense_, experts_, head_, hop_;
    Surface generation_, prompt_attention_;
};

}  // namespace nvl72
