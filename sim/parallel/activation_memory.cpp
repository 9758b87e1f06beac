#include "sim/base/error.hpp"
#include "sim/parallel/chunk_memory.hpp"
#include "sim/parallel/memory.hpp"

#include <algorithm>
#include <array>

namespace nvl72 {

namespace {

constexpr double bf16 = 2;  // bytes

double tokens_of(Parallel const& parallel) {
    return static_cast<double>(parallel.tokens_per_micro_batch());
}

bool is_matrix(Operator const& op) {
    return op.kind == OperatorKind::gemm || op.kind == OperatorKind::experts;
}

/// Of what an operator's backward needs, the share that is kept from the forward.
double kept_share(Operator const& op, MemoryPolicy const& policy) {
    if (std::ranges::find(policy.recompute, op.name) != policy.recompute.end()) return 0;
    auto const own =
        std::ranges::find(policy.kept_shares, op.name, &std::pair<std::string, double>::first);
    return own == policy.kept_shares.end() ? 1 : own->second;
}

/// Bytes that a list of operators keeps of one micro-batch.
double operators_saved_bytes(Parallel const& parallel,
                             std::vector<Operator> const& operators,
                             MemoryPolicy const& policy) {
    double sum = 0;
    OperatorKind previous = OperatorKind::elementwise;
    for (auto const& op : operators) {
        bool const matrix = is_matrix(op) && op.weights_fp8_allowed;
        sum += kept_share(op, policy) * saved_bytes(op, parallel) *
               (matrix ? policy.kept_input_bytes / bf16 : 1);
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
                                                         Architecture const& whole,
                                                         MemoryPolicy const& policy) {
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

/// The head's backward follows its forward at once, so one micro-batch is alive: what its matrix
/// and norm keep, and what the loss has of every logit.
double loss_bytes(Parallel const& parallel, Architecture const& whole, MemoryPolicy const& policy) {
    double const of_each = parallel.tp > 1 ? policy.split_logit_bytes : policy.logit_bytes;
    double const logits = static_cast<double>(whole.vocab) / parallel.tp * tokens_of(parallel);
    double sum = of_each * logits;
    for (auto const& op : head_operators(whole)) {
        if (op.loss) continue;
        bool const gathered = is_matrix(op) && policy.keeps_gathered;
        sum +=
            gathered ? op.saved_bytes_per_token * tokens_of(parallel) : saved_bytes(op, parallel);
    }
    return sum;
}

/// Whether an operator's output or, of a matrix cut by columns, its input is whole on every rank
/// for a moment: gathered before it, or partial sums before they are scattered.
double at_once(double bytes, Parallel const& parallel, MemoryPolicy const& policy) {
    return policy.tp_in_pieces ? bytes / parallel.tp : bytes;
}

/// Bytes that a layer's forward needs at once besides what it keeps: the operands of its largest
/// matrix product.
double temporary_bytes(Parallel const& parallel,
                       std::vector<Operator> const& operators,
                       MemoryPolicy const& policy) {
    double const tokens = tokens_of(parallel);
    bool const by_tokens = parallel.sequence_parallel && parallel.tp > 1;
    double most = 0;
    for (auto op = operators.begin(); op != operators.end(); ++op) {
        if (!is_matrix(*op)) continue;
        double const shares = op->split == Split::none || op->split == Split::sequence
                                  ? (by_tokens && op->split == Split::sequence ? parallel.tp : 1)
                                  : parallel.tp;
        double input = (policy.full_recompute ? 1 : 1 - kept_share(*op, policy)) *
                       op->read_bytes_per_token * tokens / shares;
        if (op->split == Split::column && by_tokens)
            input = at_once(op->read_bytes_per_token * tokens, parallel, policy);
        // What the next operator to keep something keeps is its output.
        auto const user = std::find_if(op + 1, operators.end(), [](Operator const& next) {
            return next.saved_bytes_per_token > 0;
        });
        double const kept = user == operators.end() ? 1 : kept_share(*user, policy);
        double output =
            (policy.full_recompute ? 1 : 1 - kept) * op->written_bytes_per_token * tokens / shares;
        if (op->split == Split::row && by_tokens)
            output = at_once(op->written_bytes_per_token * tokens, parallel, policy);
        most = std::max(most, input + output);
    }
    return most;
}

}  // namespace

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
      saved_(layer_saved_bytes(parallel, whole_, policy)),
      layer_(saved_),
      loss_(loss_bytes(parallel, whole_, policy)) {
    if (policy.full_recompute) layer_.fill(layer_input_bytes(parallel, a));
    for (auto const kind : layer_kinds) {
        temporary_.at(kind.index()) =
            temporary_bytes(parallel, layer_operators(whole_, kind), policy);
    }
    for (auto const& op : embedding_operators(a)) embedding_ += saved_bytes(op, parallel);
    if (a.mtp_layers == 0) return;
    mtp_ = a.mtp_layers * operators_saved_bytes(parallel, mtp_operators(whole_), policy);
}

ChunkMemory::Holding holding_of(Architecture const& a, Chunk const& chunk) {
    return {a.count_layers(chunk.first_layer, chunk.layers), chunk.has_embedding, chunk.has_head};
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
        part.layers += count;
        layers += count * layer_.at(kind);
        redone += count * (saved_.at(kind) - layer_.at(kind));
        if (count == 0) continue;
        largest = std::max(largest, layer_.at(kind));
        largest_again = std::max(largest_again, saved_.at(kind));
        part.temporary = std::max(part.temporary, temporary_.at(kind));
    }
    double const others = (held.embedding ? embedding_ : 0) + (held.head ? mtp_ : 0);
    double const leaves = policy_.offload * layers;
    part.kept = layers - leaves + others;
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
        needs.layers += part->layers;
        has_embedding = has_embedding || part->embedding;
        has_head = has_head || part->head;
        // A tied output layer away from the embedding's stage is a copy of it, at home it is it.
        if (part->head && whole_.tied_embeddings && has_embedding)
            needs.held.others -= whole_.vocab / parallel_.tp * whole_.hidden;
        redone = std::max(redone, part->redone);
        streaming = std::max(streaming, part->streaming);
        needs.temporary = std::max(needs.temporary, part->temporary);
    }
    needs.beside = redone + streaming;
    // A layer is made again once the loss is done with, in its place.
    if (has_head) needs.loss = std::max(0.0, loss_ - redone);
    return needs;
}

StageActivations stage_activations(Parallel const& parallel,
                                   Architecture const& a,
                                   MemoryPolicy const& policy,
                                   int stage) {
    ChunkMemory const memory(parallel, a, policy);
    StageActivations sum;
    std::vector<ChunkMemory::Part> parts;
    for (auto const& chunk : parallel.chunks_of(stage)) {
        parts.push_back(memory.of(holding_of(a, chunk)));
        sum.kept.push_back(parts.back().kept);
        sum.offloaded.push_back(parts.back().offloaded);
        sum.again.push_back(parts.back().again);
    }
    std::vector<ChunkMemory::Part const*> all;
    for (auto const& part : parts) all.push_back(&part);
    StageNeeds const needs = memory.stage(all);
    sum.beside = needs.beside;
    sum.temporary = needs.temporary;
    sum.loss = needs.loss;
    return sum;
}

double offloaded_bytes(Parallel const& parallel,
                       Architecture const& a,
                       MemoryPolicy const& policy,
                       Chunk const& chunk) {
    if (policy.offload == 0) return 0;
    return ChunkMemory(parallel, a, policy).of(holding_of(a, chunk)).offloaded;
}

}  // namespace nvl72
