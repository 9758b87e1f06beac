#include "sim/training/step_graph.hpp"

#include "sim/base/error.hpp"

#include <optional>

namespace nvl72 {

namespace {

enum Phase : std::uint32_t {
    forward,
    backward,
    send_forward,
    send_backward,
    reduce,
    gather,
    optimizer
};

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
    StepBuilder(PipelineShape const& pipeline,
                std::vector<StagePlan> const& stages,
                std::vector<StageCostIds> const& costs,
                OverlapPolicy const& overlap,
                CostBook const& book)
        : pipeline_(pipeline), stages_(stages), costs_(costs), overlap_(overlap), book_(book) {
        NVL72_EXPECT(static_cast<int>(stages.size()) == pipeline.stages, "one plan per stage");
        for (char const* name : phase_names) builder_.add_phase(name);
        for (StagePlan const& stage : stages) add_stage(stage);
        auto const turns = static_cast<std::size_t>(global_chunks()) *
                           static_cast<std::size_t>(pipeline.micro_batches);
        for (auto* tasks : {&forwards_, &backwards_}) tasks->resize(turns);
    }

    TaskGraph build() {
        for (int s = 0; s < pipeline_.stages; ++s) {
            add_turns(s);
        }
        connect_turns();
        return builder_.build();
    }

private:
    struct StageIds {
        ClassId who;
        StreamId compute, tp, cp, ep, dp, fsdp, send[2];
        ResourceId nvlink_out, nvlink_in, nic_out, nic_in, sms;
        std::vector<std::array<TaskId, shard_groups>> gathered, reduced;  // by chunk
    };

    [[nodiscard]] int global_chunks() const { return pipeline_.stages * pipeline_.chunks; }
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
        // A resource nobody can use still needs a positive capacity; no traffic will name it.
        // Links are full duplex: what a GPU sends does not slow what it receives.
        double const nvlink = plan.nvlink.count > 0 ? plan.nvlink.count : 1;
        double const nic = plan.nic.count > 0 ? plan.nic.count : 1;
        ids.nvlink_out = builder_.add_resource({nvlink, 1});
        ids.nic_out = builder_.add_resource({nic, 1});
        ids.nvlink_in = builder_.add_resource({nvlink, 1});
        ids.nic_in = builder_.add_resource({nic, 1});
        ids.sms = builder_.add_resource({picoseconds_per_second, 1});
        for (auto* tasks : {&ids.gathered, &ids.reduced})
            tasks->resize(plan.chunks.size(), {no_task, no_task});
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
        if (load.nvlink > 0) traffic.push_back({ids_[s].nvlink_out, load.nvlink});
        if (load.nic > 0) traffic.push_back({ids_[s].nic_out, load.nic});
    }
    void add_received(TrafficList& traffic, int s, LinkLoad const& load) const {
        if (load.nvlink > 0) traffic.push_back({ids_[s].nvlink_in, load.nvlink});
        if (load.nic > 0) traffic.push_back({ids_[s].nic_in, load.nic});
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
        StageIds const& ids = ids_[s];
        auto traffic = collective_traffic(s, plan.load);
        traffic.push_back({ids.sms, work_of(*cost) * plan.sms / stages_[s].sms});
        return add({TaskKind::collective, ParallelDimension::dp, ids.dp, *cost, phase, -1, chunk},
                   after, traffic);
    }

    void add_gathers(int s) {
        for (int chunk = 0; chunk < pipeline_.chunks; ++chunk) {
            for (std::size_t group = 0; group < shard_groups; ++group) {
                ids_[s].gathered[chunk][group] =
                    add_data_parallel(s, stages_[s].chunks[chunk].parameter_gather[group],
                                      costs_[s].gather[chunk][group], gather, chunk, {});
            }
        }
    }

    void add_reduce(int s, int chunk, std::vector<TaskId> const& after) {
        for (std::size_t group = 0; group < shard_groups; ++group) {
            ids_[s].reduced[chunk][group] =
                add_data_parallel(s, stages_[s].chunks[chunk].gradient_reduce[group],
                                  costs_[s].reduce[chunk][group], reduce, chunk, after);
        }
    }

    /// Kernels with the communication under them, then what is waited for, in a chain.
    TurnTasks add_turn(int s, Turn const& turn, std::vector<TaskId> const& needs) {
        StageIds& ids = ids_[s];
        TurnCostIds const& costs =
            (turn.forward ? costs_[s].forward : costs_[s].backward)[turn.chunk];
        StageChunk const& chunk = stages_[s].chunks[turn.chunk];
        TurnCost const& priced = turn.forward ? chunk.forward : chunk.backward;
        auto const phase = turn.forward ? forward : backward;
        auto const communicate = [&](ParallelDimension dimension, CostId cost, LinkLoad const& load,
                                     std::vector<TaskId> const& after) {
            StreamId const stream = dimension == ParallelDimension::cp   ? ids.cp
                                    : dimension == ParallelDimension::tp ? ids.tp
                                    : dimension == ParallelDimension::ep ? ids.ep
                                                                         : ids.fsdp;
            return add({TaskKind::collective, dimension, stream, cost, phase, turn.micro_batch,
                        turn.chunk},
                       after, collective_traffic(s, load));
        };
        TaskId const compute = add({TaskKind::compute, ParallelDimension::none, ids.compute,
                                    costs.compute, phase, turn.micro_batch, turn.chunk},
                                   needs, {{ids.sms, work_of(costs.compute)}});
        TurnTasks tasks{{compute}, {compute}};
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
        StageIds& ids = ids_[s];
        PipelineShape const shape = pipeline_;
        std::vector<int> backwards_left(static_cast<std::size_t>(pipeline_.chunks),
                                        pipeline_.micro_batches);
        std::vector<TaskId> previous;
        add_gathers(s);
        // Without overlap, no turn starts before every parameter is there.
        if (!overlap_.dp) previous = {ids.gathered.back().begin(), ids.gathered.back().end()};
        for (Turn const& turn : schedule_for(shape).turns(shape, s)) {
            std::vector<TaskId> needs = previous;
            if (turn.forward) {
                for (TaskId const task : ids.gathered[turn.chunk]) needs.push_back(task);
            }
            TurnTasks const tasks = add_turn(s, turn, needs);
            previous = tasks.last;
            int const global = turn.chunk * pipeline_.stages + s;
            auto& all = turn.forward ? forwards_ : backwards_;
            TurnTasks& placed = all[turn_index(global, turn.micro_batch)];
            placed = tasks;
            if (TaskId const sent = add_send(s, turn, global, tasks.last); sent != no_task) {
                placed.last = {sent};
                if (!overlap_.pp) previous = {sent};
            }
            if (!turn.forward && --backwards_left[static_cast<std::size_t>(turn.chunk)] == 0 &&
                overlap_.dp) {
                add_reduce(s, turn.chunk, tasks.last);
            }
        }
        if (!overlap_.dp) {
            for (int chunk = pipeline_.chunks; chunk-- > 0;) add_reduce(s, chunk, previous);
        }
        std::vector<TaskId> needs;
        for (auto const& reduced : ids.reduced)
            needs.insert(needs.end(), reduced.begin(), reduced.end());
        needs.insert(needs.end(), previous.begin(), previous.end());
        if (auto const exposed = costs_[s].data_parallel_exposed) {
            needs = {add({TaskKind::collective, ParallelDimension::dp, ids.dp, *exposed, reduce},
                         std::move(needs), {})};
        }
        add({TaskKind::compute, ParallelDimension::none, ids.compute, costs_[s].optimizer,
             optimizer},
            std::move(needs), {});
    }

    /// Sends a turn's result to the stage that holds the neighbouring chunk; no_task where the
    /// chunk is the model's end, or the neighbour is this very stage.
    TaskId add_send(int s, Turn const& turn, int global, std::vector<TaskId> const& after) {
        int const next = turn.forward ? global + 1 : global - 1;
        if (next < 0 || next >= global_chunks() || pipeline_.stages == 1) return no_task;
        int const peer = next % pipeline_.stages;
        // Backward sends of stage s cross the link whose forward sends stage s-1 owns.
        int const owner = turn.forward ? s : peer;
        LinkLoad const& load = stages_[owner].send.load;
        TrafficList traffic;
        add_sent(traffic, s, load);
        add_received(traffic, peer, load);
        return add({TaskKind::transfer, ParallelDimension::pp, ids_[s].send[turn.forward ? 0 : 1],
                    costs_[owner].send, turn.forward ? send_forward : send_backward,
                    turn.micro_batch, turn.chunk},
                   after, traffic);
    }

    /// Turns wait for their neighbours' sends; the last chunk's backward waits for its forward.
    void connect_turns() {
        for (int m = 0; m < pipeline_.micro_batches; ++m) {
            for (int g = 0; g < global_chunks(); ++g) {
                TurnTasks const& own_forward = forwards_[turn_index(g, m)];
                if (g > 0) connect(own_forward, forwards_[turn_index(g - 1, m)]);
                connect(backwards_[turn_index(g, m)],
                        g + 1 < global_chunks() ? backwards_[turn_index(g + 1, m)] : own_forward);
            }
        }
    }

    void connect(TurnTasks const& waiting, TurnTasks const& needed) {
        for (TaskId const task : waiting.first) {
            for (TaskId const before : needed.last) builder_.add_need(task, before);
        }
    }

    PipelineShape pipeline_;
    std::vector<StagePlan> const& stages_;
    std::vector<StageCostIds> const& costs_;
    OverlapPolicy const& overlap_;
    CostBook const& book_;
    TaskGraphBuilder builder_;
    std::vector<StageIds> ids_;
    std::vector<TurnTasks> forwards_, backwards_;
};

}  // namespace

namespace {

TurnCostIds intern_turn(TurnCost const& cost, CostBook& book, TurnCostIds const* like) {
    TurnCostIds ids;
    PricedCost compute = cost.compute;
    for (std::size_t d = 0; d < parallel_dimensions; ++d) {
        auto const& exposed = cost.communication[d].exposed;
        if (like == nullptr || like->exposed[d] || exposed.time.count == 0) continue;
        compute.time += exposed.time;
        merge_shares(compute.shares, exposed.shares, 1);
    }
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
            ids.forward.push_back(
                intern_turn(chunk.forward, book, like ? &(*like)[s].forward[c] : nullptr));
            ids.backward.push_back(
                intern_turn(chunk.backward, book, like ? &(*like)[s].backward[c] : nullptr));
            ids.reduce.emplace_back();
            ids.gather.emplace_back();
            for (std::size_t group = 0; group < shard_groups; ++group) {
                ids.reduce.back()[group] = intern_plan(chunk.gradient_reduce[group], book);
                ids.gather.back()[group] = intern_plan(chunk.parameter_gather[group], book);
            }
        }
        if (stages.size() > 1) ids.send = *intern_plan(plan.send, book);
        ids.optimizer = book.add(plan.optimizer);
        bool const waits = plan.data_parallel_exposed.time.count > 0;
        if (like != nullptr ? (*like)[s].data_parallel_exposed.has_value() : waits) {
            ids.data_parallel_exposed = book.add(plan.data_parallel_exposed);
        }
        result.push_back(std::move(ids));
    }
    return result;
}

TaskGraph build_step_graph(PipelineShape const& pipeline,
                           std::vector<StagePlan> const& stages,
                           std::vector<StageCostIds> const& ids,
                           OverlapPolicy const& overlap,
                           CostBook const& book) {
    return StepBuilder(pipeline, stages, ids, overlap, book).build();
}

}  // namespace nvl72
