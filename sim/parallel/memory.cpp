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

double activation_bytes(Parallel const& parallel,
                        Architecture const& a,
                        MemoryPolicy const& policy,
                        int stage) {
    auto const saved = layer_saved_bytes(parallel, a, policy);
    double const input = layer_input_bytes(parallel, a);
    double embedding = 0;
    for (auto const& op : embedding_operators(a)) embedding += saved_bytes(op, parallel);
    double const mtp =
        a.mtp_layers == 0
            ? 0
            : a.mtp_layers *
                  operators_saved_bytes(parallel,
                                        mtp_operators(divisible_architecture(a, parallel)), policy);

    std::vector<double> bytes_of_chunk;
    double redone = 0;
    for (auto const& chunk : parallel.chunks_of(stage)) {
        double kept = chunk.has_embedding ? embedding : 0;
        if (chunk.has_head) kept += mtp;
        auto const counts = a.count_layers(chunk.first_layer, chunk.layers);
        for (std::size_t kind = 0; kind < counts.size(); ++kind) {
            kept += counts.at(kind) * (policy.full_recompute ? input : saved.at(kind));
            if (policy.full_recompute && counts.at(kind) > 0)
                redone = std::max(redone, saved.at(kind));
        }
        bytes_of_chunk.push_back(kept);
    }
    return peak_in_flight(parallel, stage, bytes_of_chunk) + redone;
}

/// The head's backward follows its forward at once, so one micro-batch is alive: what its operators
/// keep, and the BF16 logits (later their gradient) beside the fp32 softmax.
double logits_bytes(Parallel const& parallel, Architecture const& a, int stage) {
    if (!parallel.chunks_of(stage).back().has_head) return 0;
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
                      std::vector<double> const& bytes_of_chunk) {
    NVL72_EXPECT(std::ssize(bytes_of_chunk) == parallel.vp, "a size for every chunk of the stage");
    std::int64_t const pp = parallel.pp;
    std::int64_t const vp = parallel.vp;
    std::int64_t const forwards = parallel.micro_batches * vp;
    // Megatron's warm-up: forwards before the first one that a backward follows.
    std::int64_t const warm_up = vp == 1 ? pp - stage - 1 : 2 * (pp - stage - 1) + (vp - 1) * pp;
    // Groups of pp micro-batches go through chunk 0, then chunk 1 ...; backwards from the last.
    auto const chunk_of = [&](std::int64_t i) { return vp == 1 ? 0 : i / pp % vp; };
    auto const bytes_of = [&](std::int64_t chunk) {
        return bytes_of_chunk[static_cast<std::size_t>(chunk)];
    };
    double alive = 0;
    double peak = 0;
    // After warm-up and two rounds of all chunks the pattern repeats.
    std::int64_t const last = std::min(forwards, warm_up + 1 + 2 * pp * vp);
    for (std::int64_t i = 0; i < last; ++i) {
        alive += bytes_of(chunk_of(i));
        peak = std::max(peak, alive);
        if (i >= warm_up) alive -= bytes_of(vp - 1 - chunk_of(i - warm_up));
    }
    return peak;
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
    std::int64_t const dense_ranks = parallel.dp * parallel.cp;
    auto const spread_out = [&](double bytes_each, bool sharded) {
        return rounded(bytes_each *
                       (static_cast<double>(held.dense()) / shards(sharded, dense_ranks) +
                        static_cast<double>(held.experts) / shards(sharded, parallel.expert_dp)));
    };

    Memory memory;
    memory.stage = stage;
    double const weights =
        static_cast<double>(held.matrices) / shards(false, dense_ranks) * policy.weight_bytes +
        static_cast<double>(held.experts) / shards(false, parallel.expert_dp) *
            policy.weight_bytes +
        static_cast<double>(held.others) / shards(false, dense_ranks) * bf16;
    double const gathered =
        parallel.fsdp > 1
            ? 2 * policy.weight_bytes * static_cast<double>(held.total()) / std::max(1, a.layers)
            : 0;
    memory.weights = rounded(weights + gathered);
    memory.gradients = spread_out(policy.gradient_bytes, policy.shard_gradients);
    memory.optimizer = spread_out(policy.optimizer_bytes, policy.shard_optimizer);
    memory.activations = rounded(activation_bytes(parallel, a, policy, stage));
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
    return table;
}

void check_fits(Memory const& memory, Bytes capacity, Parallel const& parallel) {
    if (memory.total() <= capacity) return;
    throw DoesNotFit(fmt::format(
        "pipeline stage {} of {} needs {:.1f} GiB per GPU, which holds {:.1f} GiB\n{}",
        memory.stage, parallel.pp, static_cast<double>(memory.total().count) / bytes_per_gib,
        static_cast<double>(capacity.count) / bytes_per_gib, memory_table(memory).text()));
}

}  // namespace nvl72
