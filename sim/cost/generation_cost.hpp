#pragma once

#include "sim/config/fields.hpp"
#include "sim/cost/section.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// Constants of one generation kernel.
struct GenerationKernel {
    Place place;
    Seconds launch;           ///< of all kernels of one call
    Seconds block;            ///< start and end of a thread block
    Seconds head;             ///< and what it costs more for each query head it serves
    FlopsPerSecond rate;      ///< arithmetic of all SMs
    BytesPerSecond hbm;       ///< reached by reading the cache
    double overlap_norm = 2;  ///< p of the norm over blocks, arithmetic, memory and longest block
    Seconds token;            ///< of the longest block, for each cached token
    Seconds merge;            ///< of the parts of a sequence, one after the other
    double split_tokens = 1;  ///< least cached tokens of one part
    double waves = 1;         ///< blocks to an SM that a cut into parts aims at
};

/// Generation over a cache of one precision.
struct GenerationRow {
    Place place;
    double kv_bytes = 0;  ///< of one cached element
    /// Blocks to an SM from which the grouped kernel is taken; below, the one per head.
    double grouped_from = 0;
    std::optional<GenerationKernel> grouped;   ///< query heads of a KV head share its reads
    std::optional<GenerationKernel> per_head;  ///< each query head reads for itself
};

/// Generation (decode) attention of one GPU: one new token a sequence, over its cache.
struct GenerationSection {
    Place place;
    int heads_min = 1, heads_max = 1;  ///< query heads to a KV head that the grouped kernel takes
    section::Grid batch, kv_tokens, heads, kv_heads, head_dim;
    section::Grid tokens;  ///< measured batch x cached tokens
    std::vector<std::pair<std::string, GenerationRow>> precisions;
    std::string scaled;  ///< "" or what it was scaled from
};

std::vector<Field<GenerationKernel>> const& fields_of(GenerationKernel const*);
std::vector<Field<GenerationRow>> const& fields_of(GenerationRow const*);
std::vector<Field<GenerationSection>> const& fields_of(GenerationSection const*);
void check(GenerationSection const& section);

/// What a GPU gives a generation kernel. `l2` is 0 where other layers' work runs in between, as
/// then nothing of a cache stays resident from one call to the next.
struct GenerationGpu {
    int sms = 1;
    double l2 = 0;  ///< bytes
};

/// True for one new token a sequence, or the few of speculative decoding, over cached ones.
bool is_generation(Attention const& attention);

/// True where the grouped kernel is taken: the group fits it and there are enough blocks of at
/// least 128 cached tokens (TensorRT-LLM's rule).
bool takes_grouped(GenerationSection const& section,
                   GenerationRow const& row,
                   int sms,
                   Attention const& attention);

/// launch + (blocks^p + arithmetic^p + memory^p + longest^p)^(1/p), of batch x (KV) heads cut into
/// s parts of the cache each so that `waves` blocks come to an SM:
///   blocks      start and end of all, over the SMs
///   arithmetic  4 FLOP an element of a query head and a cached token
///   memory      keys and values that L2 does not hold: all up to half of it, none from all of it
///   longest     one block, its tokens one after another, and the merge of s parts
section::Time generation_time(GenerationKernel const& kernel,
                              bool grouped,
                              double kv_bytes,
                              GenerationGpu gpu,
                              Attention const& attention,
                              double slowdown = 1);

/// Throws ConfigError for a precision, or a kernel of it, that the profile lacks.
Cost generation_cost(GenerationSection const& section,
                     Attention const& attention,
                     GenerationGpu gpu,
                     double slowdown);

}  // namespace nvl72
