#include "sim/base/error.hpp"
#include "sim/parallel/memory.hpp"

#include <algorithm>
#include <array>
#include <numeric>

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

/// The head's backward follows its forward at once, so one micro-batch is alive: what its matrix
/// and norm keep, and what the loss has of every logit.
double loss_bytes(Parallel const& parallel, Architecture const& a, MemoryPolicy const& policy) {
    Architecture const whole = divisible_architecture(a, parallel);
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
    Architecture const whole = divisible_architecture(a, parallel);
    bool has_head = false;
    for (auto const& chunk : parallel.chunks_of(stage)) {
        has_head = has_head || chunk.has_head;
        auto const counts = a.count_layers(chunk.first_layer, chunk.layers);
        for (auto const kind : layer_kinds) {
            if (counts.at(kind.index()) == 0) continue;
            sum.temporary = std::max(
                sum.temporary, temporary_bytes(parallel, layer_operators(whole, kind), policy));
        }
    }
    // A layer is made again once the loss is done with, in its place.
    if (has_head) sum.loss = std::max(0.0, loss_bytes(parallel, a, policy) - redone);
    return sum;
}

double offloaded_bytes(Parallel const& parallel,
                       Architecture const& a,
                       MemoryPolicy const& policy,
                       Chunk const& chunk) {
    if (policy.offload == 0) return 0;
    return policy.offload * Kept(parallel, a, policy).layers(chunk);
}

}  // namespace nvl72
