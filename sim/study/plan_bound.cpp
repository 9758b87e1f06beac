#include "sim/study/plan_bound.hpp"

#include "sim/base/error.hpp"
#include "sim/collective/collective.hpp"
#include "sim/study/power_limit.hpp"
#include "sim/training/seating.hpp"
#include "sim/training/shard_moves.hpp"

#include <algorithm>
#include <tuple>

namespace nvl72 {

/// Layers dealt out to chunks: which contents there are, and which chunk has which.
struct LayoutBounder::Deal {
    std::vector<ChunkContent> contents;
    std::vector<std::uint16_t> which;  // by model chunk
};

/// What is in flight on a stage, in the order of its turns.
struct LayoutBounder::Kept {
    struct Change {
        std::int16_t chunk;
        bool begins;  // or ends
        bool again;   // what the gradient of an input makes again, not what a forward keeps
    };
    std::vector<std::vector<Change>> changes;  // by stage
    std::vector<std::int32_t> most;            // forwards in flight at once, by stage

    /// At most, of a stage that holds these parts.
    void in_flight(std::size_t stage,
                   std::vector<ChunkMemory::Part const*> const& parts,
                   StageNeeds& needs) const {
        double alive = 0, away = 0;
        for (Change const& change : changes[stage]) {
            auto const& part = *parts[static_cast<std::size_t>(change.chunk)];
            double const bytes = change.again ? part.again : part.kept;
            alive += change.begins ? bytes : -bytes;
            if (!change.again) away += change.begins ? part.offloaded : -part.offloaded;
            needs.in_flight = std::max(needs.in_flight, alive);
            needs.offloaded = std::max(needs.offloaded, away);
        }
    }
};

struct LayoutBounder::Order {
    std::vector<StageOrder> stages;  // none: the schedule cannot run the shape
    Kept const* kept = nullptr;
};

/// What a step moves of gradients and parameters, by class and content, and what ends its stages.
struct LayoutBounder::Moves {
    struct Chunk {
        Picoseconds gather, reduce;
    };
    struct Stage {
        Picoseconds optimizer, exposed_dp;
    };
    std::vector<Chunk> chunks;
    std::vector<Stage> stages;
};

/// A cut with its groups on the fabric: stages that are wired alike are a class.
struct LayoutBounder::Seated {
    struct Class {
        StageLinks links;
        std::array<GroupShape, shard_groups> shards;
        friend bool operator==(Class const&, Class const&) = default;
    };
    bool bidirectional = false;
    std::vector<Class> classes;
    std::vector<std::vector<std::uint16_t>> columns;  // class, by stage
    std::map<std::tuple<int, LayoutEnds, std::uint16_t>, Moves> moves;
};

/// A deal with the prices of one micro-batch.
struct LayoutBounder::Dealt {
    Deal const* deal = nullptr;
    std::vector<ChunkTurnTimes> turns;  // by class, then content
    std::vector<Picoseconds> sends;     // by class
    ChunkMemory const* memory = nullptr;
    std::vector<ChunkMemory::Part> parts;  // by content
};

struct LayoutBounder::Work {
    using CutKey = std::tuple<int, int, int, int, int, int, bool, bool>;
    using TurnKey = std::tuple<std::array<int, 4>,
                               std::tuple<bool, CpExchange, std::int64_t, int>,
                               std::array<GroupShape, 4>>;
    using MemoryKey = std::tuple<std::array<int, 4>, bool, std::int64_t, int>;
    /// Memory's refers to the others.
    struct Held {
        Parallel parallel;
        MemoryPolicy policy;
        std::optional<ChunkMemory> memory;
    };
    std::map<std::tuple<int, int, LayoutEnds>, std::optional<Deal>> deals;
    std::map<std::tuple<std::uint8_t, int, int, int>, Order> orders;
    std::map<std::tuple<std::uint8_t, int, int, int>, Kept> kept;
    std::map<CutKey, Seated> seated;
    std::map<TurnKey, TurnTimes> turns;
    std::map<MemoryKey, Held> memory;
    std::map<std::tuple<CollectiveOp, std::int64_t, GroupShape>, Picoseconds> moves;
    StepTimes times;
    std::vector<ChunkMemory::Part const*> stage_parts;
    std::vector<MemoryPolicy> policies;  // by recipe
};

PlanCounts& PlanCounts::operator+=(PlanCounts const& more) {
    for (auto const member : {&PlanCounts::crossed, &PlanCounts::refused, &PlanCounts::too_large,
                              &PlanCounts::bounded, &PlanCounts::walked, &PlanCounts::simulated}) {
        this->*member += more.*member;
    }
    return *this;
}

namespace {

constexpr std::array told_axes{PlanAxis::tp, PlanAxis::pp,          PlanAxis::cp,
                               PlanAxis::ep, PlanAxis::micro_batch, PlanAxis::recompute};

/// Which of two that do not fit is told: the smaller; of equals, always the same.
bool smaller(TooLarge const& a, TooLarge const& b) {
    auto const key = [](TooLarge const& one) {
        LayoutPoint const& at = one.layout;
        return std::tuple(one.memory.total(), at.tp, at.pp, at.cp, at.vp, at.ep, at.expert_tp,
                          at.fsdp, at.micro_batch, at.recipe, at.schedule, at.ends, at.cp_comm_type,
                          at.sequence_parallel);
    };
    return key(a) < key(b);
}

}  // namespace

void TooLargeTable::note(PlanJob const& job, LayoutPoint const& layout, Memory const& memory) {
    TooLarge const one{layout, memory};
    if (!least || smaller(one, *least)) least = one;
    for (PlanAxis const axis : told_axes) {
        auto const [found, made] = by_value.try_emplace({axis, axis_value(job, layout, axis)}, one);
        if (!made && smaller(one, found->second)) found->second = one;
    }
}

void TooLargeTable::merge(TooLargeTable const& more) {
    if (more.least && (!least || smaller(*more.least, *least))) least = more.least;
    for (auto const& [key, one] : more.by_value) {
        auto const [found, made] = by_value.try_emplace(key, one);
        if (!made && smaller(one, found->second)) found->second = one;
    }
}

namespace {

Profile clocked(LoadedPoint const& point) {
    if (!point.power) return point.profile;
    return at_clock(point.profile, clock_of_gpu_cap(*point.power, point.fabric.gpu().tdp));
}

}  // namespace

LayoutBounder::LayoutBounder(PlanJob const& job)
    : job_(job),
      profile_(clocked(job.point)),
      book_([this](Query const& query) { return cost(profile_, query, Load::sustained); }),
      usable_(job.point.fabric.gpu().hbm_usable()),
      host_(host_memory(job.point.fabric.cluster())),
      work_(std::make_unique<Work>()) {
    for (auto const& variant : job.recipes)
        work_->policies.push_back(memory_policy(variant.recipe, job.point.precision));
}

LayoutBounder::~LayoutBounder() = default;

LayoutBounder::Deal const* LayoutBounder::deal(int pp, int vp, LayoutEnds ends) {
    auto const [found, made] = work_->deals.try_emplace({pp, vp, ends});
    auto& kept = found->second;
    if (!made) return kept ? &*kept : nullptr;
    LayoutPoint point;
    point.pp = pp;
    point.vp = vp;
    point.ends = ends;
    point.schedule = static_cast<std::uint8_t>(&default_schedule(vp) - pipeline_schedules.data());
    Architecture const& a = job_.point.model;
    std::vector<Chunk> chunks;
    try {
        chunks = check_layout(layout_of(point), pp, a, pp, job_.sequence()).chunks;
    } catch (ConfigError const&) {
        return nullptr;
    }
    Deal deal;
    for (Chunk const& chunk : chunks) {
        ChunkContent const content{a.count_layers(chunk.first_layer, chunk.layers),
                                   chunk.has_embedding, chunk.has_head,
                                   chunk.has_head ? a.mtp_layers : 0};
        auto const known = std::ranges::find(deal.contents, content);
        deal.which.push_back(static_cast<std::uint16_t>(known - deal.contents.begin()));
        if (known == deal.contents.end()) deal.contents.push_back(content);
    }
    kept = std::move(deal);
    return &*kept;
}

LayoutBounder::Kept const& LayoutBounder::kept(std::uint8_t index, PipelineShape shape) {
    PipelineSchedule const& schedule = pipeline_schedules.at(index);
    // As peak_in_flight: the pattern repeats.
    if (!schedule.keeps_all) shape.micro_batches = std::min(shape.micro_batches, 6 * shape.stages);
    auto const [found, made] =
        work_->kept.try_emplace({index, shape.stages, shape.chunks, shape.micro_batches});
    Kept& kept = found->second;
    if (!made) return kept;
    for (int s = 0; s < shape.stages; ++s) {
        auto& changes = kept.changes.emplace_back();
        std::int32_t alive = 0, most = 0;
        for (Turn const& turn : schedule.turns(shape, s)) {
            auto const change = [&](int chunk, bool begins, bool again) {
                changes.push_back({static_cast<std::int16_t>(chunk), begins, again});
            };
            if (auto const begun = turn.runs_forward()) {
                change(begun->chunk, true, false);
                most = std::max(most, ++alive);
            }
            if (turn.kind == TurnKind::input_gradient) change(turn.own.chunk, true, true);
            if (turn.kind == TurnKind::weight_gradient) change(turn.own.chunk, false, true);
            if (auto const ended = turn.ends_backward()) {
                change(ended->chunk, false, false);
                --alive;
            }
        }
        kept.most.push_back(most);
    }
    return kept;
}

LayoutBounder::Order const& LayoutBounder::order(std::uint8_t index, PipelineShape const& shape) {
    auto const [found, made] =
        work_->orders.try_emplace({index, shape.stages, shape.chunks, shape.micro_batches});
    Order& order = found->second;
    if (!made) return order;
    PipelineSchedule const& schedule = pipeline_schedules.at(index);
    std::int64_t const turns = std::int64_t{shape.micro_batches} * shape.stages * shape.chunks;
    if (schedule.refusal(shape) || turns > turns_max) return order;
    order.stages = stage_orders(schedule, shape);
    order.kept = &kept(index, shape);
    return order;
}

Parallel LayoutBounder::parallel(LayoutPoint const& point) const {
    Parallel parallel;
    parallel.gpus = job_.gpus();
    parallel.tp = point.tp;
    parallel.pp = point.pp;
    parallel.cp = point.cp;
    parallel.vp = point.vp;
    parallel.ep = point.ep;
    parallel.expert_tp = point.expert_tp;
    parallel.dp = parallel.gpus / point.tp / point.pp / point.cp;
    parallel.expert_dp = parallel.gpus / point.pp / point.ep / point.expert_tp;
    parallel.fsdp = point.fsdp;
    parallel.micro_batch = point.micro_batch;
    parallel.micro_batches = job_.global_batch() / parallel.dp / point.micro_batch;
    parallel.global_batch = job_.global_batch();
    parallel.sequence = job_.sequence();
    parallel.padded_vocab = (job_.point.model.vocab + point.tp - 1) / point.tp * point.tp;
    parallel.sequence_parallel = point.sequence_parallel && point.tp > 1;
    parallel.cp_comm_type = point.cp_comm_type;
    parallel.schedule = &pipeline_schedules.at(point.schedule);
    return parallel;
}

LayoutBounder::Seated& LayoutBounder::seated(LayoutCut const& cut, bool bidirectional) {
    auto const [found, made] =
        work_->seated.try_emplace({cut.tp, cut.pp, cut.cp, cut.ep, cut.expert_tp, cut.fsdp,
                                   cut.sequence_parallel, bidirectional});
    Seated& seated = found->second;
    if (!made) return seated;
    seated.bidirectional = bidirectional;
    LayoutPoint point;
    point.tp = cut.tp;
    point.pp = cut.pp;
    point.cp = cut.cp;
    point.ep = cut.ep;
    point.expert_tp = cut.expert_tp;
    point.fsdp = cut.fsdp;
    while (pipeline_schedules.at(point.schedule).bidirectional != bidirectional) ++point.schedule;
    Seating const seating = seat(parallel(point), job_.point.fabric);
    for (ReplicaColumn const& column : seating.columns) {
        auto& classes = seated.columns.emplace_back();
        for (std::size_t s = 0; s < column.stages.size(); ++s) {
            Seated::Class const one{column.stages[s], seating.shards[s]};
            auto const known = std::ranges::find(seated.classes, one);
            classes.push_back(static_cast<std::uint16_t>(known - seated.classes.begin()));
            if (known == seated.classes.end()) seated.classes.push_back(one);
        }
    }
    return seated;
}

TurnTimes const& LayoutBounder::turn_times(Parallel const& parallel,
                                           StageLinks const& links,
                                           int like) {
    Work::TurnKey const key{
        {parallel.tp, parallel.cp, parallel.ep, parallel.expert_tp},
        {parallel.sequence_parallel, parallel.cp_comm_type, parallel.micro_batch, like},
        {links.tp, links.cp, links.ep, links.fsdp}};
    auto const found = work_->turns.find(key);
    if (found != work_->turns.end()) return found->second;
    return work_->turns
        .emplace(key,
                 TurnTimes(divisible_architecture(job_.point.model, parallel), job_.point.precision,
                           job_.recipes.at(static_cast<std::size_t>(like)).recipe, profile_, book_,
                           turn_shape(parallel, links, Grain::block), true))
        .first->second;
}

ChunkMemory const& LayoutBounder::chunk_memory(Parallel const& parallel, int like) {
    auto const [found, made] =
        work_->memory.try_emplace({{parallel.tp, parallel.cp, parallel.ep, parallel.expert_tp},
                                   parallel.sequence_parallel,
                                   parallel.micro_batch,
                                   like});
    Work::Held& held = found->second;
    if (!made) return *held.memory;
    held.parallel = parallel;
    held.policy = work_->policies.at(static_cast<std::size_t>(like));
    held.memory.emplace(held.parallel, job_.point.model, held.policy);
    return *held.memory;
}

LayoutBounder::Moves const& LayoutBounder::moves(Seated& seated,
                                                 LayoutPoint const& point,
                                                 Deal const& deal) {
    auto const [found, made] = seated.moves.try_emplace({point.vp, point.ends, point.recipe});
    Moves& moves = found->second;
    if (!made) return moves;
    Recipe const& recipe = job_.recipes.at(point.recipe).recipe;
    Parallel const cut = parallel(point);
    Architecture const whole = divisible_architecture(job_.point.model, cut);
    auto const alone = [&](ShardMove const& move, GroupShape const& group) {
        if (group.ranks == 1 || move.size.count == 0) return Picoseconds{};
        auto const [known, fresh] =
            work_->moves.try_emplace({move.op, move.size.count, group}, Picoseconds{});
        if (fresh) {
            auto const plan = plan_collective(profile_, move.op, move.size, group);
            known->second = book_.price(plan.query).time;
        }
        return known->second;
    };
    std::vector<StageParameters> held;
    for (ChunkContent const& content : deal.contents) {
        held.push_back(
            ChunkMemory::parameters(cut, whole, {content.layers, content.embedding, content.head}));
    }
    bool const exposes = recipe.overlap.dp && recipe.overlap.dp_hidden < 1;
    std::vector<Picoseconds> exposed;  // as chunks
    for (Seated::Class const& one : seated.classes) {
        for (StageParameters const& own : held) {
            auto const all = shard_moves(cut, recipe, job_.point.precision, own);
            Moves::Chunk chunk;
            Picoseconds shown;
            for (std::size_t group = 0; group < shard_groups; ++group) {
                auto const reduce = alone(all.reduce.at(group), one.shards.at(group));
                auto const gather = alone(all.gather.at(group), one.shards.at(group));
                chunk.reduce += reduce;
                chunk.gather += gather;
                for (auto const time : {reduce, gather})
                    shown += from_seconds(to_seconds(time) * (1 - recipe.overlap.dp_hidden));
            }
            moves.chunks.push_back(chunk);
            exposed.push_back(exposes ? shown : Picoseconds{});
        }
    }
    PipelineShape const shape{point.pp, point.vp, 1};
    PipelineSchedule const& schedule = *cut.schedule;
    for (int s = 0; s < point.pp; ++s) {
        StageParameters sum;
        Picoseconds shown;
        for (int c = 0; c < schedule.held_chunks(shape); ++c) {
            auto const content =
                deal.which.at(static_cast<std::size_t>(schedule.model_chunk(shape, s, c)));
            sum += held.at(content);
            auto const of_class = seated.columns.front().at(static_cast<std::size_t>(s));
            shown += exposed.at(of_class * deal.contents.size() + content);
        }
        MemoryTraffic const update{optimizer_traffic(cut, recipe, sum), 1};
        moves.stages.push_back({book_.price(update).time, shown});
    }
    return moves;
}

bool LayoutBounder::fits(Memory const& memory) const {
    return memory.total() <= usable_ && memory.offloaded <= host_;
}

LayoutBounder::Dealt LayoutBounder::dealt(Seated const& seated,
                                          LayoutPoint const& point,
                                          Deal const& deal) {
    int const like = job_.recipes.at(point.recipe).like;
    Parallel const own = parallel(point);
    Dealt dealt;
    dealt.deal = &deal;
    for (Seated::Class const& one : seated.classes) {
        TurnTimes const& times = turn_times(own, one.links, like);
        for (ChunkContent const& content : deal.contents) dealt.turns.push_back(times.of(content));
        Picoseconds send;
        if (point.pp > 1) {
            auto const size = sent_activations(own, job_.point.model);
            auto const [known, fresh] = work_->moves.try_emplace(
                {CollectiveOp::sendrecv, size.count, one.links.next}, Picoseconds{});
            if (fresh && size.count > 0) {
                auto const plan =
                    plan_collective(profile_, CollectiveOp::sendrecv, size, one.links.next);
                known->second = book_.price(plan.query).time;
            }
            send = known->second;
        }
        dealt.sends.push_back(send);
    }
    dealt.memory = &chunk_memory(own, like);
    for (ChunkContent const& content : deal.contents) {
        dealt.parts.push_back(dealt.memory->of({content.layers, content.embedding, content.head}));
    }
    return dealt;
}

/// Of the fullest stage. Where a stage holds what the one before it holds, with no more of it in
/// flight, it cannot be the fullest.
Memory LayoutBounder::memory(LayoutPoint const& point,
                             Parallel const& parallel,
                             Dealt const& dealt) {
    PipelineSchedule const& schedule = *parallel.schedule;
    PipelineShape const shape = parallel.pipeline();
    Kept const& kept = *order(point.schedule, shape).kept;
    MemoryPolicy const& policy = work_->policies.at(point.recipe);
    int const held = schedule.held_chunks(shape);
    auto const part_of = [&](int s, int c) {
        return dealt.deal->which[static_cast<std::size_t>(schedule.model_chunk(shape, s, c))];
    };
    Memory worst;
    std::int32_t most_before = 0;
    auto& parts = work_->stage_parts;
    for (int s = 0; s < point.pp; ++s) {
        bool alike = true, as_before = s > 0;
        for (int c = 0; c < held; ++c) {
            alike = alike && part_of(s, c) == part_of(s, 0);
            as_before = as_before && part_of(s, c) == part_of(s - 1, c);
        }
        auto const at = static_cast<std::size_t>(s);
        bool const again = dealt.parts[part_of(s, 0)].again > 0;
        bool const simple = alike && !again;
        if (simple && as_before && kept.most[at] <= most_before) continue;
        most_before = simple ? kept.most[at] : 0;
        parts.clear();
        for (int c = 0; c < held; ++c) parts.push_back(&dealt.parts[part_of(s, c)]);
        StageNeeds needs = dealt.memory->stage(parts);
        if (simple) {
            needs.in_flight = kept.most[at] * parts.front()->kept;
            needs.offloaded = kept.most[at] * parts.front()->offloaded;
        } else {
            kept.in_flight(at, parts, needs);
        }
        Memory const own = memory_from(parallel, policy, s, needs);
        if (s == 0 || own.total() > worst.total()) worst = own;
    }
    return worst;
}

Picoseconds LayoutBounder::slowest(Seated& seated,
                                   LayoutPoint const& point,
                                   Parallel const& parallel,
                                   Dealt const& dealt,
                                   bool walked) {
    PipelineSchedule const& schedule = *parallel.schedule;
    Deal const& deal = *dealt.deal;
    Moves const& moves = this->moves(seated, point, deal);
    Recipe const& recipe = job_.recipes.at(point.recipe).recipe;
    StepTimes& times = work_->times;
    times.schedule = &schedule;
    times.shape = parallel.pipeline();
    times.overlaps_dp = recipe.overlap.dp;
    times.overlaps_pp = recipe.overlap.pp;
    times.reduces_every_turn = recipe.state.shard_gradients && parallel.fsdp == 1;
    std::size_t const contents = deal.contents.size();
    times.chunks.assign(dealt.turns.size(), {});
    for (std::size_t i = 0; i < dealt.turns.size(); ++i) {
        ChunkTurnTimes const& turn = dealt.turns[i];
        ChunkTimes& own = times.chunks[i];
        double const leaves = dealt.parts[i % contents].offloaded;
        if (leaves > 0) own.offload = offload_time(job_.point.fabric.cluster(), leaves);
        own.gather = moves.chunks[i].gather;
        own.reduce = moves.chunks[i].reduce;
        auto const set = [&](TurnKind kind, TurnTime const& time) {
            own.turn[static_cast<std::size_t>(kind)] = time.total();
        };
        set(TurnKind::forward, turn.forward);
        set(TurnKind::backward, turn.backward);
        set(TurnKind::input_gradient, turn.inputs);
        set(TurnKind::weight_gradient, turn.weights);
    }
    int const held = schedule.held_chunks(times.shape);
    Picoseconds worst;
    for (auto const& column : seated.columns) {
        times.which.clear();
        times.stages.clear();
        for (int s = 0; s < point.pp; ++s) {
            std::size_t const of_class = column[static_cast<std::size_t>(s)];
            auto const first = times.which.size();
            for (int c = 0; c < held; ++c) {
                auto const chunk = schedule.model_chunk(times.shape, s, c);
                auto const content = deal.which[static_cast<std::size_t>(chunk)];
                times.which.push_back(static_cast<std::uint16_t>(of_class * contents + content));
            }
            auto const& end = moves.stages[static_cast<std::size_t>(s)];
            times.stages.push_back({dealt.sends[of_class], end.optimizer, end.exposed_dp});
            if (!schedule.bidirectional) continue;
            // A forward beside the backward of the stage's other chunk: entries of its own.
            std::uint16_t const pair[2] = {times.which[first], times.which[first + 1]};
            for (std::size_t c = 0; c < 2; ++c) {
                ChunkTimes both = times.chunks[pair[c]];
                both.turn[static_cast<std::size_t>(TurnKind::overlapped)] =
                    overlapped_time(dealt.turns[pair[c]].forward, dealt.turns[pair[1 - c]].backward)
                        .total();
                times.which[first + c] = static_cast<std::uint16_t>(times.chunks.size());
                times.chunks.push_back(both);
            }
        }
        worst =
            std::max(worst, walked ? walked_step(times)
                                   : step_bound(times, order(point.schedule, times.shape).stages));
        times.chunks.resize(dealt.turns.size());
    }
    return worst;
}

void LayoutBounder::schedules(LayoutPoint point,
                              Seated& seated,
                              Dealt const& dealt,
                              Taker const& take) {
    std::uint16_t const like = point.recipe;
    for (std::size_t i = 0; i < pipeline_schedules.size(); ++i) {
        bool const wanted = pipeline_schedules.at(i).bidirectional == seated.bidirectional &&
                            job_.allows(PlanAxis::schedule, static_cast<std::int64_t>(i));
        if (!wanted) continue;
        point.schedule = static_cast<std::uint8_t>(i);
        point.recipe = like;
        Parallel const own = parallel(point);
        bool const runs = !order(point.schedule, own.pipeline()).stages.empty();
        for (; point.recipe < job_.recipes.size() && job_.recipes[point.recipe].like == like;
             ++point.recipe) {
            int const zero = job_.recipes[point.recipe].zero;
            bool const sharded = point.fsdp > 1 || own.dp * own.cp == 1;
            if (sharded && point.recipe != like) break;  // all the same
            if (!job_.allows(PlanAxis::zero, zero)) continue;
            ++counts_.crossed;
            if (!runs) {
                ++counts_.refused;
                continue;
            }
            Memory const full = memory(point, own, dealt);
            if (!fits(full)) {
                ++counts_.too_large;
                too_large_.note(job_, point, full);
                continue;
            }
            ++counts_.bounded;
            take({point, slowest(seated, point, own, dealt, false), full.total()});
        }
    }
}

void LayoutBounder::micro_batches(LayoutPoint point, Seated& seated, Taker const& take) {
    constexpr std::array all_ends{LayoutEnds::even, LayoutEnds::as_layers, LayoutEnds::uneven,
                                  LayoutEnds::loss_apart, LayoutEnds::ends_apart};
    int const vp_max = seated.bidirectional || point.pp == 1
                           ? 1
                           : std::max(1, (job_.point.model.layers + 2) / point.pp);
    for (int vp = 1; vp <= vp_max; ++vp) {
        if (!job_.allows(PlanAxis::vp, vp)) continue;
        point.vp = vp;
        for (LayoutEnds const ends : all_ends) {
            if (!job_.allows(PlanAxis::ends, static_cast<std::int64_t>(ends))) continue;
            // Uneven is what does not divide; it would deal the others out as they are.
            bool const divides = job_.point.model.layers % (point.pp * vp) == 0;
            if (ends == LayoutEnds::uneven && divides) continue;
            Deal const* dealt_out = deal(point.pp, vp, ends);
            if (dealt_out == nullptr) continue;
            point.ends = ends;
            schedules(point, seated, dealt(seated, point, *dealt_out), take);
        }
    }
}

namespace {

LayoutPoint point_of_cut(LayoutCut const& cut) {
    LayoutPoint point;
    point.tp = cut.tp;
    point.pp = cut.pp;
    point.cp = cut.cp;
    point.ep = cut.ep;
    point.expert_tp = cut.expert_tp;
    point.fsdp = cut.fsdp;
    point.sequence_parallel = cut.sequence_parallel;
    return point;
}

}  // namespace

void LayoutBounder::bound(LayoutCut const& cut, Taker const& take) {
    LayoutPoint point = point_of_cut(cut);
    std::int64_t const dp = job_.gpus() / cut.tp / cut.pp / cut.cp;
    auto const sizes = divisors_of(job_.global_batch() / dp);
    for (bool const bidirectional : {false, true}) {
        if (bidirectional && cut.pp % 2 != 0) continue;
        Seated& seated = this->seated(cut, bidirectional);
        for (std::int64_t const size : sizes) {
            if (!job_.allows(PlanAxis::micro_batch, size)) continue;
            point.micro_batch = static_cast<std::int32_t>(size);
            for (auto const comm : {CpExchange::p2p, CpExchange::all_gather}) {
                bool const there = comm == CpExchange::p2p || cut.cp > 1;
                if (!there || !job_.allows(PlanAxis::cp_comm_type, static_cast<int>(comm)))
                    continue;
                point.cp_comm_type = comm;
                for (std::size_t r = 0; r < job_.recipes.size(); ++r) {
                    point.recipe = static_cast<std::uint16_t>(r);
                    auto const& recipe = job_.recipes[r];
                    bool const wanted =
                        recipe.like == r &&
                        job_.allows(PlanAxis::recompute, static_cast<int>(recipe.recompute)) &&
                        job_.allows(PlanAxis::tp_overlap, recipe.recipe.overlap.tp ? 1 : 0) &&
                        job_.allows(PlanAxis::offload, recipe.offload);
                    if (wanted) micro_batches(point, seated, take);
                }
            }
        }
    }
}

namespace {

LayoutCut cut_of(LayoutPoint const& point) {
    return {point.tp,
            point.pp,
            point.cp,
            point.ep,
            point.expert_tp,
            point.fsdp,
            point.sequence_parallel};
}

}  // namespace

BoundedLayout LayoutBounder::bound(LayoutPoint const& point) {
    Parallel const own = parallel(point);
    Seated& seated = this->seated(cut_of(point), own.schedule->bidirectional);
    Deal const* dealt_out = deal(point.pp, point.vp, point.ends);
    NVL72_EXPECT(dealt_out != nullptr && !order(point.schedule, own.pipeline()).stages.empty(),
                 "the layout is one of the search's");
    Dealt const priced = dealt(seated, point, *dealt_out);
    return {point, slowest(seated, point, own, priced, false), memory(point, own, priced).total()};
}

Picoseconds LayoutBounder::walk(LayoutPoint const& point) {
    ++counts_.walked;
    Parallel const own = parallel(point);
    Seated& seated = this->seated(cut_of(point), own.schedule->bidirectional);
    return slowest(seated, point, own, dealt(seated, point, *deal(point.pp, point.vp, point.ends)),
                   true);
}

}  // namespace nvl72
