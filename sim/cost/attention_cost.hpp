#pragma once

#include "sim/config/fields.hpp"
#include "sim/cost/section.hpp"

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
    Seconds launch;
    BytesPerSecond query_io;
};

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
