#pragma once

#include "sim/config/fields.hpp"
#include "sim/cost/section.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// What one precision's context (prefill and training) attention has of its own.
struct AttentionRow {
    Place place;
    Seconds launch;
    FlopsPerSecond peak;      ///< of all SMs over full 128 x 128 blocks
    Seconds cta;              ///< start and end of one block of 128 queries
    double tail = 0;          ///< how much of the longest block the others wait for
    BytesPerSecond query_io;  ///< queries in, outputs out (BF16)
    BytesPerSecond kv_io;     ///< keys and values in, and appended to the cache
    double kv_bytes = 0;      ///< of one cached element
};

/// Context attention over a cache of another precision: the kernel of `like`, with a launch and
/// queries and outputs of its own.
struct MixedAttention {
    Place place;
    std::string like;
    std::optional<std::string>
        multi_query;  ///< whose kernel one key and value head runs, if not like's
    Seconds launch;
    BytesPerSecond query_io;
};

/// The precision whose kernel `attention` runs over the cache of `mixed`.
std::string const& kernel_of(MixedAttention const& mixed, Attention const& attention);

/// Its own launch and queries, on the kernel of `row`.
AttentionRow on_kernel(AttentionRow row, MixedAttention const& mixed);

/// "bf16", or "bf16_over_fp8" where the cache has another precision.
std::string attention_name(Attention const& attention);

/// Context attention of one GPU, fitted to kernel tables of causal attention.
struct AttentionSection {
    Place place;
    double backward = 0;  ///< times the forward's work
    section::Grid batch, query_tokens, heads, kv_heads, head_dim;
    section::Grid tokens;  ///< measured batch x query tokens
    std::vector<std::pair<std::string, AttentionRow>> precisions;
    std::vector<std::pair<std::string, MixedAttention>> mixed;
    std::string scaled;  ///< "" or what it was scaled from
};

std::vector<Field<AttentionRow>> const& fields_of(AttentionRow const*);
std::vector<Field<MixedAttention>> const& fields_of(MixedAttention const*);
std::vector<Field<AttentionSection>> const& fields_of(AttentionSection const*);
void check(AttentionSection const& section);

/// Below these FLOPs launch and the ends of blocks decide how sure a time is (context attention).
inline constexpr double attention_short_below = 3e10;

/// Of the forward pass over the scores that causal attention needs.
double attention_flops(Attention const& attention);

/// Forward time on `sms` multiprocessors: 128 x 128 blocks of scores, those above the causal
/// diagonal skipped, spread over the SMs, no earlier than the longest row of blocks; then its IO.
section::Time attention_time(AttentionRow const& row,
                             int sms,
                             Attention const& attention,
                             double slowdown = 1);

/// Throws ConfigError for a precision the profile has no attention of.
Cost attention_cost(AttentionSection const& section,
                    Attention const& attention,
                    int sms,
                    double slowdown);

}  // namespace nvl72
