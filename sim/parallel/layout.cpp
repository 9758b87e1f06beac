#include "sim/parallel/layout.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace nvl72 {

namespace {

/// An optional field that also remembers where it was given.
template <class T>
Field<Layout> kept(std::string const& key,
                   T Layout::* member,
                   std::string fallback,
                   std::string help) {
    Field<Layout> field = optional(key, member, std::move(fallback), std::move(help));
    auto const read = field.read;
    field.read = [read, key](Layout& layout, Value const& value, Trail* trail) {
        read(layout, value, trail);
        layout.places.emplace_back(key, value.place);
    };
    return field;
}

}  // namespace

std::vector<Field<Layout>> const& fields_of(Layout const*) {
    static std::vector<Field<Layout>> const fields{
        kept("tp", &Layout::tp, "1", "tensor parallel GPUs"),
        kept("pp", &Layout::pp, "1", "pipeline stages"),
        kept("cp", &Layout::cp, "1", "context parallel GPUs"),
        kept("vp", &Layout::vp, "1", "model chunks per stage (interleaved 1F1B)"),
        kept("ep", &Layout::ep, "1", "expert parallel GPUs; 1 for dense models"),
        kept("dp", &Layout::dp, "", "data parallel replicas; default: what the GPUs leave"),
        kept("micro_batch", &Layout::micro_batch, "1", "sequences per micro-batch"),
        kept("sequence_parallel", &Layout::sequence_parallel, "true",
             "cut norms and residuals by tokens over tp"),
        kept("embedding_and_loss_as_layers", &Layout::embedding_and_loss_as_layers, "false",
             "deal out the embedding and the loss as one layer each"),
    };
    return fields;
}

Place Layout::place_of(std::string const& key) const {
    for (auto const& [name, given] : places) {
        if (name == key && !given.file.empty()) return given;
    }
    return {place.file, place.line, place.key.empty() ? key : fmt::format("{}.{}", place.key, key)};
}

Chunk const& Parallel::chunk(int stage, int virtual_stage) const {
    return chunks.at(static_cast<std::size_t>(virtual_stage) * static_cast<std::size_t>(pp) +
                     static_cast<std::size_t>(stage));
}

std::vector<Chunk> Parallel::chunks_of(int stage) const {
    std::vector<Chunk> own;
    for (int v = 0; v < vp; ++v) own.push_back(chunk(stage, v));
    return own;
}

namespace {

constexpr std::int64_t degree_max = 100'000;  // products of three stay far inside 64 bits

void check_ranges(Layout const& layout) {
    auto const within = [&](char const* key, std::int64_t value) {
        if (value < 1 || value > degree_max) {
            fail(layout.place_of(key), std::to_string(value),
                 fmt::format("a whole number, 1 to {}", degree_max));
        }
    };
    within("tp", layout.tp);
    within("pp", layout.pp);
    within("cp", layout.cp);
    within("vp", layout.vp);
    within("ep", layout.ep);
    within("micro_batch", layout.micro_batch);
    if (layout.dp && *layout.dp < 1) {
        fail(layout.place_of("dp"), std::to_string(*layout.dp), "a whole number above 0");
    }
}

std::int64_t data_parallel(Layout const& layout, std::int64_t gpus) {
    std::int64_t const model = std::int64_t{layout.tp} * layout.pp * layout.cp;
    std::string const product =
        fmt::format("tp {} x pp {} x cp {}", layout.tp, layout.pp, layout.cp);
    if (gpus % model != 0) {
        char const* key = layout.pp > 1 ? "pp" : layout.tp > 1 ? "tp" : "cp";
        fail(layout.place_of(key), fmt::format("{} = {} GPUs per replica", product, model),
             fmt::format("a divisor of the {} GPUs", gpus));
    }
    if (layout.dp && *layout.dp != gpus / model) {
        fail(layout.place_of("dp"), fmt::format("{} x dp {}", product, *layout.dp),
             fmt::format("{} GPUs in all, which is dp {}", gpus, gpus / model));
    }
    return gpus / model;
}

void check_tensor(Layout const& layout, Architecture const& a) {
    auto const divides = [&](std::int64_t count, char const* what) {
        if (count % layout.tp == 0) return;
        fail(layout.place_of("tp"), fmt::format("tp {}", layout.tp),
             fmt::format("a divisor of {}'s {} {}", a.name, count, what));
    };
    divides(a.heads, "heads");
    divides(a.ffn, "ffn width");
    // Fewer key-value heads than ranks: each is copied to tp / kv_heads of them.
    bool const copied = layout.tp > a.kv_heads && layout.tp % a.kv_heads == 0;
    if (!copied) divides(a.kv_heads, "key-value heads, or a multiple of them");
    if (layout.ep != 1) {
        fail(layout.place_of("ep"), fmt::format("ep {}", layout.ep),
             fmt::format("1: {} has no experts", a.name));
    }
}

void check_sequence(Layout const& layout, Architecture const& a, std::int64_t sequence) {
    // As Megatron refuses it. A model made by hand may leave its positions open (0).
    if (a.max_sequence > 0 && sequence > a.max_sequence) {
        fail(a.place,
             fmt::format("{} positions for sequences of {} tokens", a.max_sequence, sequence),
             fmt::format("a sequence_length of at most {}, or a copy of this model with more "
                         "max_position_embeddings",
                         a.max_sequence));
    }
    // Context parallel ranks take one block from each end of the sequence, to balance the mask.
    if (layout.cp > 1 && sequence % (2 * std::int64_t{layout.cp}) != 0) {
        fail(layout.place_of("cp"), fmt::format("cp {}", layout.cp),
             fmt::format("2 x cp to divide the sequence of {} tokens", sequence));
    }
    if (layout.sequence_parallel && (sequence / layout.cp) % layout.tp != 0) {
        fail(layout.place_of("tp"), fmt::format("tp {}", layout.tp),
             fmt::format("a divisor of the {} tokens of a context parallel rank, or "
                         "sequence_parallel: false",
                         sequence / layout.cp));
    }
}

std::int64_t micro_batches_of(Layout const& layout, std::int64_t dp, std::int64_t global_batch) {
    if (global_batch % dp != 0 || (global_batch / dp) % layout.micro_batch != 0) {
        fail(layout.place_of("micro_batch"),
             fmt::format("dp {} x micro_batch {}", dp, layout.micro_batch),
             fmt::format("a divisor of the global batch of {}", global_batch));
    }
    std::int64_t const count = global_batch / dp / layout.micro_batch;
    if (layout.vp > 1 && layout.pp == 1) {
        fail(layout.place_of("vp"), fmt::format("vp {} with one stage", layout.vp),
             "vp 1, or pp above 1");
    }
    if (layout.vp > 1 && count % layout.pp != 0) {
        fail(layout.place_of("vp"), fmt::format("{} micro-batches", count),
             fmt::format("a multiple of pp {} when vp is above 1 (interleaved 1F1B)", layout.pp));
    }
    return count;
}

std::string divisors_text(std::int64_t number) {
    std::vector<std::string> divisors;
    for (std::int64_t d = 1; d <= number; ++d) {
        if (number % d == 0) divisors.push_back(std::to_string(d));
    }
    return join(divisors);
}

/// Deals layers out in equal runs; embedding and loss take a place each when they count as layers.
std::vector<Chunk> deal_layers(Layout const& layout, int layers) {
    std::int64_t const count = std::int64_t{layout.pp} * layout.vp;
    int const extra = layout.embedding_and_loss_as_layers ? 2 : 0;
    if ((layers + extra) % count != 0) {
        std::string remedy = fmt::format("pp x vp among {}", divisors_text(layers + extra));
        if (extra == 0 && (layers + 2) % count == 0) {
            remedy += "; or embedding_and_loss_as_layers: true";
        } else if (extra > 0 && layers % count == 0) {
            remedy += "; or embedding_and_loss_as_layers: false";
        }
        fail(layout.place_of(layout.vp > 1 ? "vp" : "pp"),
             fmt::format("{} layers{} over pp {} x vp {} = {} chunks", layers,
                         extra > 0 ? " + embedding + loss" : "", layout.pp, layout.vp, count),
             remedy);
    }
    int const each = static_cast<int>((layers + extra) / count);
    std::vector<Chunk> chunks;
    int next = 0;
    for (std::int64_t c = 0; c < count; ++c) {
        Chunk chunk{next, each, c == 0, c == count - 1};
        if (extra > 0) chunk.layers -= (chunk.has_embedding ? 1 : 0) + (chunk.has_head ? 1 : 0);
        next += chunk.layers;
        chunks.push_back(chunk);
    }
    NVL72_EXPECT(next == layers, "chunks cover every layer once");
    return chunks;
}

}  // namespace

Parallel check_layout(Layout const& layout,
                      std::int64_t gpus,
                      Architecture const& architecture,
                      std::int64_t global_batch,
                      std::int64_t sequence) {
    NVL72_EXPECT(gpus > 0 && global_batch > 0 && sequence > 0,
                 "a job has GPUs, a batch and tokens");
    check_ranges(layout);
    std::int64_t const dp = data_parallel(layout, gpus);
    check_tensor(layout, architecture);
    check_sequence(layout, architecture, sequence);

    Parallel parallel;
    parallel.gpus = gpus;
    parallel.tp = layout.tp;
    parallel.pp = layout.pp;
    parallel.cp = layout.cp;
    parallel.vp = layout.vp;
    parallel.dp = dp;
    parallel.micro_batch = layout.micro_batch;
    parallel.micro_batches = micro_batches_of(layout, dp, global_batch);
    parallel.global_batch = global_batch;
    parallel.sequence = sequence;
    parallel.padded_vocab = (architecture.vocab + layout.tp - 1) / layout.tp * layout.tp;
    parallel.sequence_parallel = layout.sequence_parallel && layout.tp > 1;
    parallel.chunks = deal_layers(layout, architecture.layers);
    return parallel;
}

Architecture divisible_architecture(Architecture const& architecture, Parallel const& parallel) {
    Architecture divisible = architecture;
    divisible.vocab = parallel.padded_vocab;
    divisible.kv_heads = std::max<std::int64_t>(architecture.kv_heads, parallel.tp);
    return divisible;
}

}  // namespace nvl72
