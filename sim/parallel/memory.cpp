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

/// Bytes the layers' operators keep of one micro-batch, in one layer.
double layer_saved_bytes(Parallel const& parallel,
                         Architecture const& a,
                         MemoryPolicy const& policy) {
    double sum = 0;
    OperatorKind previous = OperatorKind::elementwise;
    for (auto const& op : layer_operators(divisible_architecture(a, parallel))) {
        bool const matrix = op.kind == OperatorKind::gemm && op.weights_fp8_allowed;
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

/// With full recomputation a layer keeps only its BF16 input, cut by tokens where norms are.
double layer_input_bytes(Parallel const& parallel, Architecture const& a) {
    double const whole = bf16 * static_cast<double>(a.hidden) * tokens_of(parallel);
    return parallel.sequence_parallel ? whole / parallel.tp : whole;
}

double activation_bytes(Parallel const& parallel,
                        Architecture const& a,
                        MemoryPolicy const& policy,
                        int stage) {
    double const saved = layer_saved_bytes(parallel, a, policy);
    double const kept = policy.full_recompute ? layer_input_bytes(parallel, a) : saved;
    double embedding = 0;
    for (auto const& op : embedding_operators(a)) embedding += saved_bytes(op, parallel);

    std::vector<double> bytes_of_chunk;
    bool has_layers = false;
    for (auto const& chunk : parallel.chunks_of(stage)) {
        bytes_of_chunk.push_back(chunk.layers * kept + (chunk.has_embedding ? embedding : 0));
        has_layers = has_layers || chunk.layers > 0;
    }
    double const redone = policy.full_recompute && has_layers ? saved : 0;
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

StageParameters stage_parameters(Parallel const& parallel, Architecture const& a, int stage) {
    Architecture const whole = divisible_architecture(a, parallel);
    std::int64_t const matrices = layer_matrix_parameters(whole) / parallel.tp;
    std::int64_t const vocab = whole.vocab / parallel.tp * a.hidden;

    StageParameters sum;
    bool has_embedding = false;
    for (auto const& chunk : parallel.chunks_of(stage)) {
        sum.matrices += chunk.layers * matrices;
        sum.others += chunk.layers * layer_norm_parameters(a);
        if (chunk.has_embedding) sum.others += vocab;
        has_embedding = has_embedding || chunk.has_embedding;
        if (!chunk.has_head) continue;
        sum.others += a.norm_vectors * a.hidden;
        // A tied output layer away from the embedding's stage is a copy of it.
        if (!a.tied_embeddings || !has_embedding) sum.others += vocab;
    }
    return sum;
}

double saved_bytes(Operator const& op, Parallel const& parallel) {
    double const whole = op.saved_bytes_per_token * tokens_of(parallel);
    double const tp = parallel.tp;
    switch (op.split) {
        case Split::none: return whole;
        case Split::row: return whole / tp;
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
    auto const parameters = static_cast<double>(held.total());
    double const shards = static_cast<double>(parallel.dp) * parallel.cp;

    Memory memory;
    memory.stage = stage;
    memory.weights = rounded(static_cast<double>(held.matrices) * policy.weight_bytes +
                             static_cast<double>(held.others) * bf16);
    memory.gradients =
        rounded(parameters * policy.gradient_bytes / (policy.shard_gradients ? shards : 1));
    memory.optimizer =
        rounded(parameters * policy.optimizer_bytes / (policy.shard_optimizer ? shards : 1));
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
