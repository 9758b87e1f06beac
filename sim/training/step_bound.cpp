#include "sim/training/step_bound.hpp"

#include "sim/base/error.hpp"

#include <algorithm>

namespace nvl72 {

namespace {

/// Past so many rounds of the pipeline a schedule is in its steady state.
constexpr int rounds_whole = 8;

std::vector<StageOrder> listed(PipelineSchedule const& schedule, PipelineShape const& shape) {
    std::vector<StageOrder> orders;
    auto const held = static_cast<std::size_t>(schedule.held_chunks(shape));
    for (int s = 0; s < shape.stages; ++s) {
        StageOrder order;
        order.turns.resize(held);
        order.after.resize(held);
        bool begun = false;
        for (Turn const& turn : schedule.turns(shape, s)) {
            auto const kind = static_cast<std::size_t>(turn.kind);
            auto const own = static_cast<std::size_t>(turn.own.chunk);
            if (auto const first = turn.runs_forward(); first && !begun) {
                begun = true;
                order.first_held = first->chunk;
                order.first_chunk = schedule.model_chunk(shape, s, first->chunk);
                order.first_reversed = schedule.reversed(shape, first->micro_batch);
            }
            ++order.turns[own][kind];
            ++order.after[own][kind];
            if (auto const back = turn.returns_gradient()) {
                order.last_chunk = schedule.model_chunk(shape, s, back->chunk);
                order.last_reversed = schedule.reversed(shape, back->micro_batch);
                std::ranges::fill(order.after, std::array<std::int32_t, turn_kinds>{});
            }
            if (auto const ended = turn.ends_backward()) order.last_held = ended->chunk;
        }
        orders.push_back(std::move(order));
    }
    return orders;
}

/// Ways of one micro-batch through the pipeline, as sums of the shortest turns on it.
class Ways {
public:
    explicit Ways(StepTimes const& times) : times_(times) {
        chunks_ = times.schedule->model_chunks(times.shape);
        for (bool const reversed : {false, true}) {
            if (reversed && !times.schedule->bidirectional) break;
            for (int g = 0; g < chunks_; ++g) add(g, reversed);
        }
    }

    /// From the input to the start of model chunk `g`.
    [[nodiscard]] Picoseconds there(int g, bool reversed) const {
        return there_[index(g, reversed)];
    }
    /// From the end of that chunk's gradient to the end of the first one's.
    [[nodiscard]] Picoseconds back(int g, bool reversed) const { return back_[index(g, reversed)]; }
    [[nodiscard]] int stage_of(int g, bool reversed) const {
        int const stage = g % times_.shape.stages;
        return reversed ? times_.shape.stages - 1 - stage : stage;
    }
    [[nodiscard]] int held_of(int g, bool reversed) const {
        return reversed ? 1 : g / times_.shape.stages;
    }

private:
    [[nodiscard]] std::size_t index(int g, bool reversed) const {
        return static_cast<std::size_t>(reversed ? chunks_ + g : g);
    }

    void add(int g, bool reversed) {
        if (g == 0) {
            there_.emplace_back();
            back_.emplace_back();
            return;
        }
        int const stage = stage_of(g - 1, reversed);
        int const next = stage_of(g, reversed);
        bool const moves = times_.shape.stages > 1;
        auto const send = [&](int owner) {
            return moves ? times_.stages[static_cast<std::size_t>(owner)].send : Picoseconds{};
        };
        // A link belongs to the stage below it, whichever way it is crossed.
        int const owner = reversed ? next : stage;
        int const held = held_of(g - 1, reversed);
        ChunkTimes const& own = times_.of(stage, held);
        Picoseconds forward = own.of(TurnKind::forward);
        Picoseconds gradient = own.of(TurnKind::backward);
        if (times_.schedule->splits_backward)
            gradient = std::min(gradient, own.of(TurnKind::input_gradient));
        if (times_.schedule->bidirectional) {
            forward = std::min(forward, own.of(TurnKind::overlapped));
            gradient = std::min(gradient, times_.of(stage, 1 - held).of(TurnKind::overlapped));
        }
        there_.push_back(there_.back() + forward + send(owner));
        back_.push_back(back_.back() + gradient + send(owner));
    }

    StepTimes const& times_;
    int chunks_ = 0;
    std::vector<Picoseconds> there_, back_;
};

Picoseconds work(StepTimes const& times, int stage, StageOrder::Counts const& counts) {
    Picoseconds sum;
    for (std::size_t c = 0; c < counts.size(); ++c) {
        ChunkTimes const& own = times.of(stage, static_cast<int>(c));
        for (std::size_t kind = 0; kind < turn_kinds; ++kind) {
            if (counts[c][kind] > 0) sum += own.turn[kind] * counts[c][kind];
        }
    }
    return sum;
}

bool moves_activations(TurnKind kind) { return kind != TurnKind::weight_gradient; }

/// What offloading takes longer than its turns, in all but a stage's first, whose activations may
/// leave before they have come.
Picoseconds outlasting(StepTimes const& times, int stage, StageOrder const& order) {
    Picoseconds sum;
    auto const longer = [](ChunkTimes const& own, TurnKind kind) {
        return std::max(Picoseconds{0}, own.offload - own.of(kind));
    };
    for (std::size_t c = 0; c < order.turns.size(); ++c) {
        ChunkTimes const& own = times.of(stage, static_cast<int>(c));
        if (own.offload.count == 0) continue;
        for (std::size_t kind = 0; kind < turn_kinds; ++kind) {
            auto const turn = static_cast<TurnKind>(kind);
            if (moves_activations(turn)) sum += longer(own, turn) * order.turns[c][kind];
        }
    }
    if (sum.count == 0) return sum;
    return sum - longer(times.of(stage, order.first_held), TurnKind::forward);
}

/// What follows a stage's last turn, which ended a backward of `held`.
Picoseconds tail(StepTimes const& times, int stage, int held) {
    auto const& own = times.stages[static_cast<std::size_t>(stage)];
    return times.of(stage, held).reduce + own.exposed_dp + own.optimizer;
}

/// All that a stage's data-parallel stream has to move where every turn's gradients are summed.
Picoseconds reductions(StepTimes const& times, int stage) {
    auto const& own = times.stages[static_cast<std::size_t>(stage)];
    Picoseconds sum = own.exposed_dp + own.optimizer;
    int const turns = times.shape.micro_batches / (times.schedule->bidirectional ? 2 : 1);
    for (int c = 0; c < times.schedule->held_chunks(times.shape); ++c) {
        ChunkTimes const& chunk = times.of(stage, c);
        sum += chunk.gather + chunk.reduce * turns;
    }
    return sum;
}

}  // namespace

std::vector<StageOrder> stage_orders(PipelineSchedule const& schedule, PipelineShape const& shape) {
    if (shape.micro_batches <= rounds_whole * shape.stages) return listed(schedule, shape);
    int const round = 2 * shape.stages;
    PipelineShape few = shape;
    few.micro_batches = 2 * round + shape.micro_batches % round;
    PipelineShape more = few;
    more.micro_batches += round;
    int const rounds = (shape.micro_batches - few.micro_batches) / round;
    auto orders = listed(schedule, few);
    auto const longer = listed(schedule, more);
    for (std::size_t s = 0; s < orders.size(); ++s) {
        for (std::size_t c = 0; c < orders[s].turns.size(); ++c) {
            for (std::size_t kind = 0; kind < turn_kinds; ++kind) {
                auto& count = orders[s].turns[c][kind];
                count += rounds * (longer[s].turns[c][kind] - count);
            }
        }
    }
    return orders;
}

Picoseconds step_bound(StepTimes const& times, std::vector<StageOrder> const& orders) {
    Ways const ways(times);
    Picoseconds bound;
    for (int s = 0; s < times.shape.stages; ++s) {
        StageOrder const& order = orders[static_cast<std::size_t>(s)];
        int const origin = ways.stage_of(0, order.first_reversed);
        Picoseconds const arrives = times.of(origin, ways.held_of(0, order.first_reversed)).gather +
                                    ways.there(order.first_chunk, order.first_reversed);
        Picoseconds const begins = std::max(arrives, times.of(s, order.first_held).gather);
        Picoseconds const all = work(times, s, order.turns);
        Picoseconds const rest = work(times, s, order.after);
        int const home = ways.stage_of(0, order.last_reversed);
        Picoseconds const returns = all - rest + ways.back(order.last_chunk, order.last_reversed) +
                                    tail(times, home, ways.held_of(0, order.last_reversed));
        bound = std::max({bound, begins + all + tail(times, s, order.last_held), begins + returns});
        auto const& own = times.stages[static_cast<std::size_t>(s)];
        Picoseconds const moved = all + outlasting(times, s, order);
        bound = std::max(bound, begins + moved + own.exposed_dp + own.optimizer);
        if (times.reduces_every_turn) bound = std::max(bound, reductions(times, s));
    }
    return bound;
}

namespace {

/// Turns of one column, each stage as far as what it waits for is known.
class Walk {
public:
    explicit Walk(StepTimes const& times) : times_(times) {
        PipelineShape const& shape = times.shape;
        chunks_ = times.schedule->model_chunks(shape);
        auto const visits =
            static_cast<std::size_t>(chunks_) * static_cast<std::size_t>(shape.micro_batches);
        forwards_.assign(visits, unknown);
        backwards_.assign(visits, unknown);
        for (int s = 0; s < shape.stages; ++s) {
            Stage stage;
            stage.turns = times.schedule->turns(shape, s);
            begin(stage, s);
            stages_.push_back(std::move(stage));
        }
    }

    Picoseconds time() {
        for (bool moved = true; moved;) {
            moved = false;
            for (int s = 0; s < times_.shape.stages; ++s) moved = advance(s) || moved;
            for (int s = times_.shape.stages; s-- > 0;) moved = advance(s) || moved;
        }
        std::int64_t last = 0;
        for (int s = 0; s < times_.shape.stages; ++s) last = std::max(last, end_of(s));
        return Picoseconds{last};
    }

private:
    static constexpr std::int64_t unknown = -1;

    struct Stage {
        std::vector<Turn> turns;
        std::size_t next = 0;
        std::int64_t free = 0;                     // when the stage's compute stream is
        std::int64_t dp = 0;                       // when its data-parallel stream is
        std::int64_t up = 0, down = 0;             // when its sends are
        std::vector<std::int64_t> gathered, left;  // by held chunk
    };

    void begin(Stage& stage, int s) {
        int const held = times_.schedule->held_chunks(times_.shape);
        for (int c = 0; c < held; ++c) {
            stage.dp += times_.of(s, c).gather.count;
            stage.gathered.push_back(stage.dp);
        }
        bool const waits = !times_.overlaps_dp && times_.of(s, held - 1).gather.count > 0;
        if (waits) stage.free = stage.dp;
        stage.left.assign(static_cast<std::size_t>(held),
                          times_.shape.micro_batches / (times_.schedule->bidirectional ? 2 : 1));
    }

    [[nodiscard]] std::int64_t& known(std::vector<std::int64_t>& all,
                                      int g,
                                      int micro_batch) const {
        return all[static_cast<std::size_t>(g) *
                       static_cast<std::size_t>(times_.shape.micro_batches) +
                   static_cast<std::size_t>(micro_batch)];
    }

    /// When what a forward, or a backward, waits for has arrived.
    std::int64_t forward_ready(Stage const& stage, int s, Visit const& visit) {
        int const g = times_.schedule->model_chunk(times_.shape, s, visit.chunk);
        std::int64_t const gathered = stage.gathered[static_cast<std::size_t>(visit.chunk)];
        if (g == 0) return gathered;
        std::int64_t const before = known(forwards_, g - 1, visit.micro_batch);
        return before == unknown ? unknown : std::max(before, gathered);
    }
    std::int64_t backward_ready(int s, Visit const& visit) {
        int const g = times_.schedule->model_chunk(times_.shape, s, visit.chunk);
        return g + 1 < chunks_ ? known(backwards_, g + 1, visit.micro_batch)
                               : known(forwards_, g, visit.micro_batch);
    }

    bool advance(int s) {
        Stage& stage = stages_[static_cast<std::size_t>(s)];
        bool moved = false;
        for (; stage.next < stage.turns.size(); ++stage.next, moved = true) {
            Turn const& turn = stage.turns[stage.next];
            std::int64_t start = stage.free;
            std::int64_t away = start;
            if (auto const begun = turn.runs_forward()) {
                away = std::max(away, stage.gathered[static_cast<std::size_t>(begun->chunk)]);
                std::int64_t const ready = forward_ready(stage, s, *begun);
                if (ready == unknown) return moved;
                start = std::max(start, ready);
            }
            if (auto const back = turn.returns_gradient()) {
                std::int64_t const ready = backward_ready(s, *back);
                if (ready == unknown) return moved;
                start = std::max(start, ready);
            }
            ChunkTimes const& own = times_.of(s, turn.own.chunk);
            std::int64_t const finish = start + own.of(turn.kind).count;
            if (moves_activations(turn.kind)) away += own.offload.count;
            run(stage, s, turn, finish, std::max(finish, away));
        }
        return moved;
    }

    /// Its activations have left, or come, by `away`.
    void run(Stage& stage, int s, Turn const& turn, std::int64_t finish, std::int64_t away) {
        stage.free = away;
        if (auto const begun = turn.runs_forward()) hand_on(stage, s, *begun, true, finish);
        if (auto const back = turn.returns_gradient()) hand_on(stage, s, *back, false, finish);
        auto const ended = turn.ends_backward();
        if (!ended) return;
        auto const chunk = static_cast<std::size_t>(ended->chunk);
        bool const last = --stage.left[chunk] == 0;
        if (!times_.reduces_every_turn && !(times_.overlaps_dp && last)) return;
        std::int64_t const reduce = times_.of(s, ended->chunk).reduce.count;
        if (reduce == 0) return;
        stage.dp = std::max(stage.dp, finish) + reduce;
        if (!times_.overlaps_dp) stage.free = std::max(stage.free, stage.dp);
    }

    void hand_on(Stage& stage, int s, Visit const& visit, bool ahead, std::int64_t finish) {
        int const g = times_.schedule->model_chunk(times_.shape, s, visit.chunk);
        std::int64_t& arrives = known(ahead ? forwards_ : backwards_, g, visit.micro_batch);
        arrives = finish;
        int const next = ahead ? g + 1 : g - 1;
        if (next < 0 || next >= chunks_ || times_.shape.stages == 1) return;
        int const peer = times_.schedule->stage_of(times_.shape, next, visit.micro_batch);
        bool const up = ahead != times_.schedule->reversed(times_.shape, visit.micro_batch);
        std::int64_t& link = up ? stage.up : stage.down;
        int const owner = up ? s : peer;
        link = std::max(link, finish) + times_.stages[static_cast<std::size_t>(owner)].send.count;
        arrives = link;
        if (!times_.overlaps_pp) stage.free = std::max(stage.free, link);
    }

    std::int64_t end_of(int s) {
        Stage& stage = stages_[static_cast<std::size_t>(s)];
        NVL72_EXPECT(stage.next == stage.turns.size(), "every turn was walked");
        auto const held = static_cast<int>(stage.left.size());
        std::int64_t end = stage.free;
        if (!times_.overlaps_dp && !times_.reduces_every_turn) {
            stage.dp = std::max(stage.dp, end);
            for (int c = 0; c < held; ++c) stage.dp += times_.of(s, c).reduce.count;
        }
        end = std::max(end, stage.dp);
        auto const& own = times_.stages[static_cast<std::size_t>(s)];
        return end + own.exposed_dp.count + own.optimizer.count;
    }

    StepTimes const& times_;
    int chunks_ = 0;
    std::vector<Stage> stages_;
    std::vector<std::int64_t> forwards_, backwards_;  // when the next one has it
};

}  // namespace

Picoseconds walked_step(StepTimes const& times) { return Walk(times).time(); }

}  // namespace nvl72
