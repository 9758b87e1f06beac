#include "sim/training/step_graph.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>

namespace nvl72 {

namespace {

enum Phase : std::uint32_t {
    forward,
    backward,
    send_forward,
    send_backward,
    reduce,
    gather,
    optimizer,
    input_gradient,
    weight_gradient,
    overlapped,
    offload,
    reload
};

Phase phase_of(TurnKind kind) {
    switch (kind) {
        case TurnKind::forward: return forward;
        case TurnKind::backward: return backward;
        case TurnKind::input_gradient: return input_gradient;
        case TurnKind::weight_gradient: return weight_gradient;
        case TurnKind::overlapped: return overlapped;
    }
    return forward;
}

constexpr TaskId no_task{UINT32_MAX};

/// Tasks of one turn that wait for others, and that others wait for.
struct TurnTasks {
    std::vector<TaskId> first;
    std::vector<TaskId> last;
};

/// Communication that runs inside a turn.
constexpr std::array turn_dimensions{ParallelDimension::cp, ParallelDimension::tp,
                                     ParallelDimension::ep, ParallelDimension::dp};

class StepBuilder {
public:
    StepBuilder(PipelineSchedule const& schedule,
                PipelineShape const& pipeline,
                std::vector<StagePlan> const& stages,
                std::vector<StageCostIds> const& costs,
                OverlapPolicy const& overlap,
                CostBook const& book)
        : schedule_(schedule),
          pipeline_(pipeline),
          stages_(stages),
          costs_(costs),
          overlap_(overlap),
          book_(book) {
        NVL72_EXPECT(stages.size() % static_cast<std::size_t>(pipeline.stages) == 0,
                     "one plan for each stage of each column");
        for (char const* name : phase_names) builder_.add_phase(name);
        for (StagePlan const& stage : stages) add_stage(stage);
        auto const turns = static_cast<std::size_t>(model_chunks()) *
                           static_cast<std::size_t>(pipeline.micro_batches);
        for (auto* tasks : {&forwards_, &backwards_}) tasks->resize(turns);
    }

    TaskGraph build() {
        auto const stages = static_cast<std::size_t>(pipeline_.stages);
        for (column_ = 0; column_ < stages_.size(); column_ += stages) {
            for (int s = 0; s < pipeline_.stages; ++s) add_turns(s);
            connect_turns();
        }
        for (int g = 0; g < model_chunks(); ++g) connect_reductions(g);
        return builder_.build();
    }

private:
    /// Collectives that sum a chunk's gradients, and what they wait for.
    struct Reduction {
        std::array<TaskId, shard_groups> tasks{no_task, no_task};
        std::vector<TaskId> after;
    };

    struct StageIds {
        ClassId who;
        StreamId compute, tp, cp, ep, dp, fsdp, send[2], host[2];
        ResourceId nvlink_out, nvlink_in, nic_out, nic_in, sms, host_out, host_in;
        std::vector<std::array<TaskId, shard_groups>> gathered;  // by chunk
        std::vector<std::vector<Reduction>> reductions;          // by chunk, in order
    };

    /// Of the column that is being built, by stage.
    StageIds& ids_of(int s) { return ids_[column_ + static_cast<std::size_t>(s)]; }
    [[nodiscard]] StageIds const& ids_of(int s) const {
        return ids_[column_ + static_cast<std::size_t>(s)];
    }
    [[nodiscard]] StagePlan const& plan_of(int s) const {
        return stages_[column_ + static_cast<std::size_t>(s)];
    }
    [[nodiscard]] StageCostIds const& costs_of(int s) const {
        return costs_[column_ + static_cast<std::size_t>(s)];
    }

    [[nodiscard]] int model_chunks() const { return schedule_.model_chunks(pipeline_); }
    [[nodiscard]] int held_chunks() const { return schedule_.held_chunks(pipeline_); }
    [[nodiscard]] std::size_t turn_index(int global_chunk, int micro_batch) const {
        return static_cast<std::size_t>(global_chunk) *
                   static_cast<std::size_t>(pipeline_.micro_batches) +
               static_cast<std::size_t>(micro_batch);
    }

    void add_stage(StagePlan const& plan) {
        StageIds ids;
        ids.who = builder_.add_class({0, plan.gpus, plan.representative, plan.name});
        ids.compute = builder_.add_stream({ids.who, "compute", true});
        ids.tp = builder_.add_stream({ids.who, "tp"});
        ids.cp = builder_.add_stream({ids.who, "cp"});
        ids.ep = builder_.add_stream({ids.who, "ep"});
        ids.dp = builder_.add_stream({ids.who, "dp"});
        ids.fsdp = builder_.add_stream({ids.who, "fsdp"});
        ids.send[0] = builder_.add_stream({ids.who, "pp forward"});
        ids.send[1] = builder_.add_stream({ids.who, "pp backward"});
        ids.host[0] = builder_.add_stream({ids.who, "offload"});
        ids.host[1] = builder_.add_stream({ids.who, "reload"});
        // A resource nobody can use still needs a positive capacity; no traffic will name it.
        // Links are full duplex: what a GPU sends does not slow what it receives.
        double const nvlink = plan.nvlink.count > 0 ? plan.nvlink.count : 1;
        double const nic = plan.nic.count > 0 ? plan.nic.count : 1;
        ids.nvlink_out = builder_.add_resource({nvlink, 1});
        ids.nic_out = builder_.add_resource({nic, 1});
        ids.nvlink_in = builder_.add_resource({nvlink, 1});
        ids.nic_in = builder_.add_resource({nic, 1});
        ids.sms = builder_.add_resource({picoseconds_per_second, 1});
        double const host = plan.host.count > 0 ? plan.host.count : 1;
        ids.host_out = builder_.add_resource({host, 1});
        ids.host_in = builder_.add_resource({host, 1});
        ids.gathered.resize(plan.chunks.size(), {no_task, no_task});
        ids.reductions.resize(plan.chunks.size());
        ids_.push_back(std::move(ids));
    }

    TaskId add(Task const& task, std::vector<TaskId> needs, std::vector<Traffic> const& traffic) {
        std::erase(needs, no_task);
        return builder_.add_task(task, needs, traffic);
    }

    [[nodiscard]] double work_of(CostId cost) const {
        return static_cast<double>(book_.cost(cost).bandwidth_part.count);
    }

    using TrafficList = std::vector<Traffic>;

    void add_sent(TrafficList& traffic, int s, LinkLoad const& load) const {
        if (load.nvlink > 0) traffic.push_back({ids_of(s).nvlink_out, load.nvlink});
        if (load.nic > 0) traffic.push_back({ids_of(s).nic_out, load.nic});
    }
    void add_received(TrafficList& traffic, int s, LinkLoad const& load) const {
        if (load.nvlink > 0) traffic.push_back({ids_of(s).nvlink_in, load.nvlink});
        if (load.nic > 0) traffic.push_back({ids_of(s).nic_in, load.nic});
    }
    /// A collective inside the class: every rank receives what it sends.
    [[nodiscard]] TrafficList collective_traffic(int s, LinkLoad const& load) const {
        TrafficList traffic;
        add_sent(traffic, s, load);
        add_received(traffic, s, load);
        return traffic;
    }

    /// A data-parallel collective of one chunk; it holds its SMs while it moves data.
    TaskId add_data_parallel(int s,
                             CollectivePlan const& plan,
                             std::optional<CostId> cost,
                             Phase phase,
                             int chunk,
                             std::vector<TaskId> const& after) {
        if (!cost) return no_task;
        StageIds const& ids = ids_of(s);
        auto traffic = collective_traffic(s, plan.load);
        traffic.push_back({ids.sms, work_of(*cost) * plan.sms / plan_of(s).sms});
        return add({TaskKind::collective, ParallelDimension::dp, ids.dp, *cost, phase, -1, chunk},
                   after, traffic);
    }

    void add_gathers(int s) {
        for (int chunk = 0; chunk < held_chunks(); ++chunk) {
            for (std::size_t group = 0; group < shard_groups; ++group) {
                ids_of(s).gathered[chunk][group] =
                    add_data_parallel(s, plan_of(s).chunks[chunk].parameter_gather[group],
                                      costs_of(s).gather[chunk][group], gather, chunk, {});
            }
        }
    }

    Reduction const& add_reduce(int s, int chunk, std::vector<TaskId> const& after) {
        Reduction& added = ids_of(s).reductions[chunk].emplace_back();
        added.after = after;
        for (std::size_t group = 0; group < shard_groups; ++group) {
            added.tasks[group] =
                add_data_parallel(s, plan_of(s).chunks[chunk].gradient_reduce[group],
                                  costs_of(s).reduce[chunk][group], reduce, chunk, after);
        }
        return added;
    }

    /// One task for the whole turn, or one for each operator.
    TurnTasks add_kernels(int s,
                          Turn const& turn,
                          TurnCost const& priced,
                          TurnCostIds const& costs,
                          std::vector<TaskId> const& needs) {
        auto const kernel = [&](CostId cost, std::uint32_t phase,
                                std::vector<TaskId> const& after) {
            return add({TaskKind::compute, ParallelDimension::none, ids_of(s).compute, cost, phase,
                        turn.own.micro_batch, turn.own.chunk},
                       after, {{ids_of(s).sms, work_of(cost)}});
        };
        if (costs.operators.empty()) {
            TaskId const all = kernel(costs.compute, phase_of(turn.kind), needs);
            return {{all}, {all}};
        }
        TurnTasks tasks;
        for (std::size_t i = 0; i < costs.operators.size(); ++i) {
            auto const& after = i == 0 ? needs : tasks.last;
            std::string const name =
                std::string(phase_names.at(phase_of(turn.kind))) + " " + priced.operators[i].first;
            tasks.last = {kernel(costs.operators[i], phase_named(name), after)};
            if (i == 0) tasks.first = tasks.last;
        }
        return tasks;
    }

    std::uint32_t phase_named(std::string const& name) {
        auto const [found, made] = phases_.try_emplace(name, 0);
        if (made) found->second = builder_.add_phase(name);
        return found->second;
    }

    /// Kernels with the communication under them, then what is waited for, in a chain.
    TurnTasks add_turn(int s, Turn const& turn, std::vector<TaskId> const& needs) {
        StageIds& ids = ids_of(s);
        auto const chunk = static_cast<std::size_t>(turn.own.chunk);
        TurnCostIds const& costs = *costs_of(s).turns[chunk][static_cast<std::size_t>(turn.kind)];
        TurnCost const& priced = *plan_of(s).chunks[chunk].turn(turn.kind);
        auto const phase = phase_of(turn.kind);
        auto const communicate = [&](ParallelDimension dimension, CostId cost, LinkLoad const& load,
                                     std::vector<TaskId> const& after) {
            StreamId const stream = dimension == ParallelDimension::cp   ? ids.cp
                                    : dimension == ParallelDimension::tp ? ids.tp
                                    : dimension == ParallelDimension::ep ? ids.ep
                                                                         : ids.fsdp;
            return add({TaskKind::collective, dimension, stream, cost, phase, turn.own.micro_batch,
                        turn.own.chunk},
                       after, collective_traffic(s, load));
        };
        TurnTasks tasks = add_kernels(s, turn, priced, costs, needs);
        for (auto const dimension : turn_dimensions) {
            auto const d = static_cast<std::size_t>(dimension);
            if (!costs.hidden[d]) continue;
            LinkLoad const& load = priced.communication[d].hidden_load;
            TaskId const hidden = communicate(dimension, *costs.hidden[d], load, needs);
            tasks.first.push_back(hidden);
            tasks.last.push_back(hidden);
        }
        for (auto const dimension : turn_dimensions) {
            auto const d = static_cast<std::size_t>(dimension);
            if (!costs.exposed[d]) continue;
            LinkLoad const& load = priced.communication[d].exposed_load;
            tasks.last = {communicate(dimension, *costs.exposed[d], load, tasks.last)};
        }
        return tasks;
    }

    void add_turns(int s) {
        StageIds& ids = ids_of(s);
        std::vector<int> backwards_left(
            static_cast<std::size_t>(held_chunks()),
            pipeline_.micro_batches / (schedule_.bidirectional ? 2 : 1));
        std::vector<TaskId> previous;
        bool const every_turn = plan_of(s).reduces_every_turn;
        add_gathers(s);
        // Without overlap, no turn starts before every parameter is there.
        if (!overlap_.dp) previous = {ids.gathered.back().begin(), ids.gathered.back().end()};
        for (Turn const& turn : schedule_.turns(pipeline_, s)) {
            std::vector<TaskId> needs = previous;
            auto const begun = turn.runs_forward();
            if (begun) {
                for (TaskId const task : ids.gathered[begun->chunk]) needs.push_back(task);
            }
            TurnTasks const tasks = add_turn(s, turn, needs);
            previous = tasks.last;
            if (begun) move_to_host(s, *begun, true, needs, previous);
            if (auto const back = turn.returns_gradient()) {
                move_to_host(s, *back, false, needs, previous);
            }
            if (begun) hand_on(s, *begun, true, tasks, previous);
            if (auto const back = turn.returns_gradient()) {
                hand_on(s, *back, false, tasks, previous);
            }
            if (auto const ended = turn.ends_backward()) {
                bool const last = --backwards_left[static_cast<std::size_t>(ended->chunk)] == 0;
                if (every_turn || (overlap_.dp && last)) {
                    auto const& reduced = add_reduce(s, ended->chunk, tasks.last).tasks;
                    if (!overlap_.dp)
                        previous.insert(previous.end(), reduced.begin(), reduced.end());
                }
            }
        }
        if (!overlap_.dp && !every_turn) {
            for (int chunk = held_chunks(); chunk-- > 0;) add_reduce(s, chunk, previous);
        }
        std::vector<TaskId> needs;
        for (auto const& of_chunk : ids.reductions) {
            auto const& reduced = of_chunk.back().tasks;
            needs.insert(needs.end(), reduced.begin(), reduced.end());
        }
        needs.insert(needs.end(), previous.begin(), previous.end());
        if (auto const exposed = costs_of(s).data_parallel_exposed) {
            needs = {add({TaskKind::collective, ParallelDimension::dp, ids.dp, *exposed, reduce},
                         std::move(needs), {})};
        }
        add({TaskKind::compute, ParallelDimension::none, ids.compute, costs_of(s).optimizer,
             optimizer},
            std::move(needs), {});
    }

    /// Layer by layer a forward's activations leave while it computes, and come back with its
    /// backward. The stage's next turn waits for what that takes longer.
    void move_to_host(int s,
                      Visit const& visit,
                      bool out,
                      std::vector<TaskId> const& needs,
                      std::vector<TaskId>& previous) {
        auto const chunk = static_cast<std::size_t>(visit.chunk);
        auto const& cost = costs_of(s).offload[chunk];
        if (!cost) return;
        TrafficList const traffic{
            {out ? ids_of(s).host_out : ids_of(s).host_in, plan_of(s).chunks[chunk].offloaded}};
        previous.push_back(
            add({TaskKind::transfer, ParallelDimension::none, ids_of(s).host[out ? 0 : 1], *cost,
                 out ? offload : reload, visit.micro_batch, visit.chunk},
                needs, traffic));
    }

    /// What comes of a turn's forward, or of its gradient, goes to whoever waits for it.
    void hand_on(int s,
                 Visit const& visit,
                 bool ahead,
                 TurnTasks const& tasks,
                 std::vector<TaskId>& previous) {
        int const model_chunk = schedule_.model_chunk(pipeline_, s, visit.chunk);
        auto& all = ahead ? forwards_ : backwards_;
        TurnTasks& placed = all[turn_index(model_chunk, visit.micro_batch)];
        placed = tasks;
        TaskId const sent = add_send(s, visit, ahead, model_chunk, tasks.last);
        if (sent == no_task) return;
        placed.last = {sent};
        if (overlap_.pp) return;
        std::erase_if(previous, [&](TaskId task) {
            return std::ranges::find(tasks.last, task) != tasks.last.end();
        });
        previous.push_back(sent);
    }

    /// Sends a turn's result to the stage that holds the neighbouring chunk; no_task where the
    /// chunk is the model's end, or the neighbour is this very stage.
    TaskId add_send(
        int s, Visit const& visit, bool ahead, int model_chunk, std::vector<TaskId> const& after) {
        int const next = ahead ? model_chunk + 1 : model_chunk - 1;
        if (next < 0 || next >= model_chunks() || pipeline_.stages == 1) return no_task;
        int const peer = schedule_.stage_of(pipeline_, next, visit.micro_batch);
        // What goes down from stage s crosses the link whose upward sends stage s-1 owns.
        bool const up = ahead != schedule_.reversed(pipeline_, visit.micro_batch);
        int const owner = up ? s : peer;
        LinkLoad const& load = plan_of(owner).send.load;
        TrafficList traffic;
        add_sent(traffic, s, load);
        add_received(traffic, peer, load);
        return add({TaskKind::transfer, ParallelDimension::pp, ids_of(s).send[up ? 0 : 1],
                    costs_of(owner).send, ahead ? send_forward : send_backward, visit.micro_batch,
                    visit.chunk},
                   after, traffic);
    }

    /// Turns wait for their neighbours' sends; the last chunk's backward waits for its forward.
    void connect_turns() {
        for (int m = 0; m < pipeline_.micro_batches; ++m) {
            for (int g = 0; g < model_chunks(); ++g) {
                TurnTasks const& own_forward = forwards_[turn_index(g, m)];
                if (g > 0) connect(own_forward, forwards_[turn_index(g - 1, m)]);
                connect(backwards_[turn_index(g, m)],
                        g + 1 < model_chunks() ? backwards_[turn_index(g + 1, m)] : own_forward);
            }
        }
    }

    /// Gradients of a chunk are summed over all that hold it: the columns of its stage, and of its
    /// mirror's with a second copy. None starts before the last of them is there.
    void connect_reductions(int model_chunk) {
        auto const stages = static_cast<std::size_t>(pipeline_.stages);
        std::vector<std::vector<Reduction> const*> holders;
        for (std::size_t row = 0; row < ids_.size(); ++row) {
            for (int c = 0; c < held_chunks(); ++c) {
                auto const stage = static_cast<int>(row % stages);
                bool const holds = schedule_.model_chunk(pipeline_, stage, c) == model_chunk;
                if (holds) holders.push_back(&ids_[row].reductions[static_cast<std::size_t>(c)]);
            }
        }
        for (auto const* waiting : holders) {
            for (auto const* other : holders) {
                if (waiting == other) continue;
                for (std::size_t i = 0; i < waiting->size(); ++i) {
                    connect((*waiting)[i], other->at(i));
                }
            }
        }
    }

    void connect(Reduction const& waiting, Reduction const& other) {
        for (TaskId const task : waiting.tasks) {
            if (task == no_task) continue;
            for (TaskId const before : other.after) {
                if (before != no_task) builder_.add_need(task, before);
            }
        }
    }

    void connect(TurnTasks const& waiting, TurnTasks const& needed) {
        for (TaskId const task : waiting.first) {
            for (TaskId const before : needed.last) builder_.add_need(task, before);
        }
    }

    PipelineSchedule const& schedule_;
    PipelineShape pipeline_;
    std::vector<StagePlan> const& stages_;
    std::vector<StageCostIds> const& costs_;
    OverlapPolicy const& overlap_;
    CostBook const& book_;
    TaskGraphBuilder builder_;
    std::vector<StageIds> ids_;
    std::size_t column_ = 0;  // the first of its stages in the three
    std::vector<TurnTasks> forwards_, backwards_;
    std::map<std::string, std::uint32_t> phases_;  // of operators
};

}  // namespace

TurnCost const* StageChunk::turn(TurnKind kind) const {
    auto const given = [](std::optional<TurnCost> const& cost) { return cost ? &*cost : nullptr; };
    switch (kind) {
        case TurnKind::forward: return &forward;
        case TurnKind::backward: return &backward;
        case TurnKind::input_gradient: return given(input_gradient);
        case TurnKind::weight_gradient: return given(weight_gradient);
        case TurnKind::overlapped: return given(overlapped);
    }
    return nullptr;
}

namespace {

TurnCostIds intern_turn(TurnCost const& cost, CostBook& book, TurnCostIds const* like) {
    TurnCostIds ids;
    PricedCost compute = cost.compute;
    auto operators = cost.operators;
    for (std::size_t d = 0; d < parallel_dimensions; ++d) {
        auto const& exposed = cost.communication[d].exposed;
        if (like == nullptr || like->exposed[d] || exposed.time.count == 0) continue;
        for (PricedCost* own : {&compute, operators.empty() ? nullptr : &operators.back().second}) {
            if (own == nullptr) continue;
            own->time += exposed.time;
            merge_shares(own->shares, exposed.shares, 1);
        }
    }
    for (auto& [name, piece] : operators) ids.operators.push_back(book.add(std::move(piece)));
    ids.compute = book.add(std::move(compute));
    for (std::size_t d = 0; d < parallel_dimensions; ++d) {
        auto const& communication = cost.communication[d];
        // Hidden time stands on no basis of its own: it is not part of the step.
        Picoseconds const hidden = communication.hidden;
        if (like != nullptr ? like->hidden[d].has_value() : hidden.count > 0) {
            ids.hidden[d] = book.add({hidden, hidden, {}});
        }
        if (like != nullptr ? like->exposed[d].has_value() : communication.exposed.time.count > 0) {
            ids.exposed[d] = book.add(communication.exposed);
        }
    }
    return ids;
}

std::optional<CostId> intern_plan(CollectivePlan const& plan, CostBook& book) {
    if (plan.query.size.count == 0) return std::nullopt;
    PricedCost cost;
    cost.add(book.price(plan.query));
    return book.add(std::move(cost));
}

}  // namespace

std::vector<StageCostIds> intern_costs(std::vector<StagePlan> const& stages,
                                       CostBook& book,
                                       std::vector<StageCostIds> const* like) {
    NVL72_EXPECT(book.costs().empty(), "the ids count from the first");
    std::vector<StageCostIds> result;
    for (std::size_t s = 0; s < stages.size(); ++s) {
        StagePlan const& plan = stages[s];
        StageCostIds ids;
        for (std::size_t c = 0; c < plan.chunks.size(); ++c) {
            StageChunk const& chunk = plan.chunks[c];
            auto& turns = ids.turns.emplace_back();
            for (std::size_t kind = 0; kind < turn_kinds; ++kind) {
                TurnCost const* turn = chunk.turn(static_cast<TurnKind>(kind));
                if (turn == nullptr) continue;
                turns[kind] =
                    intern_turn(*turn, book, like ? &*(*like)[s].turns[c][kind] : nullptr);
            }
            bool const offloads = chunk.offloaded > 0;
            ids.offload.push_back(offloads ? std::optional(book.add(chunk.offload)) : std::nullopt);
            ids.reduce.emplace_back();
            ids.gather.emplace_back();
            for (std::size_t group = 0; group < shard_groups; ++group) {
                ids.reduce.back()[group] = intern_plan(chunk.gradient_reduce[group], book);
                ids.gather.back()[group] = intern_plan(chunk.parameter_gather[group], book);
            }
        }
        if (plan.send.query.size.count > 0) ids.send = *intern_plan(plan.send, book);
        ids.optimizer = book.add(plan.optimizer);
        bool const waits = plan.data_parallel_exposed.time.count > 0;
        if (like != nullptr ? (*like)[s].data_parallel_exposed.has_value() : waits) {
            ids.data_parallel_exposed = book.add(plan.data_parallel_exposed);
        }
        result.push_back(std::move(ids));
    }
    return result;
}

TaskGraph build_step_graph(PipelineSchedule const& schedule,
                           PipelineShape const& pipeline,
                           std::vector<StagePlan> const& stages,
                           std::vector<StageCostIds> const& ids,
                           OverlapPolicy const& overlap,
                           CostBook const& book) {
    return StepBuilder(schedule, pipeline, stages, ids, overlap, book).build();
}

}  // namespace nvl72
