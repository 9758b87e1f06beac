#include "sim/parallel/memory.hpp"

#include "sim/base/error.hpp"
#include "sim/model/closed_form.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <numeric>

namespace nvl72 {

namespace {

constexpr double bf16 = 2;  // bytes
constexpr double bytes_per_gib = 1024.0 * 1024.0 * 1024.0;

struct Owner {
    char const* name;
    Bytes Memory::* bytes;
};
constexpr std::array owners{
    Owner{"weights", &Memory::weights},     Owner{"gradients", &Memory::gradients},
    Owner{"optimizer", &Memory::optimizer}, Owner{"activations", &Memory::activations},
    Owner{"logits", &Memory::logits},       Owner{"communication", &Memory::communication},
    Owner{"framework", &Memory::framework}, Owner{"fragmentation", &Memory::fragmentation},
};

Bytes rounded(double bytes) {
    NVL72_EXPECT(bytes >= 0 && bytes < 9e18, "memory is a finite number of bytes");
    return Bytes{std::llround(bytes)};
}

double tokens_of(Parallel const& parallel) {
    return static_cast<double>(parallel.tokens_per_micro_batch());
}

/// Bytes that a list of operators keeps of one micro-batch.
double operators_saved_bytes(Parallel const& parallel,
                             std::vector<Operator> const& operators,
                             MemoryPolicy const& policy) {
    double sum = 0;
    OperatorKind previous = OperatorKind::elementwise;
    for (auto const& op : operators) {
        bool const matrix = (op.kind == OperatorKind::gemm || op.kind == OperatorKind::experts) &&
                            op.weights_fp8_allowed;
        bool const redone = std::ranges::find(policy.recompute, op.name) != policy.recompute.end();
        if (!redone)
            sum += saved_bytes(op, parallel) * (matrix ? policy.kept_input_bytes / bf16 : 1);
        // The projection's kept input is attention's output, which attention's backward needs in
        // BF16: a quantised copy comes on top of it.
        bool const after_attention = previous == OperatorKind::attention;
        if (matrix && after_attention && policy.kept_input_bytes < bf16) {
            sum += saved_bytes(op, parallel);
        }
        previous = op.kind;
    }
    return sum;
}

/// Bytes the layers' operators keep of one micro-batch, in one layer of each kind.
std::array<double, layer_kinds.size()> layer_saved_bytes(Parallel const& parallel,
                                                         Architecture const& a,
                                                         MemoryPolicy const& policy) {
    Architecture const whole = divisible_architecture(a, parallel);
    std::array<double, layer_kinds.size()> saved{};
    for (auto const kind : layer_kinds) {
        saved.at(kind.index()) =
            operators_saved_bytes(parallel, layer_operators(whole, kind), policy);
    }
    return saved;
}

/// With full recomputation a layer keeps only its BF16 input, cut by tokens where norms are.
double layer_input_bytes(Parallel const& parallel, Architecture const& a) {
    double const whole = bf16 * static_cast<double>(a.hidden) * tokens_of(parallel);
    return parallel.sequence_parallel ? whole / parallel.tp : whole;
}

/// What layers and modules of further tokens keep of one micro-batch.
class Kept {
public:
    Kept(Parallel const& parallel, Architecture const& a, MemoryPolicy const& policy)
        : a_(a), saved_(layer_saved_bytes(parallel, a, policy)), layer_(saved_) {
        if (policy.full_recompute) layer_.fill(layer_input_bytes(parallel, a));
        if (a.mtp_layers == 0) return;
        auto const modules = mtp_operators(divisible_architecture(a, parallel));
        mtp_ = a.mtp_layers * operators_saved_bytes(parallel, modules, policy);
    }

    /// Of a chunk's layers: what offloading can take.
    [[nodiscard]] double layers(Chunk const& chunk) const {
        auto const counts = a_.count_layers(chunk.first_layer, chunk.layers);
        return std::inner_product(counts.begin(), counts.end(), layer_.begin(), 0.0);
    }
    [[nodiscard]] double modules(Chunk const& chunk) const { return chunk.has_head ? mtp_ : 0; }
    /// What recomputation makes again of a chunk's layers beside what they keep.
    [[nodiscard]] double redone(Chunk const& chunk) const {
        auto const counts = a_.count_layers(chunk.first_layer, chunk.layers);
        double sum = 0;
        for (std::size_t kind = 0; kind < counts.size(); ++kind) {
            sum += counts.at(kind) * (saved_.at(kind) - layer_.at(kind));
        }
        return sum;
    }
    /// Of the chunk's largest layer, as kept or as made again.
    [[nodiscard]] double largest(Chunk const& chunk, bool made_again) const {
        auto const counts = a_.count_layers(chunk.first_layer, chunk.layers);
        double most = 0;
        for (std::size_t kind = 0; kind < counts.size(); ++kind) {
            if (counts.at(kind) == 0) continue;
            most = std::max(most, made_again ? saved_.at(kind) : layer_.at(kind));
        }
        return most;
    }

private:
    Architecture const& a_;
    std::array<double, layer_kinds.size()> saved_, layer_;
    double mtp_ = 0;
};

/// The head's backward follows its forward at once, so one micro-batch is alive: what its operators
/// keep, and the BF16 logits (later their gradient) beside the fp32 softmax.
double logits_bytes(Parallel const& parallel, Architecture const& a, int stage) {
    auto const chunks = parallel.chunks_of(stage);
    if (std::ranges::none_of(chunks, &Chunk::has_head)) return 0;
    Architecture const whole = divisible_architecture(a, parallel);
    double sum = bf16 * static_cast<double>(whole.vocab) / parallel.tp * tokens_of(parallel);
    for (auto const& op : head_operators(whole)) sum += saved_bytes(op, parallel);
    return sum;
}

}  // namespace

Bytes Memory::total() const {
    Bytes sum;
    for (auto const& owner : owners) sum += this->*owner.bytes;
    return sum;
}

StageParameters& StageParameters::operator+=(StageParameters const& more) {
    matrices += more.matrices;
    experts += more.experts;
    others += more.others;
    return *this;
}

StageParameters chunk_parameters(Parallel const& parallel,
                                 Architecture const& whole,
                                 Chunk const& chunk) {
    std::int64_t const vocab = whole.vocab / parallel.tp * whole.hidden;
    std::int64_t const expert_ranks = std::int64_t{parallel.ep} * parallel.expert_tp;
    StageParameters sum;
    auto const add = [&](LayerParameters const& one, std::int64_t times) {
        sum += {times * one.matrices / parallel.tp, times * one.experts / expert_ranks,
                times * (one.norms + one.router)};
    };
    auto const counts = whole.count_layers(chunk.first_layer, chunk.layers);
    for (auto const kind : layer_kinds) {
        add(layer_parameters(whole, kind), counts.at(kind.index()));
    }
    if (chunk.has_embedding) sum.others += vocab;
    if (chunk.has_head) {
        sum.others += whole.norm_vectors * whole.hidden + vocab;
        add(mtp_parameters(whole), whole.mtp_layers);
    }
    return sum;
}

StageParameters stage_parameters(Parallel const& parallel, Architecture const& a, int stage) {
    Architecture const whole = divisible_architecture(a, parallel);
    StageParameters sum;
    bool has_embedding = false;
    for (auto const& chunk : parallel.chunks_of(stage)) {
        sum += chunk_parameters(parallel, whole, chunk);
        has_embedding = has_embedding || chunk.has_embedding;
        // A tied output layer away from the embedding's stage is a copy of it, at home it is it.
        if (chunk.has_head && a.tied_embeddings && has_embedding)
            sum.others -= whole.vocab / parallel.tp * a.hidden;
    }
    return sum;
}

double saved_bytes(Operator const& op, Parallel const& parallel) {
    double const whole = op.saved_bytes_per_token * tokens_of(parallel);
    double const tp = parallel.tp;
    switch (op.split) {
        case Split::none: return whole;
        case Split::row:
        case Split::routed: return whole / tp;
        case Split::sequence: return parallel.sequence_parallel ? whole / tp : whole;
        case Split::column:
            // A column matrix's input is whole on every rank, unless kept cut by tokens.
            if (op.kind == OperatorKind::gemm && !parallel.sequence_parallel) return whole;
            return whole / tp;
    }
    return whole;
}

double peak_in_flight(Parallel const& parallel,
                      int stage,
                      std::vector<double> const& bytes_of_chunk,
                      std::vector<double> const& again_of_chunk) {
    PipelineSchedule const& schedule = *parallel.schedule;
    PipelineShape shape = parallel.pipeline();
    NVL72_EXPECT(std::ssize(bytes_of_chunk) == schedule.held_chunks(shape),
                 "a size for every chunk of the stage");
    // After the warm-up and two rounds of all chunks the pattern repeats; GPipe has none.
    if (!schedule.keeps_all) shape.micro_batches = std::min(shape.micro_batches, 6 * shape.stages);
    auto const bytes_of = [&](Visit const& visit) {
        return bytes_of_chunk[static_cast<std::size_t>(visit.chunk)];
    };
    auto const again_of = [&](Turn const& turn, TurnKind kind) {
        bool const counts = turn.kind == kind && !again_of_chunk.empty();
        return counts ? again_of_chunk[static_cast<std::size_t>(turn.own.chunk)] : 0;
    };
    double alive = 0;
    double peak = 0;
    for (Turn const& turn : schedule.turns(shape, stage)) {
        if (auto const begun = turn.runs_forward()) alive += bytes_of(*begun);
        alive += again_of(turn, TurnKind::input_gradient);
        peak = std::max(peak, alive);
        alive -= again_of(turn, TurnKind::weight_gradient);
        if (auto const done = turn.ends_backward()) alive -= bytes_of(*done);
    }
    return peak;
}

/// Offloaded layers stream: of a micro-batch two are on the GPU whole, one at work and one on its
/// way. With full recomputation one layer is made again beside them.
StageActivations stage_activations(Parallel const& parallel,
                                   Architecture const& a,
                                   MemoryPolicy const& policy,
                                   int stage) {
    Kept const kept(parallel, a, policy);
    double embedding = 0;
    for (auto const& op : embedding_operators(a)) embedding += saved_bytes(op, parallel);

    StageActivations sum;
    double redone = 0, streaming = 0;
    for (auto const& chunk : parallel.chunks_of(stage)) {
        double const layers = kept.layers(chunk);
        double const others = (chunk.has_embedding ? embedding : 0) + kept.modules(chunk);
        double const leaves = policy.offload * layers;
        sum.kept.push_back(layers - leaves + others);
        sum.offloaded.push_back(leaves);
        sum.again.push_back(leaves + (policy.full_recompute ? kept.redone(chunk) : 0));
        if (policy.full_recompute) redone = std::max(redone, kept.largest(chunk, true));
        streaming = std::max(streaming, 2 * policy.offload * kept.largest(chunk, false));
    }
    sum.beside = redone + streaming;
    return sum;
}

double offloaded_bytes(Parallel const& parallel,
                       Architecture const& a,
                       MemoryPolicy const& policy,
                       Chunk const& chunk) {
    if (policy.offload == 0) return 0;
    return policy.offload * Kept(parallel, a, policy).layers(chunk);
}

Memory memory_of(Parallel const& parallel,
                 Architecture const& a,
                 MemoryPolicy const& policy,
                 int stage) {
    StageParameters const held = stage_parameters(parallel, a, stage);
    auto const fsdp = static_cast<double>(parallel.fsdp);
    // FSDP shards all three, and has two layers' weights whole: the one in use and the next one.
    auto const shards = [&](bool sharded, std::int64_t ranks) {
        return std::max(sharded ? static_cast<double>(ranks) : 1.0,
                        std::min(fsdp, static_cast<double>(ranks)));
    };
    std::int64_t const dense_ranks = parallel.dp * parallel.cp * parallel.copies();
    std::int64_t const expert_ranks = parallel.expert_dp * parallel.copies();
    auto const spread_out = [&](double bytes_each, bool sharded) {
        return rounded(bytes_each *
                       (static_cast<double>(held.dense()) / shards(sharded, dense_ranks) +
                        static_cast<double>(held.experts) / shards(sharded, expert_ranks)));
    };

    Memory memory;
    memory.stage = stage;
    double const weights =
        static_cast<double>(held.matrices) / shards(false, dense_ranks) * policy.weight_bytes +
        static_cast<double>(held.experts) / shards(false, expert_ranks) * policy.weight_bytes +
        static_cast<double>(held.others) / shards(false, dense_ranks) * bf16;
    double const gathered =
        parallel.fsdp > 1
            ? 2 * policy.weight_bytes * static_cast<double>(held.total()) / std::max(1, a.layers)
            : 0;
    memory.weights = rounded(weights + gathered);
    memory.gradients = spread_out(policy.gradient_bytes, policy.shard_gradients);
    memory.optimizer = spread_out(policy.optimizer_bytes, policy.shard_optimizer);
    StageActivations const own = stage_activations(parallel, a, policy, stage);
    memory.activations = rounded(peak_in_flight(parallel, stage, own.kept, own.again) + own.beside);
    memory.offloaded = rounded(peak_in_flight(parallel, stage, own.offloaded));
    memory.logits = rounded(logits_bytes(parallel, a, stage));
    memory.communication = policy.communication_buffers;
    memory.fragmentation =
        rounded(policy.fragmentation * static_cast<double>(memory.total().count));
    memory.framework = policy.framework;
    return memory;
}

Memory worst_memory(Parallel const& parallel, Architecture const& a, MemoryPolicy const& policy) {
    Memory worst = memory_of(parallel, a, policy, 0);
    for (int stage = 1; stage < parallel.pp; ++stage) {
        Memory const next = memory_of(parallel, a, policy, stage);
        if (next.total() > worst.total()) worst = next;
    }
    return worst;
}

Table memory_table(Memory const& memory) {
    Table table({{.name = "owner", .title = "owner"},
                 {.name = "memory_gib", .title = "memory", .decimals = 2, .unit = "GiB"},
                 {.name = "share", .title = "share", .decimals = 1, .unit = "%"}});
    auto const total = static_cast<double>(memory.total().count);
    auto const add = [&](char const* name, Bytes bytes) {
        auto const owned = static_cast<double>(bytes.count);
        table.add({name, owned / bytes_per_gib, 100 * owned / total});
    };
    for (auto const& owner : owners) add(owner.name, memory.*owner.bytes);
    add("total", memory.total());
    if (memory.offloaded.count > 0) add("in CPU memory", memory.offloaded);
    return table;
}

void check_fits(Memory const& memory, Bytes capacity, Bytes host, Parallel const& parallel) {
    auto const refuse = [&](Bytes needed, char const* what, Bytes holds) {
        throw DoesNotFit(fmt::format(
            "pipeline stage {} of {} needs {:.1f} GiB {} {:.1f} GiB\n{}", memory.stage, parallel.pp,
            static_cast<double>(needed.count) / bytes_per_gib, what,
            static_cast<double>(holds.count) / bytes_per_gib, memory_table(memory).text()));
    };
    if (memory.total() > capacity) refuse(memory.total(), "per GPU, which holds", capacity);
    if (memory.offloaded > host) {
        refuse(memory.offloaded, "of CPU memory per GPU, whose share is", host);
    }
}

}  // namespace nvl72
