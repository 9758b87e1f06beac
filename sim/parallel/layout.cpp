#include "sim/parallel/layout.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <cstdint>
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

std::string schedule_words() {
    std::vector<std::string> names;
    for (auto const& row : pipeline_schedules) names.emplace_back(row.name);
    return join(names, " | ");
}

}  // namespace

std::vector<Field<Layout>> const& fields_of(Layout const*) {
    static std::vector<Field<Layout>> const fields{
        kept("tp", &Layout::tp, "1", "tensor parallel GPUs"),
        kept("pp", &Layout::pp, "1", "pipeline stages"),
        kept("cp", &Layout::cp, "1", "context parallel GPUs"),
        kept("vp", &Layout::vp, "1", "model chunks per stage (interleaved 1F1B)"),
        kept("schedule", &Layout::schedule, "",
             "pipeline schedule: " + schedule_words() +
                 "; default: 1f1b, interleaved where vp is above 1"),
        kept("ep", &Layout::ep, "1", "expert parallel GPUs; 1 for dense models"),
        kept("expert_tp", &Layout::expert_tp, "1", "tensor parallel GPUs of routed experts"),
        kept("fsdp", &Layout::fsdp, "1",
             "GPUs that weights, gradients and optimizer are sharded over (ZeRO-3); 1: not"),
        kept("dp", &Layout::dp, "", "data parallel replicas; default: what the GPUs leave"),
        kept("micro_batch", &Layout::micro_batch, "1", "sequences per micro-batch"),
        kept("sequence_parallel", &Layout::sequence_parallel, "true",
             "cut norms and residuals by tokens over tp"),
        kept("embedding_and_loss_as_layers", &Layout::embedding_and_loss_as_layers, "false",
             "deal out the embedding and the loss as one layer each"),
        kept("embedding_stage", &Layout::embedding_stage, "with_layers",
             "separate: a chunk of its own, a virtual stage"),
        kept("loss_stage", &Layout::loss_stage, "with_layers",
             "separate: loss and further tokens' modules have a chunk of their own"),
        kept("cp_comm_type", &Layout::cp_comm_type, "p2p",
             "keys and values around a ring, or all_gather before attention"),
        kept("uneven_layers", &Layout::uneven_layers, "false",
             "where pp x vp does not divide the layers, the last chunks get a layer less"),
        kept("order", &Layout::order, "tp-cp-ep-dp-pp",
             "how ranks are numbered, nearest GPUs first (Megatron's order; its "
             "--use-tp-pp-dp-mapping is tp-cp-ep-pp-dp)"),
    };
    return fields;
}

Place Layout::place_of(std::string const& key) const {
    for (auto const& [name, given] : places) {
        if (name == key && !given.file.empty()) return given;
    }
    return {place.file, place.line, place.key.empty() ? key : fmt::format("{}.{}", place.key, key)};
}

PipelineShape Parallel::pipeline() const {
    NVL72_EXPECT(micro_batches <= INT32_MAX, "micro-batches fit an int");
    return {pp, vp, static_cast<int>(micro_batches)};
}

std::vector<Chunk> Parallel::chunks_of(int stage) const {
    PipelineShape const shape = pipeline();
    std::vector<Chunk> own;
    for (int c = 0; c < schedule->held_chunks(shape); ++c) {
        own.push_back(chunks.at(static_cast<std::size_t>(schedule->model_chunk(shape, stage, c))));
    }
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
    within("fsdp", layout.fsdp);
    if (layout.expert_tp) within("expert_tp", *layout.expert_tp);
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
    if (a.ffn > 0) divides(a.ffn, "ffn width");
    if (a.shared_ffn > 0) divides(a.shared_ffn, "shared ffn width");
    // Fewer key-value heads than ranks: each is copied to tp / kv_heads of them.
    bool const copied = layout.tp > a.kv_heads && layout.tp % a.kv_heads == 0;
    if (!copied) divides(a.kv_heads, "key-value heads, or a multiple of them");
}

void check_experts(Layout const& layout, Architecture const& a, std::int64_t ranks_per_stage) {
    int const expert_tp = layout.expert_tp.value_or(1);
    if (a.experts == 0) {
        char const* key = layout.ep != 1 ? "ep" : "expert_tp";
        int const degree = layout.ep != 1 ? layout.ep : expert_tp;
        if (degree == 1) return;
        fail(layout.place_of(key), fmt::format("{} {}", key, degree),
             fmt::format("1: {} has no experts", a.name));
    }
    if (a.experts % layout.ep != 0) {
        fail(layout.place_of("ep"), fmt::format("ep {}", layout.ep),
             fmt::format("a divisor of {}'s {} experts", a.name, a.experts));
    }
    if (a.expert_ffn % expert_tp != 0) {
        fail(layout.place_of("expert_tp"), fmt::format("expert_tp {}", expert_tp),
             fmt::format("a divisor of {}'s expert width of {}", a.name, a.expert_ffn));
    }
    if (ranks_per_stage % (std::int64_t{layout.ep} * expert_tp) != 0) {
        fail(layout.place_of("ep"), fmt::format("ep {} x expert_tp {}", layout.ep, expert_tp),
             fmt::format("a divisor of the {} GPUs of a stage (tp x cp x dp)", ranks_per_stage));
    }
    if (layout.tp > 1 && !layout.sequence_parallel) {
        fail(layout.place_of("sequence_parallel"), "false with experts and tp above 1",
             "true, as Megatron demands it");
    }
}

/// `expert_ranks` hold the same experts, where there are any.
void check_fsdp(Layout const& layout, std::int64_t data_ranks, std::int64_t expert_ranks) {
    if (layout.fsdp == 1) return;
    if (expert_ranks % std::min(layout.fsdp, expert_ranks) != 0) {
        fail(layout.place_of("fsdp"), fmt::format("fsdp {}", layout.fsdp),
             fmt::format("a divisor of the {} GPUs that hold the same experts, or a multiple of "
                         "them",
                         expert_ranks));
    }
    if (data_ranks % layout.fsdp != 0) {
        fail(layout.place_of("fsdp"), fmt::format("fsdp {}", layout.fsdp),
             fmt::format("a divisor of dp x cp = {}", data_ranks));
    }
    if (layout.pp > 1) {
        fail(layout.place_of("fsdp"), fmt::format("fsdp {} with pp {}", layout.fsdp, layout.pp),
             "pp 1: each micro-batch would gather its stage's weights anew");
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
    if (count > INT32_MAX) {
        fail(layout.place_of("micro_batch"), fmt::format("{} micro-batches", count),
             fmt::format("at most {}", INT32_MAX));
    }
    return count;
}

/// The schedule asked for, or Megatron's, where it can run the pipeline.
PipelineSchedule const& schedule_of(Layout const& layout, PipelineShape const& shape) {
    PipelineSchedule const* asked = &default_schedule(layout.vp);
    if (layout.schedule) {
        asked = find_schedule(*layout.schedule);
        if (asked == nullptr) {
            std::vector<std::string> names;
            for (auto const& row : pipeline_schedules) names.emplace_back(row.name);
            auto const near = nearest_name(*layout.schedule, names);
            fail(layout.place_of("schedule"),
                 fmt::format("'{}'{}", *layout.schedule,
                             near.empty() ? "" : ", did you mean " + near + "?"),
                 schedule_words());
        }
    }
    if (auto const refusal = asked->refusal(shape)) {
        fail(layout.place_of(refusal->key), refusal->found, refusal->expected);
    }
    return *asked;
}

int degree_of(Layout const& layout, Axis axis) {
    switch (axis) {
        case Axis::tp: return std::max(layout.tp, layout.expert_tp.value_or(1));
        case Axis::cp: return layout.cp;
        case Axis::ep: return layout.ep;
        case Axis::dp: return 2;  // is always told
        case Axis::pp: return layout.pp;
    }
    return 1;
}

/// The order as written; axes of one GPU may be left out.
AxisOrder order_of(Layout const& layout) {
    if (!layout.order) return megatron_order;
    auto const refuse = [&](std::string const& found) {
        fail(layout.place_of("order"), found,
             "tp, cp, ep, dp and pp, each once, such as tp-cp-ep-dp-pp");
    };
    std::vector<Axis> axes;
    for (auto const& word : split(*layout.order, '-')) {
        auto const words = ValueType<Axis>::words();
        auto const known = std::ranges::find(words, word);
        if (known == words.end()) refuse("'" + word + "'");
        auto const axis = static_cast<Axis>(known - words.begin());
        if (std::ranges::find(axes, axis) != axes.end()) refuse(word + " twice");
        axes.push_back(axis);
    }
    for (Axis const axis : megatron_order) {
        if (std::ranges::find(axes, axis) != axes.end()) continue;
        if (degree_of(layout, axis) > 1) refuse("no " + name_of(axis));
        axes.push_back(axis);
    }
    auto const at = [&](Axis axis) { return std::ranges::find(axes, axis) - axes.begin(); };
    auto const [first, last] = std::minmax({at(Axis::cp), at(Axis::dp)});
    if (layout.tp > 1 && layout.cp > 1 && first < at(Axis::tp) && at(Axis::tp) < last) {
        refuse(fmt::format("'{}': tp between cp and dp, over which gradients are summed together",
                           *layout.order));
    }
    AxisOrder order{};
    std::ranges::copy(axes, order.begin());
    return order;
}

std::string divisors_text(std::int64_t number) {
    std::vector<std::string> divisors;
    for (std::int64_t d = 1; d <= number; ++d) {
        if (number % d == 0) divisors.push_back(std::to_string(d));
    }
    return join(divisors);
}

/// Places in the deal besides the layers'.
struct Extras {
    int embedding = 0;
    int head = 0;  ///< the loss, and what predicts further tokens
};

void refuse_uneven(Layout const& layout, int layers, int extra, std::int64_t count) {
    std::string remedy = fmt::format("pp x vp among {}", divisors_text(layers + extra));
    if (extra == 0 && (layers + 2) % count == 0) {
        remedy += "; or embedding_and_loss_as_layers: true";
    } else if (extra > 0 && layers % count == 0) {
        remedy += "; or embedding_and_loss_as_layers: false";
    }
    remedy += "; or uneven_layers: true";
    fail(layout.place_of(layout.vp > 1 ? "vp" : "pp"),
         fmt::format("{} layers{} over pp {} x vp {} = {} chunks", layers,
                     extra > 0 ? " + embedding + loss" : "", layout.pp, layout.vp, count),
         remedy);
}

/// What a chunk of its own leaves of the chunks for layers: with it neither is dealt a place.
std::vector<Chunk> deal_apart(Layout const& layout, Architecture const& a) {
    bool const first = layout.embedding_stage == EndStage::separate;
    bool const last = layout.loss_stage == EndStage::separate;
    char const* key = first ? "embedding_stage" : "loss_stage";
    if (layout.embedding_and_loss_as_layers) {
        fail(layout.place_of(key), "separate with embedding_and_loss_as_layers: true",
             "one of the two");
    }
    int const count = layout.pp * layout.vp;
    int const apart = (first ? 1 : 0) + (last ? 1 : 0);
    int const among = count - apart;
    if (among < 1) {
        fail(layout.place_of(key), fmt::format("separate with {} chunks", count),
             fmt::format("pp x vp of {} or more", apart + 1));
    }
    if (a.layers % among != 0 && !layout.uneven_layers) {
        fail(layout.place_of(layout.vp > 1 ? "vp" : "pp"),
             fmt::format("{} layers over pp {} x vp {} = {} chunks, {} of them apart", a.layers,
                         layout.pp, layout.vp, count, apart),
             fmt::format("pp x vp - {} among {}; or uneven_layers: true", apart,
                         divisors_text(a.layers)));
    }
    std::vector<Chunk> chunks;
    int given = 0;
    for (int c = 0; c < count; ++c) {
        int const place = c - (first ? 1 : 0);
        bool const holds = place >= 0 && place < among;
        int const layers = holds ? a.layers / among + (place < a.layers % among ? 1 : 0) : 0;
        chunks.push_back({given, layers, c == 0, c == count - 1});
        given += layers;
    }
    NVL72_EXPECT(given == a.layers, "chunks cover every layer once");
    return chunks;
}

/// Deals layers out in equal runs; embedding and loss take a place each when they count as layers.
/// Uneven: the loss and each module behind the last layer take a place, and the last chunks get one
/// less.
std::vector<Chunk> deal_layers(Layout const& layout, Architecture const& a) {
    bool const apart =
        layout.embedding_stage == EndStage::separate || layout.loss_stage == EndStage::separate;
    if (apart) return deal_apart(layout, a);
    std::int64_t const count = std::int64_t{layout.pp} * layout.vp;
    Extras extras;
    if (layout.embedding_and_loss_as_layers) extras = {1, 1};
    int const extra = extras.embedding + extras.head;
    bool const even = (a.layers + extra) % count == 0;
    if (!even && !layout.uneven_layers) refuse_uneven(layout, a.layers, extra, count);
    if (!even) extras.head = 1 + a.mtp_layers;
    std::int64_t const places = a.layers + extras.embedding + extras.head;
    std::vector<Chunk> chunks;
    int left = a.layers;
    for (std::int64_t c = 0; c < count; ++c) {
        Chunk chunk{a.layers - left, 0, c == 0, c == count - 1};
        std::int64_t share = places / count + (c < places % count ? 1 : 0);
        if (chunk.has_embedding) share -= extras.embedding;
        chunk.layers = static_cast<int>(std::clamp<std::int64_t>(share, 0, left));
        if (chunk.has_head) chunk.layers = left;
        left -= chunk.layers;
        chunks.push_back(chunk);
    }
    NVL72_EXPECT(left == 0, "chunks cover every layer once");
    return chunks;
}

}  // namespace

namespace {

/// The chunks a stage that the schedule needs, where the layout has others, and says so.
Layout with_chunks_of_schedule(Layout layout,
                               Architecture const& architecture,
                               std::vector<std::string>& notes) {
    PipelineSchedule const* asked = layout.schedule ? find_schedule(*layout.schedule) : nullptr;
    if (asked == nullptr || layout.pp < 2) return layout;
    if (asked->one_chunk && layout.vp > 1) {
        notes.push_back(fmt::format("vp 1 in place of {}: schedule {} has one chunk a stage",
                                    layout.vp, *layout.schedule));
        layout.vp = 1;
        bool const even = architecture.layers % layout.pp == 0;
        layout.uneven_layers = layout.uneven_layers || !even;
    }
    bool const told = std::ranges::any_of(layout.places, [](auto const& given) {
        return given.first == "vp" && !given.second.file.empty();
    });
    if (asked->one_chunk || layout.vp > 1 || told) return layout;
    int const extra = layout.embedding_and_loss_as_layers ? 2 : 0;
    for (int vp = 2; vp * layout.pp <= architecture.layers + extra; ++vp) {
        if ((architecture.layers + extra) % (layout.pp * vp) != 0) continue;
        notes.push_back(
            fmt::format("vp {}: schedule {} needs several chunks a stage", vp, *layout.schedule));
        layout.vp = vp;
        break;
    }
    return layout;
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
    Parallel parallel;
    Layout const own = with_chunks_of_schedule(layout, architecture, parallel.notes);
    std::int64_t const dp = data_parallel(own, gpus);
    check_tensor(own, architecture);
    check_experts(own, architecture, gpus / own.pp);
    std::int64_t const expert_dp = gpus / own.pp / own.ep / own.expert_tp.value_or(1);
    check_fsdp(own, dp * own.cp, architecture.experts > 0 ? expert_dp : own.fsdp);
    check_sequence(own, architecture, sequence);

    parallel.gpus = gpus;
    parallel.tp = own.tp;
    parallel.pp = own.pp;
    parallel.cp = own.cp;
    parallel.vp = own.vp;
    parallel.dp = dp;
    parallel.ep = own.ep;
    parallel.expert_tp = own.expert_tp.value_or(1);
    parallel.expert_dp = expert_dp;
    parallel.fsdp = own.fsdp;
    parallel.micro_batch = own.micro_batch;
    parallel.micro_batches = micro_batches_of(own, dp, global_batch);
    parallel.global_batch = global_batch;
    parallel.sequence = sequence;
    parallel.padded_vocab = (architecture.vocab + own.tp - 1) / own.tp * own.tp;
    parallel.sequence_parallel = own.sequence_parallel && own.tp > 1;
    parallel.schedule = &schedule_of(own, parallel.pipeline());
    parallel.cp_comm_type = own.cp_comm_type;
    parallel.chunks = deal_layers(own, architecture);
    parallel.order = order_of(own);
    return parallel;
}

Architecture divisible_architecture(Architecture const& architecture, Parallel const& parallel) {
    Architecture divisible = architecture;
    divisible.vocab = parallel.padded_vocab;
    divisible.kv_heads = std::max<std::int64_t>(architecture.kv_heads, parallel.tp);
    return divisible;
}

}  // namespace nvl72
