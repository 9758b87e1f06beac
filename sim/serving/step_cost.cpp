#include "sim/serving/step_cost.hpp"

#include "sim/base/error.hpp"
#include "sim/collective/collective.hpp"
#include "sim/model/operators.hpp"
#include "sim/serving/experts.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace nvl72 {

namespace {

constexpr double activation_bytes = 2;  // BF16 between kernels

/// Kernel times of serving are those of hours, not of a benchmark's moment.
constexpr Load load = Load::sustained;

/// `factor` times its work and `launch` times its launch.
Cost stretched(Cost cost, double factor, double launch) {
    double const work = to_seconds(cost.bandwidth_part) * factor;
    double const start = to_seconds(cost.time - cost.bandwidth_part) * launch;
    cost.time = from_seconds(work + start);
    cost.bandwidth_part = from_seconds(work);
    return cost;
}

/// With the precisions that this model's layers have, and the engine's tile heights beside those
/// that a precision's table saw.
Replica prepared(Replica replica) {
    auto& precision = replica.precision;
    if (replica.model.experts > 0 && precision.beside_experts) {
        precision.linear = *precision.beside_experts;
    }
    for (auto& [name, row] : replica.profile.gemm->precisions) {
        for (int const height : replica.engine.kernels.tile_rows) {
            if (std::ranges::find(row.tile_rows, height) == row.tile_rows.end()) {
                row.tile_rows.push_back(height);
            }
        }
    }
    return replica;
}

bool has_gemm(Profile const& profile, Precision precision) {
    auto const name = name_of(precision);
    auto const& gemm = *profile.gemm;
    auto const named = [&](auto const& entry) { return entry.first == name; };
    return std::ranges::any_of(gemm.precisions, named) || std::ranges::any_of(gemm.likened, named);
}

}  // namespace

/// Adds up the kernels of one part of a step.
struct StepCost::Pricer {
    Replica const& r;
    PricedCost sum{};

    void add(Query const& query, double factor, std::int64_t count) {
        sum.add(stretched(cost(r.profile, query, load), factor, r.engine.kernels.launch), count);
    }
    /// As it is alone.
    void add_whole(Query const& query, std::int64_t count) {
        sum.add(cost(r.profile, query, load), count);
    }

    /// Weights in a precision that the GPU does not multiply in are widened to BF16 on the way.
    void gemm(Gemm query, double factor, std::int64_t count) {
        if (!has_gemm(r.profile, query.precision)) {
            query.weights = query.precision;
            query.precision = Precision::bf16;
        }
        add(query, factor, count);
    }

    void all_reduce(double tokens, GroupShape const& group, std::int64_t count) {
        collective(CollectiveOp::all_reduce, tokens, group, count);
    }

    /// Of `tokens` rows of the hidden width, which is the full buffer.
    void collective(CollectiveOp op, double tokens, GroupShape const& group, std::int64_t count) {
        if (group.ranks < 2 || count == 0) return;
        Bytes const size{std::max<std::int64_t>(
            group.ranks,
            std::llround(tokens * static_cast<double>(r.model.hidden) * activation_bytes))};
        bool const symmetric = op == CollectiveOp::all_reduce && group.domains == 1 &&
                               r.profile.collectives && r.profile.collectives->symmetric;
        Launch const launch{symmetric ? LaunchMode::symmetric : LaunchMode::threads, 1};
        add_whole(plan_collective(r.profile, op, size, group, 2, {}, launch).query, count);
    }

    void elementwise(double bytes, std::int64_t kernels, std::int64_t count) {
        double const left = bytes * r.engine.kernels.elementwise;
        if (left < 1 || count == 0) return;
        auto query = MemoryTraffic{Bytes{std::llround(left)}, kernels};
        auto priced = cost(r.profile, query, load);
        priced.time = priced.bandwidth_part;  // launches are the engine's, by layer
        if (priced.time.count > 0) sum.add(priced, count);
    }

    /// What one group of attention ranks does with `m` tokens in `count` such layers.
    void dense_layer(LayerKind kind, std::int64_t m, std::int64_t count) {
        int const tp = r.layout.tp;
        bool summed = false;  // a shared network's result is summed with the experts'
        for (auto const& op : layer_operators(r.model, kind)) {
            double const cut = op.split == Split::column ? tp : 1;
            if (op.kind == OperatorKind::permute) summed = true;
            if (op.kind == OperatorKind::elementwise && op.split != Split::routed) {
                elementwise((op.read_bytes_per_token + op.written_bytes_per_token) *
                                static_cast<double>(m) / cut,
                            op.kernels, count);
            }
            if (op.kind != OperatorKind::gemm) continue;
            Precision const precision =
                op.weights_fp8_allowed ? r.precision.linear : Precision::bf16;
            std::int64_t const n = op.split == Split::column ? op.n / tp : op.n;
            std::int64_t const k = op.split == Split::row ? op.k / tp : op.k;
            gemm({precision, m, std::max<std::int64_t>(1, n), std::max<std::int64_t>(1, k),
                  !r.precision.quantised_apart},
                 r.engine.kernels.gemm, count);
            if (op.split == Split::row && !summed) {
                all_reduce(static_cast<double>(m), r.groups.tp, count);
            }
        }
    }

    /// The routed experts of `count` layers for `tokens` tokens of all groups.
    void expert_layer(std::int64_t tokens, std::int64_t count) {
        auto const& layout = r.layout;
        auto const& kernels = r.engine.kernels;
        auto const real = static_cast<double>(tokens);
        double const rows = real * r.model.top_k / layout.expert_ep;
        double const hit =
            std::max(1.0, experts_hit(r.model.experts, r.model.top_k, real, kernels.skew) /
                              layout.expert_ep);
        auto const groups = std::llround(hit);
        auto const each =
            std::max<std::int64_t>(1, std::llround(rows / static_cast<double>(groups)));
        for (auto const& op : layer_operators(r.model, {true, false})) {
            if (op.kind == OperatorKind::experts) {
                std::int64_t const n = op.inner_k ? op.n : op.n / layout.expert_tp;
                std::int64_t const k = op.inner_k ? op.k / layout.expert_tp : op.k;
                gemm({r.precision.experts, each, n, k, true, groups}, kernels.experts, count);
            } else if (op.split == Split::routed) {
                double const width = op.kind == OperatorKind::elementwise ? layout.expert_tp : 1;
                elementwise((op.read_bytes_per_token + op.written_bytes_per_token) * real /
                                (layout.expert_ep * width),
                            op.kernels, count);
            }
        }
        exchange(real, count);
    }

    /// Tokens to the ranks of their experts and back.
    void exchange(double tokens, std::int64_t count) {
        auto const& group = r.groups.stage;
        if (group.ranks < 2) return;
        if (r.layout.attention_dp == 1) return all_reduce(tokens, group, count);
        bool const fused = r.engine.kernels.exchange_fused && r.layout.expert_ep > 1 &&
                           group.domains == 1 && r.profile.moe;
        if (!fused) {
            collective(CollectiveOp::all_gather, tokens, group, count);
            collective(CollectiveOp::reduce_scatter, tokens, group, count);
            return;
        }
        auto const of_rank =
            std::max<std::int64_t>(1, std::llround(tokens / static_cast<double>(group.ranks)));
        for (auto const step : {MoeStep::prepare, MoeStep::dispatch, MoeStep::combine}) {
            add_whole(MoeExchange{step, MoeTransport::two_sided, Precision::bf16, of_rank,
                                  r.model.hidden, r.model.top_k, r.model.experts, group},
                      count);
        }
    }

    void head(std::int64_t tokens) {
        gemm({r.precision.head, tokens, std::max<std::int64_t>(1, r.model.vocab / r.layout.tp),
              r.model.hidden, true},
             r.engine.kernels.gemm, 1);
    }

    /// Attention of `sequences` of one group over `kv_tokens` each, all layers.
    void generation(std::int64_t sequences, std::int64_t kv_tokens) {
        auto const counts = r.model.count_layers(0, r.model.layers);
        int const queries = 1 + r.engine.speculation.drafts;
        for (auto const kind : layer_kinds) {
            auto const count = counts[kind.index()];
            if (count == 0) continue;
            std::int64_t const seen = kind.windowed && r.model.window > 0
                                          ? std::min(kv_tokens, r.model.window)
                                          : kv_tokens;
            if (r.model.latent()) {
                latent_generation(sequences, seen, queries, count);
                continue;
            }
            add(attention(sequences, queries, std::max<std::int64_t>(seen, queries + 1)),
                r.engine.kernels.attention, count);
        }
    }

    [[nodiscard]] Attention attention(std::int64_t batch,
                                      std::int64_t queries,
                                      std::int64_t seen) const {
        auto const& model = r.model;
        int const tp = r.layout.tp;
        Attention query;
        query.precision = r.precision.attention;
        query.batch = batch;
        query.query_tokens = queries;
        query.kv_tokens = seen;
        query.heads = static_cast<int>(model.heads / tp);
        query.kv_heads = static_cast<int>(
            model.latent() ? model.heads / tp : std::max<std::int64_t>(1, model.kv_heads / tp));
        query.head_dim = static_cast<int>((model.head_dim + model.value_width()) / 2);
        if (r.precision.kv != r.precision.attention) {
            // Blocks of a cache in fewer bits are read as FP8 is, the only one with a table.
            query.kv_precision = Precision::fp8;
        }
        return query;
    }

    /// Over a latent, which all heads share: its bytes once, or the products of all heads with it.
    void latent_generation(std::int64_t sequences,
                           std::int64_t seen,
                           int queries,
                           std::int64_t count) {
        auto const& model = r.model;
        auto const tokens = static_cast<double>(sequences * seen);
        double const bytes = tokens * static_cast<double>(model.kv_rank + model.rope_dim) *
                             stored_bytes(r.precision.kv);
        auto priced = cost(r.profile, MemoryTraffic{Bytes{std::llround(bytes)}, 1}, load);
        // Rows of queries against the tokens: as wide as scores and weighted values together.
        std::int64_t const rows = model.heads / r.layout.tp * queries;
        double const flops = 2 * tokens * static_cast<double>(rows) *
                             static_cast<double>(2 * model.kv_rank + model.rope_dim);
        double const rate = arithmetic_rate(r.precision.attention);
        double const arithmetic = flops / rate * r.profile.sustained;
        if (arithmetic > to_seconds(priced.bandwidth_part)) {
            priced.time += from_seconds(arithmetic) - priced.bandwidth_part;
            priced.bandwidth_part = from_seconds(arithmetic);
        }
        priced.basis = {BasisKind::extrapolated, "attention over a latent from memory and GEMMs"};
        sum.add(stretched(priced, r.engine.kernels.attention, r.engine.kernels.launch), count);
    }

    /// Of the GEMMs' main loop.
    [[nodiscard]] double arithmetic_rate(Precision precision) const {
        auto const name = name_of(precision);
        double best = 0;
        for (auto const& [row, gemm] : r.profile.gemm->precisions) {
            if (row == name || best == 0) best = gemm.peak.count;
        }
        return best;
    }

    /// Of one prompt's `tokens` over `past` and themselves.
    void prompt(std::int64_t tokens, std::int64_t past) {
        auto const counts = r.model.count_layers(0, r.model.layers);
        for (auto const kind : layer_kinds) {
            auto const count = counts[kind.index()];
            if (count == 0) continue;
            auto query = attention(1, tokens, tokens + past);
            if (kind.windowed && r.model.window > 0 && tokens + past > r.model.window) {
                // Windows of queries, each over as many keys as a query sees.
                query.batch =
                    std::max<std::int64_t>(1, (tokens + r.model.window - 1) / r.model.window);
                query.query_tokens = std::min(tokens, r.model.window);
                query.kv_tokens = r.model.window;
                query.causal = false;
            }
            // Up to 8 tokens over a cache are what decoding does.
            query.query_tokens = std::max<std::int64_t>(query.query_tokens, 9);
            query.kv_tokens = std::max(query.kv_tokens, query.query_tokens);
            add(query, 1, count);
        }
    }
};

StepCost::StepCost(Replica replica)
    : replica_(prepared(std::move(replica))),
      dense_([this](std::int64_t m) {
          Pricer pricer{replica_};
          auto const counts = replica_.model.count_layers(0, replica_.model.layers);
          for (auto const kind : layer_kinds) {
              if (counts[kind.index()] > 0) pricer.dense_layer(kind, m, counts[kind.index()]);
          }
          return noted(pricer.sum);
      }),
      experts_([this](std::int64_t tokens) {
          Pricer pricer{replica_};
          pricer.expert_layer(tokens, std::llround(expert_layers_));
          return noted(pricer.sum);
      }),
      head_([this](std::int64_t tokens) {
          Pricer pricer{replica_};
          pricer.head(tokens);
          return noted(pricer.sum);
      }),
      hop_([this](std::int64_t m) {
          Pricer pricer{replica_};
          pricer.collective(CollectiveOp::sendrecv, static_cast<double>(m), replica_.groups.next,
                            1);
          return noted(pricer.sum);
      }),
      generation_([this](std::int64_t sequences, std::int64_t kv_tokens) {
          Pricer pricer{replica_};
          pricer.generation(sequences, kv_tokens);
          return noted(pricer.sum);
      }),
      prompt_attention_([this](std::int64_t tokens, std::int64_t past_and_one) {
          Pricer pricer{replica_};
          pricer.prompt(tokens, past_and_one - 1);
          return noted(pricer.sum);
      }) {
    auto const& model = replica_.model;
    auto const counts = model.count_layers(0, model.layers);
    for (auto const kind : layer_kinds) {
        layers_ += counts[kind.index()];
        if (kind.experts) expert_layers_ += counts[kind.index()];
    }
    bool const joined = replica_.layout.attention_dp == 1;
    double const attention = replica_.layout.tp > 1 ? layers_ : 0;
    double const network = replica_.layout.tp > 1 ? layers_ - expert_layers_ : 0;
    double const experts = joined && replica_.layout.tp > 1 ? expert_layers_ : 0;
    all_reduces_ = attention + network + experts;
}

double StepCost::noted(PricedCost const& priced) {
    merge_shares(shares_, priced.shares, 1);
    return to_seconds(priced.time);
}

double StepCost::fixed() const {
    auto const& step = replica_.engine.step;
    return to_seconds(step.step) + layers_ * to_seconds(step.layer) +
           expert_layers_ * to_seconds(step.expert_layer) +
           (replica_.model.latent() ? layers_ * to_seconds(step.latent_layer) : 0) +
           all_reduces_ * to_seconds(step.all_reduce);
}

/// A pipeline works on as many parts of the batch as it has stages: a step is the way of one part
/// through all of them.
double StepCost::kernels(double sequences, double kv_tokens, PromptWork const& prompts) {
    auto const& layout = replica_.layout;
    double const parts = layout.pp;
    double const groups = layout.attention_dp;
    double const queries = 1 + replica_.engine.speculation.drafts;
    double const of_group = std::ceil(sequences / groups) / parts;
    double const m = std::max(1.0, of_group * queries + prompts.tokens_of_group / parts);
    double time = dense_(m);
    if (expert_layers_ > 0) {
        double const rows = (sequences * queries + prompts.tokens) / parts;
        time += experts_(std::max(1.0, rows)) *
                (prompts.tokens > 0 ? replica_.engine.kernels.prompt_experts : 1);
    }
    if (sequences > 0) time += generation_(of_group, kv_tokens);
    time += head_(std::max(1.0, of_group * queries + prompts.ends / parts));
    if (layout.pp > 1) time += (parts - 1) * hop_(m);
    // A draft costs a layer and the head.
    int const drafts = replica_.engine.speculation.drafts;
    if (drafts > 0 && sequences > 0) {
        time +=
            drafts *
            ((dense_(of_group) + (expert_layers_ > 0 ? experts_(sequences / parts) : 0)) / layers_ +
             head_(of_group));
    }
    return time + prompts.attention / parts;
}

/// The host's work for sequences goes on under the GPU's, as far as it does.
double StepCost::with_host(double gpu, double sequences) const {
    auto const& step = replica_.engine.step;
    // Each group of attention ranks has a process of its own for its sequences.
    double const host =
        std::ceil(sequences / replica_.layout.attention_dp) * to_seconds(step.sequence);
    double const p = step.overlap_norm;
    return gpu * std::pow(1 + std::pow(host / gpu, p), 1 / p);
}

double StepCost::decode(double sequences, double kv_tokens) {
    NVL72_EXPECT(sequences > 0, "a decode step has sequences");
    return with_host(kernels(sequences, kv_tokens, {}) + fixed(), sequences);
}

double StepCost::mixed(double sequences, double kv_tokens, PromptWork const& prompts) {
    auto const& step = replica_.engine.step;
    double const gpu = kernels(sequences, kv_tokens, prompts) * replica_.engine.kernels.prompt;
    return with_host(std::max(gpu + fixed(), layers_ * to_seconds(step.eager_layer)),
                     sequences + prompts.ends);
}

double StepCost::prompt_attention(double tokens, double past) {
    return prompt_attention_(tokens, past + 1);
}

}  // namespace nvl72
