#include "sim/base/error.hpp"
#include "sim/base/random.hpp"
#include "sim/parallel/memory.hpp"
#include "sim/parallel/placement.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <optional>
#include <set>
#include <string_view>

namespace nvl72 {
namespace {

constexpr int cases = 400;

struct Case {
    Architecture architecture;
    Layout layout;
    std::int64_t gpus = 1;
    std::int64_t global_batch = 1;
    std::int64_t sequence = 4096;
};

int power_of_two(RandomStream& random, std::uint64_t exponents) {
    return 1 << static_cast<int>(random.below(exponents));
}

/// A valid job: a model whose sizes divide, and a layout drawn first.
Case draw(RandomStream& random) {
    Case c;
    auto& l = c.layout;
    l.tp = power_of_two(random, 5);
    l.pp = power_of_two(random, 5);
    l.cp = power_of_two(random, 3);
    l.vp = l.pp == 1 ? 1 : 1 + static_cast<int>(random.below(4));
    l.micro_batch = power_of_two(random, 2);
    l.sequence_parallel = random.below(2) == 0;
    std::int64_t const dp = 1 + static_cast<std::int64_t>(random.below(6));
    std::int64_t const rounds = 1 + static_cast<std::int64_t>(random.below(6));
    c.gpus = dp * l.tp * l.pp * l.cp;
    c.global_batch = dp * l.micro_batch * l.pp * rounds;

    auto& a = c.architecture;
    int const each = 1 + static_cast<int>(random.below(3));
    a.layers = each * l.pp * l.vp;
    if (a.layers > 2 && random.below(2) == 0) {
        l.embedding_and_loss_as_layers = true;
        a.layers -= 2;
    }
    a.heads = 64;
    a.kv_heads = power_of_two(random, 7);
    a.head_dim = 64;
    a.hidden = 4096;
    a.ffn = 16 * (1 + static_cast<std::int64_t>(random.below(1000)));
    a.vocab = 1000 + static_cast<std::int64_t>(random.below(200000));
    a.ffn_matrices = random.below(2) == 0 ? 2 : 3;
    a.tied_embeddings = random.below(2) == 0;
    return c;
}

Parallel checked(Case const& c) {
    return check_layout(c.layout, c.gpus, c.architecture, c.global_batch, c.sequence);
}

std::optional<Bytes> worst_of(Case const& c) {
    try {
        return worst_memory(checked(c), c.architecture, MemoryPolicy{}).total();
    } catch (ConfigError const&) {
        return std::nullopt;  // the changed layout does not divide
    }
}

TEST(RandomLayouts, CoverEveryLayerOnceWithOneEmbeddingAndOneHead) {
    RandomStream random(1, "layouts");
    for (int i = 0; i < cases; ++i) {
        Case const c = draw(random);
        Parallel const p = checked(c);
        EXPECT_EQ(p.micro_batch * p.micro_batches * p.dp, c.global_batch);
        EXPECT_EQ(p.dp * p.tp * p.pp * p.cp, c.gpus);
        std::multiset<int> layers;
        int embeddings = 0;
        int heads = 0;
        for (int stage = 0; stage < p.pp; ++stage) {
            for (auto const& chunk : p.chunks_of(stage)) {
                for (int l = 0; l < chunk.layers; ++l) layers.insert(chunk.first_layer + l);
                embeddings += chunk.has_embedding ? 1 : 0;
                heads += chunk.has_head ? 1 : 0;
            }
        }
        EXPECT_EQ(static_cast<int>(layers.size()), c.architecture.layers);
        EXPECT_EQ(*layers.begin(), 0);
        EXPECT_EQ(*layers.rbegin(), c.architecture.layers - 1);
        EXPECT_EQ(std::set<int>(layers.begin(), layers.end()).size(), layers.size());
        EXPECT_EQ(embeddings, 1);
        EXPECT_EQ(heads, 1);
    }
}

TEST(RandomLayouts, PlaceEveryRankInOneGroupPerDimension) {
    RandomStream random(2, "placement");
    for (int i = 0; i < cases; ++i) {
        Parallel const p = checked(draw(random));
        auto const groups = process_groups(p);
        for (auto const& pattern : {groups.tp, groups.cp, groups.dp, groups.pp, groups.dp_cp}) {
            std::vector<int> seen(static_cast<std::size_t>(p.gpus), 0);
            for (std::int64_t r = 0; r < p.gpus; ++r) {
                RankId const rank{static_cast<std::uint32_t>(r)};
                if (pattern.first_of(rank) != rank) continue;
                for (auto const member : pattern.members_of(rank)) ++seen.at(member.value);
            }
            for (int const times : seen) ASSERT_EQ(times, 1);
        }
        for (std::int64_t r = 0; r < p.gpus; ++r) {
            RankId const rank{static_cast<std::uint32_t>(r)};
            ASSERT_EQ(rank_of(p, coordinates_of(p, rank)), rank);
        }
    }
}

TEST(RandomLayouts, HoldTheWholeModelBetweenThem) {
    RandomStream random(3, "parameters");
    for (int i = 0; i < cases; ++i) {
        Case c = draw(random);
        c.architecture.tied_embeddings = false;
        Parallel const p = checked(c);
        Architecture const whole = divisible_architecture(c.architecture, p);
        // Whole on every tensor-parallel rank.
        std::int64_t const norms = (2LL * whole.layers + 1) * whole.norm_vectors * whole.hidden;
        std::int64_t held = 0;
        for (int stage = 0; stage < p.pp; ++stage) {
            held += stage_parameters(p, c.architecture, stage).total();
        }
        std::int64_t const layer = whole.hidden * (whole.qkv_width() + whole.query_width() +
                                                   whole.ffn_matrices * whole.ffn);
        std::int64_t const matrices = whole.layers * layer + 2 * whole.vocab * whole.hidden;
        EXPECT_EQ((held - norms) * p.tp, matrices);
    }
}

// Growing a dimension adds GPUs; the global batch stays. Plain 1F1B: interleaving trades memory.
// Embedding and loss as layers do too: of 14 layers, stage 1 of 4 keeps 3 x 4, stage 1 of 8 keeps
// 7 x 2.
TEST(RandomLayouts, NeedNoMoreMemoryWithMoreGpus) {
    RandomStream random(4, "memory");
    int compared = 0;
    for (int i = 0; i < cases; ++i) {
        Case small = draw(random);
        small.layout.vp = 1;
        auto const before = worst_of(small);
        if (!before) continue;
        for (int dimension = 0; dimension < 4; ++dimension) {
            if (dimension == 1 && small.layout.embedding_and_loss_as_layers) continue;
            Case big = small;
            big.gpus *= 2;
            if (dimension == 0) big.layout.tp *= 2;
            if (dimension == 1) big.layout.pp *= 2;
            if (dimension == 2) big.layout.cp *= 2;  // 3: dp takes what is left
            auto const after = worst_of(big);
            if (!after) continue;
            ++compared;
            EXPECT_LE(after->count, before->count) << "case " << i << " dimension " << dimension;
        }
    }
    EXPECT_GT(compared, cases);
}

/// Every pass of the step, to the end.
double whole_peak(Parallel const& p, int stage, std::vector<double> const& bytes) {
    std::vector<int> forward;  // chunks in order
    for (std::int64_t group = 0; group < p.micro_batches; group += p.pp) {
        for (int v = 0; v < p.vp; ++v) {
            for (std::int64_t m = group; m < std::min<std::int64_t>(group + p.pp, p.micro_batches);
                 ++m) {
                forward.push_back(v);
            }
        }
    }
    auto const chunks_ahead =
        p.vp == 1 ? p.pp - stage : 2 * (p.pp - stage - 1) + (p.vp - 1) * p.pp + 1;
    double alive = 0;
    double peak = 0;
    std::size_t freed = 0;
    for (std::size_t i = 0; i < forward.size(); ++i) {
        alive += bytes[static_cast<std::size_t>(forward[i])];
        peak = std::max(peak, alive);
        if (i + 1 >= static_cast<std::size_t>(chunks_ahead)) {
            alive -= bytes[static_cast<std::size_t>(p.vp - 1 - forward[freed++])];
        }
    }
    return peak;
}

TEST(RandomLayouts, PeakBeforeThePatternRepeats) {
    RandomStream random(5, "in flight");
    for (int i = 0; i < cases; ++i) {
        Parallel const p = checked(draw(random));
        std::vector<double> bytes;
        for (int v = 0; v < p.vp; ++v) bytes.push_back(static_cast<double>(1 + random.below(9)));
        for (int stage = 0; stage < p.pp; ++stage) {
            EXPECT_DOUBLE_EQ(peak_in_flight(p, stage, bytes), whole_peak(p, stage, bytes));
        }
    }
}

/// What a stage keeps at most with equal chunks, from the schedules' papers.
double chunks_in_flight(Parallel const& p, int stage) {
    auto const batches = static_cast<double>(p.micro_batches);
    std::string_view const name = p.schedule->name;
    if (name == "gpipe") return batches;
    if (name == "1f1b") return std::min(batches, p.pp - stage + 0.0);
    if (name == "zero-bubble") return std::min(batches, p.pp + 0.0);
    if (name == "dualpipe") return p.pp + 1;
    return std::min(batches * p.vp, 2 * (p.pp - stage - 1) + (p.vp - 1.0) * p.pp + 1);
}

TEST(RandomLayouts, KeepInFlightWhatTheirScheduleStates) {
    RandomStream random(6, "schedules");
    for (PipelineSchedule const& schedule : pipeline_schedules) {
        int ran = 0;
        for (int i = 0; i < cases; ++i) {
            Case c = draw(random);
            if (schedule.name != "interleaved") c.layout.vp = 1;
            c.layout.uneven_layers = true;
            c.layout.schedule = schedule.name;
            std::optional<Parallel> p;
            try {
                p = checked(c);
            } catch (ConfigError const&) {
                continue;  // the schedule cannot run this shape
            }
            ++ran;
            auto const held = static_cast<std::size_t>(schedule.held_chunks(p->pipeline()));
            for (int stage = 0; stage < p->pp; ++stage) {
                EXPECT_DOUBLE_EQ(peak_in_flight(*p, stage, std::vector<double>(held, 1.0)),
                                 chunks_in_flight(*p, stage))
                    << schedule.name << " pp " << p->pp << " vp " << p->vp << " micro-batches "
                    << p->micro_batches << " stage " << stage;
            }
        }
        EXPECT_GT(ran, cases / 10) << schedule.name;
    }
}

}  // namespace
}  // namespace nvl72
