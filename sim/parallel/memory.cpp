#include "sim/parallel/memory.hpp"

#include "sim/base/error.hpp"
#include "sim/model/closed_form.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

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

/// The head's backward follows its forward at once, so one micro-batch is alive: what its operators
/// keep, and the BF16 logits (later their gradient) beside the fp32 softmax.
double logits_bytes(Parallel const& parallel, Architecture const& whole) {
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
    return ChunkMemory::parameters(
        parallel, whole,
        {whole.count_layers(chunk.first_layer, chunk.layers), chunk.has_embedding, chunk.has_head});
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

ChunkMemory::ChunkMemory(Parallel const& parallel,
                         Architecture const& a,
                         MemoryPolicy const& policy)
    : parallel_(parallel),
      whole_(divisible_architecture(a, parallel)),
      policy_(policy),
      saved_(layer_saved_bytes(parallel, a, policy)),
      layer_(saved_),
      logits_(logits_bytes(parallel, whole_)) {
    if (policy.full_recompute) layer_.fill(layer_input_bytes(parallel, a));
    for (auto const& op : embedding_operators(a)) embedding_ += saved_bytes(op, parallel);
    if (a.mtp_layers == 0) return;
    mtp_ = a.mtp_layers * operators_saved_bytes(parallel, mtp_operators(whole_), policy);
}

StageParameters ChunkMemory::parameters(Parallel const& parallel,
                                        Architecture const& whole,
                                        Holding const& held) {
    std::int64_t const vocab = whole.vocab / parallel.tp * whole.hidden;
    std::int64_t const expert_ranks = std::int64_t{parallel.ep} * parallel.expert_tp;
    StageParameters sum;
    auto const add = [&](LayerParameters const& one, std::int64_t times) {
        sum += {times * one.matrices / parallel.tp, times * one.experts / expert_ranks,
                times * (one.norms + one.router)};
    };
    for (auto const kind : layer_kinds) {
        int const count = held.layers.at(kind.index());
        if (count > 0) add(layer_parameters(whole, kind), count);
    }
    if (held.embedding) sum.others += vocab;
    if (held.head) {
        sum.others += whole.norm_vectors * whole.hidden + vocab;
        add(mtp_parameters(whole), whole.mtp_layers);
    }
    return sum;
}

/// Offloaded layers stream: of a micro-batch two are on the GPU whole, one at work and one on its
/// way. With full recomputation one layer is made again beside them.
ChunkMemory::Part ChunkMemory::of(Holding const& held) const {
    Part part;
    part.parameters = parameters(parallel_, whole_, held);
    part.embedding = held.embedding;
    part.head = held.head;
    double layers = 0, redone = 0, largest = 0, largest_again = 0;
    for (std::size_t kind = 0; kind < held.layers.size(); ++kind) {
        int const count = held.layers.at(kind);
        layers += count * layer_.at(kind);
        redone += count * (saved_.at(kind) - layer_.at(kind));
        if (count == 0) continue;
        largest = std::max(largest, layer_.at(kind));
        largest_again = std::max(largest_again, saved_.at(kind));
    }
    double const leaves = policy_.offload * layers;
    part.kept = layers - leaves + (held.embedding ? embedding_ : 0) + (held.head ? mtp_ : 0);
    part.offloaded = leaves;
    part.again = leaves + (policy_.full_recompute ? redone : 0);
    part.redone = policy_.full_recompute ? largest_again : 0;
    part.streaming = 2 * policy_.offload * largest;
    return part;
}

StageNeeds ChunkMemory::stage(std::vector<Part const*> const& chunks) const {
    StageNeeds needs;
    bool has_embedding = false, has_head = false;
    double redone = 0, streaming = 0;
    for (Part const* part : chunks) {
        needs.held += part->parameters;
        has_embedding = has_embedding || part->embedding;
        has_head = has_head || part->head;
        // A tied output layer away from the embedding's stage is a copy of it, at home it is it.
        if (part->head && whole_.tied_embeddings && has_embedding)
            needs.held.others -= whole_.vocab / parallel_.tp * whole_.hidden;
        redone = std::max(redone, part->redone);
        streaming = std::max(streaming, part->streaming);
    }
    needs.beside = redone + streaming;
    needs.logits = has_head ? logits_ : 0;
    return needs;
}

namespace {

ChunkMemory::Holding holding(Architecture const& a, Chunk const& chunk) {
    return {a.count_layers(chunk.first_layer, chunk.layers), chunk.has_embedding, chunk.has_head};
}

}  // namespace

StageActivations stage_activations(Parallel const& parallel,
                                   Architecture const& a,
                                   MemoryPolicy const& policy,
                                   int stage) {
    ChunkMemory const memory(parallel, a, policy);
    StageActivations sum;
    std::vector<ChunkMemory::Part> parts;
    for (auto const& chunk : parallel.chunks_of(stage)) {
        parts.push_back(memory.of(holding(a, chunk)));
        sum.kept.push_back(parts.back().kept);
        sum.offloaded.push_back(parts.back().offloaded);
        sum.again.push_back(parts.back().again);
    }
    std::vector<ChunkMemory::Part const*> all;
    for (auto const& part : parts) all.push_back(&part);
    sum.beside = memory.stage(all).beside;
    return sum;
}

double offloaded_bytes(Parallel const& parallel,
                       Architecture const& a,
                       MemoryPolicy const& policy,
                       Chunk const& chunk) {
    if (policy.offload == 0) return 0;
    return ChunkMemory(parallel, a, policy).of(holding(a, chunk)).offloaded;
}

Memory memory_from(Parallel const& parallel,
                   int layers,
                   MemoryPolicy const& policy,
                   int stage,
                   StageNeeds const& needs) {
    StageParameters const& held = needs.held;
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
            ? 2 * policy.weight_bytes * static_cast<double>(held.total()) / std::max(1, layers)
            : 0;
    memory.weights = rounded(weights + gathered);
    memory.gradients = spread_out(policy.gradient_bytes, policy.shard_gradients);
    memory.optimizer = spread_out(policy.optimizer_bytes, policy.shard_optimizer);
    memory.activations = rounded(needs.in_flight + needs.beside);
    memory.offloaded = rounded(needs.offloaded);
    memory.logits = rounded(needs.logits);
    memory.communication = policy.communication_buffers;
    memory.fragmentation =
        rounded(policy.fragmentation * static_cast<double>(memory.total().count));
    memory.framework = policy.framework;
    return memory;
}

Memory memory_of(Parallel const& parallel,
                 Architecture const& a,
                 MemoryPolicy const& policy,
                 int stage) {
    ChunkMemory const memory(parallel, a, policy);
    std::vector<ChunkMemory::Part> parts;
    std::vector<double> kept, again, offloaded;
    for (auto const& chunk : parallel.chunks_of(stage)) {
        parts.push_back(memory.of(holding(a, chunk)));
        kept.push_back(parts.back().kept);
        again.push_back(parts.back().again);
        offloaded.push_back(parts.back().offloaded);
    }
    std::vector<ChunkMemory::Part const*> all;
    for (auto const& part : parts) all.push_back(&part);
    StageNeeds needs = memory.stage(all);
    needs.in_flight = peak_in_flight(parallel, stage, kept, again);
    needs.offloaded = peak_in_flight(parallel, stage, offloaded);
    return memory_from(parallel, a.layers, policy, stage, needs);
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
