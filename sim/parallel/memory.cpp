#include "sim/parallel/memory.hpp"

#include "sim/base/error.hpp"
#include "sim/model/closed_form.hpp"
#include "sim/parallel/chunk_memory.hpp"

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
    Owner{"temporary", &Memory::temporary}, Owner{"logits", &Memory::logits},
    Owner{"gathered", &Memory::gathered},   Owner{"communication", &Memory::communication},
    Owner{"framework", &Memory::framework}, Owner{"fragmentation", &Memory::fragmentation},
};

Bytes rounded(double bytes) {
    NVL72_EXPECT(bytes >= 0 && bytes < 9e18, "memory is a finite number of bytes");
    return Bytes{std::llround(bytes)};
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

StageParameters chunk_parameters(Parallel const& parallel,
                                 Architecture const& whole,
                                 Chunk const& chunk) {
    return ChunkMemory::parameters(parallel, whole, holding_of(whole, chunk));
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

namespace {

/// FSDP has two layers' weights whole: the one in use and the next one, or one of them and the
/// buffer that it was gathered in. Embedding and head may stay, in both.
double gathered_bytes(StageParameters const& held, MemoryPolicy const& policy, int layers) {
    double const layer = static_cast<double>(held.matrices + held.experts) / std::max(1, layers);
    double const root = policy.root_gathered ? bf16 * static_cast<double>(held.others) : 0;
    return 2 * (policy.gathered_bytes * layer + root);
}

}  // namespace

Memory memory_from(Parallel const& parallel,
                   MemoryPolicy const& policy,
                   int stage,
                   StageNeeds const& needs) {
    StageParameters const& held = needs.held;
    auto const fsdp = static_cast<double>(parallel.fsdp);
    // FSDP shards all three.
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
        static_cast<double>(held.others) / shards(false, dense_ranks) * policy.other_weight_bytes;
    memory.weights = rounded(weights);
    memory.gathered = rounded(fsdp > 1 ? gathered_bytes(held, policy, needs.layers) : 0);
    memory.gradients = spread_out(policy.gradient_bytes, policy.shard_gradients);
    memory.optimizer = spread_out(policy.optimizer_bytes, policy.shard_optimizer);
    memory.activations = rounded(needs.in_flight + needs.beside);
    memory.offloaded = rounded(needs.offloaded);
    memory.temporary = rounded(needs.temporary);
    memory.logits = rounded(needs.loss);
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
    StageActivations const own = stage_activations(parallel, a, policy, stage);
    StageNeeds needs;
    needs.held = stage_parameters(parallel, a, stage);
    for (auto const& chunk : parallel.chunks_of(stage)) needs.layers += chunk.layers;
    needs.in_flight = peak_in_flight(parallel, stage, own.kept, own.again);
    needs.offloaded = peak_in_flight(parallel, stage, own.offloaded);
    needs.beside = own.beside;
    needs.temporary = own.temporary;
    needs.loss = own.loss;
    return memory_from(parallel, policy, stage, needs);
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
