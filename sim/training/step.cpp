#include "sim/training/step.hpp"

#include "sim/base/error.hpp"
#include "sim/collective/collective.hpp"
#include "sim/cost/profile.hpp"
#include "sim/model/closed_form.hpp"
#include "sim/parallel/placement.hpp"
#include "sim/training/seating.hpp"
#include "sim/training/shard_moves.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <tuple>

namespace nvl72 {

namespace {

MemoryPolicy policy_of(StepSpec const& spec) { return memory_policy(spec.recipe, spec.precision); }

class StepPlanner {
public:
    StepPlanner(StepSpec const& spec, Seating const& seating)
        : spec_(spec),
          model_(divisible_architecture(spec.model, spec.parallel)),
          seating_(seating),
          policy_(policy_of(spec)),
          book_([&profile = spec.profile](Query const& query) {
              return cost(profile, query, Load::sustained);
          }) {}

    CostBook& book() { return book_; }

    /// By column, then by stage.
    std::vector<StagePlan> stages() {
        std::vector<StagePlan> plans;
        for (ReplicaColumn const& column : seating_.columns) {
            for (int s = 0; s < spec_.parallel.pp; ++s) {
                plans.push_back(stage(s, column));
                if (seating_.columns.size() == 1) continue;
                auto& plan = plans.back();
                plan.name += fmt::format(" like rank {}", plan.representative.value);
            }
        }
        return plans;
    }

private:
    CollectivePlan data_parallel(ShardMove const& move, GroupShape const& group) {
        if (group.ranks == 1 || move.size.count == 0) return {};
        return planned(move.op, move.size, group);
    }

    /// Stages of equal content on equal wiring ask for the same collectives.
    CollectivePlan const& planned(CollectiveOp op, Bytes size, GroupShape const& group) {
        auto const key = std::tuple(op, size.count, group);
        auto found = planned_.find(key);
        if (found == planned_.end()) {
            found = planned_.emplace(key, plan_collective(spec_.profile, op, size, group)).first;
        }
        return found->second;
    }

    /// Gradients and parameters of a chunk between the ranks that hold the same ones.
    void add_data_parallel(StageChunk& chunk, int stage, StageParameters const& own) {
        auto const moves = shard_moves(spec_.parallel, spec_.recipe, spec_.precision, own);
        auto const& shapes = seating_.shards.at(static_cast<std::size_t>(stage));
        for (std::size_t group = 0; group < shard_groups; ++group) {
            chunk.gradient_reduce.at(group) =
                data_parallel(moves.reduce.at(group), shapes.at(group));
            chunk.parameter_gather.at(group) =
                data_parallel(moves.gather.at(group), shapes.at(group));
        }
    }

    /// Chunks of equal content on equal wiring are priced once; not overlapped, which takes two.
    StageChunk const& priced_chunk(Chunk const& chunk, TurnShape const& shape) {
        ChunkContent const content{model_.count_layers(chunk.first_layer, chunk.layers),
                                   chunk.has_embedding, chunk.has_head,
                                   chunk.has_head ? model_.mtp_layers : 0};
        auto const key =
            std::tuple(content, shape.tp_group, shape.cp_group, shape.ep_group, shape.fsdp_group);
        auto found = priced_.find(key);
        if (found == priced_.end()) {
            TurnPricer const pricer(model_, spec_.precision, spec_.recipe, spec_.profile, book_);
            StageChunk priced;
            priced.forward = pricer.forward(content, shape);
            priced.backward = pricer.backward(content, shape);
            if (spec_.parallel.schedule->splits_backward) {
                priced.input_gradient = pricer.backward(content, shape, Gradients::inputs);
                priced.weight_gradient = pricer.backward(content, shape, Gradients::weights);
            }
            found = priced_.emplace(key, std::move(priced)).first;
        }
        return found->second;
    }

    void add_offload(StageChunk& priced, Chunk const& chunk) const {
        priced.offloaded = offloaded_bytes(spec_.parallel, spec_.model, policy_, chunk);
        if (priced.offloaded <= 0) return;
        Picoseconds const time = offload_time(spec_.fabric.cluster(), priced.offloaded);
        priced.offload.add({time, time, {BasisKind::datasheet, "CPU memory's link"}});
    }

    [[nodiscard]] PricedCost optimizer(StageParameters const& held) {
        PricedCost cost;
        cost.add(
            book_.price(MemoryTraffic{optimizer_traffic(spec_.parallel, spec_.recipe, held), 1}));
        cost.hbm_part = cost.time;
        return cost;
    }

    /// What of the stage's data-parallel collectives cannot hide, if they run under compute at all.
    [[nodiscard]] PricedCost data_parallel_exposed(StagePlan const& plan) {
        PricedCost all;
        auto const& overlap = spec_.recipe.overlap;
        if (!overlap.dp || overlap.dp_hidden >= 1) return all;
        for (StageChunk const& chunk : plan.chunks) {
            for (auto const* plans : {&chunk.gradient_reduce, &chunk.parameter_gather}) {
                for (CollectivePlan const& one : *plans) {
                    if (one.query.size.count == 0) continue;
                    Cost cost = book_.price(one.query);
                    cost.time = from_seconds(to_seconds(cost.time) * (1 - overlap.dp_hidden));
                    cost.bandwidth_part = Picoseconds{0};
                    all.add(cost);
                }
            }
        }
        return all;
    }

    StagePlan stage(int s, ReplicaColumn const& column) {
        Parallel const& parallel = spec_.parallel;
        StageLinks const& wiring = column.stages.at(static_cast<std::size_t>(s));
        TurnShape const shape = turn_shape(parallel, wiring, spec_.grain);
        StagePlan plan;
        plan.name = fmt::format("stage {}", s);
        plan.gpus = static_cast<std::uint32_t>(column.ranks);
        plan.representative = RankId{static_cast<std::uint32_t>(
            gpu_of(parallel, first_rank_of_stage(parallel, s).value + column.first))};
        plan.nvlink = wiring.nvlink;
        plan.nic = wiring.nic;
        plan.sms = spec_.fabric.gpu().sms;
        plan.host = host_bandwidth(spec_.fabric.cluster());
        plan.reduces_every_turn = spec_.recipe.state.shard_gradients && parallel.fsdp == 1;

        StageParameters held;
        for (Chunk const& chunk : parallel.chunks_of(s)) {
            StageParameters const own = chunk_parameters(parallel, model_, chunk);
            held += own;
            plan.chunks.push_back(priced_chunk(chunk, shape));
            add_offload(plan.chunks.back(), chunk);
            add_data_parallel(plan.chunks.back(), s, own);
        }
        if (parallel.copies() > 1) {
            StageChunk& own = plan.chunks.at(0);
            StageChunk& mirror = plan.chunks.at(1);
            own.overlapped = TurnPricer::overlapped(own.forward, mirror.backward);
            mirror.overlapped = TurnPricer::overlapped(mirror.forward, own.backward);
        }
        if (parallel.pp > 1) {
            plan.send =
                planned(CollectiveOp::sendrecv, sent_activations(parallel, model_), wiring.next);
        }
        plan.optimizer = optimizer(held);
        plan.data_parallel_exposed = data_parallel_exposed(plan);
        return plan;
    }

    StepSpec const& spec_;
    Architecture model_;
    Seating const& seating_;
    MemoryPolicy policy_;
    CostBook book_;
    std::map<std::tuple<ChunkContent, GroupShape, GroupShape, GroupShape, GroupShape>, StageChunk>
        priced_;
    std::map<std::tuple<CollectiveOp, std::int64_t, GroupShape>, CollectivePlan> planned_;
};

std::vector<LinkUse> link_uses(TaskGraph const& graph,
                               std::vector<StagePlan> const& stages,
                               Execution const& execution) {
    std::vector<LinkUse> links;
    for (std::size_t s = 0; s < stages.size(); ++s) {
        for (std::size_t kind = 0; kind < 2; ++kind) {
            std::size_t const resource = resources_per_class * s + kind;
            double const capacity = (kind == 0 ? stages[s].nvlink : stages[s].nic).count;
            if (capacity <= 0) continue;
            links.push_back({graph.classes()[s].name + (kind == 0 ? " nvlink" : " nic"), capacity,
                             execution.carried[resource]});
        }
    }
    return links;
}

/// What of a dimension's communication was waited for, on the bases of its tasks. Data-parallel and
/// pipeline tasks are hidden or not as the run goes, so their exposed time comes from the
/// breakdown.
void add_exposed(std::vector<BasisShare>& shares,
                 TaskGraph const& graph,
                 CostBook const& book,
                 std::vector<Breakdown> const& parts,
                 ParallelDimension dimension) {
    double waited = 0;
    for (std::size_t c = 0; c < parts.size(); ++c) {
        waited += to_seconds(parts[c].exposed[static_cast<std::size_t>(dimension)]) *
                  graph.classes()[c].multiplicity;
    }
    std::vector<BasisShare> own;
    for (Task const& task : graph.tasks()) {
        if (task.dimension == dimension) merge_shares(own, book.cost(task.cost).shares, 1);
    }
    double total = 0;
    for (BasisShare const& share : own) total += share.seconds;
    if (total > 0) merge_shares(shares, own, waited / total);
}

/// Compute and exposed communication of every class, weighted by its GPUs.
std::vector<BasisShare> basis_shares(TaskGraph const& graph,
                                     CostBook const& book,
                                     std::vector<Breakdown> const& parts) {
    std::map<std::uint32_t, double> weight;  // by CostId: GPUs x occurrences
    for (std::uint32_t i = 0; i < graph.tasks().size(); ++i) {
        Task const& task = graph.tasks()[i];
        bool const waited =
            task.kind == TaskKind::compute || task.dimension == ParallelDimension::tp ||
            task.dimension == ParallelDimension::cp || task.dimension == ParallelDimension::ep;
        if (!waited) continue;
        weight[task.cost.value] += graph.classes()[graph.class_of(TaskId{i}).value].multiplicity;
    }
    std::vector<BasisShare> shares;
    for (auto const& [cost, times] : weight) {
        merge_shares(shares, book.cost(CostId{cost}).shares, times);
    }
    add_exposed(shares, graph, book, parts, ParallelDimension::dp);
    add_exposed(shares, graph, book, parts, ParallelDimension::pp);
    return shares;
}

/// Share of each class's kernels, by their time alone, that HBM bounds.
std::vector<double> hbm_shares(TaskGraph const& graph, CostBook const& book) {
    std::vector<double> all(graph.classes().size()), hbm(all.size());
    for (std::uint32_t i = 0; i < graph.tasks().size(); ++i) {
        Task const& task = graph.tasks()[i];
        if (task.kind != TaskKind::compute) continue;
        auto const who = graph.class_of(TaskId{i}).value;
        all[who] += to_seconds(book.cost(task.cost).time);
        hbm[who] += to_seconds(book.cost(task.cost).hbm_part);
    }
    for (std::size_t c = 0; c < all.size(); ++c) hbm[c] = all[c] > 0 ? hbm[c] / all[c] : 0;
    return hbm;
}
std::vector<TaskTime> task_times(CostBook const& book) {
    std::vector<TaskTime> times;
    for (PricedCost const& cost : book.costs()) {
        times.push_back({cost.time - cost.bandwidth_part, cost.bandwidth_part});
    }
    return times;
}

}  // namespace

MemoryPolicy memory_policy(Recipe const& recipe, PrecisionPolicy const& precision) {
    MemoryPolicy policy;
    policy.weight_bytes = recipe.state.weight_bytes;
    policy.gradient_bytes = recipe.state.gradient_bytes;
    policy.optimizer_bytes = recipe.state.optimizer_bytes;
    policy.shard_optimizer = recipe.state.distributed_optimizer;
    policy.shard_gradients = recipe.state.shard_gradients;
    policy.full_recompute = recipe.full_recompute;
    policy.offload = recipe.activation_offload;
    policy.recompute = recipe.recompute;
    policy.recompute.insert(policy.recompute.end(), recipe.rebuilt.begin(), recipe.rebuilt.end());
    policy.kept_input_bytes = precision.saved_input_bytes;
    policy.other_weight_bytes = recipe.state.other_weight_bytes;
    policy.gathered_bytes = precision.parameter_gather_bytes;
    policy.root_gathered = recipe.memory.root_gathered;
    policy.kept_shares = recipe.memory.kept_shares;
    policy.logit_bytes = recipe.memory.logit_bytes;
    policy.split_logit_bytes = recipe.memory.split_logit_bytes;
    policy.keeps_gathered = recipe.memory.keeps_gathered;
    policy.tp_in_pieces = recipe.overlap.tp;
    policy.communication_buffers = recipe.reserve.communication;
    policy.framework = recipe.reserve.framework;
    policy.fragmentation = recipe.reserve.fragmentation;
    return policy;
}

TurnShape turn_shape(Parallel const& parallel, StageLinks const& wiring, Grain grain) {
    return {parallel.tp,
            parallel.cp,
            parallel.ep,
            parallel.expert_tp,
            parallel.sequence_parallel,
            parallel.cp_comm_type,
            parallel.micro_batch,
            parallel.sequence,
            wiring.tp,
            wiring.cp,
            wiring.ep,
            wiring.fsdp,
            grain};
}

Bytes host_memory(ClusterSpec const& cluster) {
    return Bytes{
        std::llround(static_cast<double>(cluster.host.memory.count) / gpus_per_cpu(cluster))};
}

std::vector<Memory> step_memory(StepSpec const& spec) {
    std::vector<Memory> stages;
    Memory worst;
    for (int s = 0; s < spec.parallel.pp; ++s) {
        stages.push_back(memory_of(spec.parallel, spec.model, policy_of(spec), s));
        if (s == 0 || stages.back().total() > worst.total()) worst = stages.back();
    }
    if (spec.must_fit) {
        check_fits(worst, spec.fabric.gpu().hbm_usable(), host_memory(spec.fabric.cluster()),
                   spec.parallel);
    }
    return stages;
}

StepResult simulate_step(StepSpec const& spec, std::function<void(double)> const& progress) {
    StepResult result;
    result.memory = step_memory(spec);

    result.seating = seat(spec.parallel, spec.fabric, spec.fold);
    StepPlanner planner(spec, result.seating);
    auto const stages = planner.stages();
    result.cost_ids = intern_costs(stages, planner.book());
    result.graph = build_step_graph(*spec.parallel.schedule, spec.parallel.pipeline(), stages,
                                    result.cost_ids, spec.recipe.overlap, planner.book());
    auto const times = task_times(planner.book());
    result.execution = execute(result.graph, times, progress);
    result.replay = record(result.graph, times, result.execution);
    result.step = result.execution.makespan;
    result.by_class = breakdown(result.graph, result.execution);
    result.links = link_uses(result.graph, stages, result.execution);
    result.shares = basis_shares(result.graph, planner.book(), result.by_class);
    result.hbm_share = hbm_shares(result.graph, planner.book());
    return result;
}

std::vector<MemoryAt> memory_over_time(StepSpec const& spec, StepResult const& done) {
    Parallel const& parallel = spec.parallel;
    std::vector<std::vector<TaskId>> kernels(done.graph.classes().size());
    for (std::uint32_t i = 0; i < done.graph.tasks().size(); ++i) {
        Task const& task = done.graph.tasks()[i];
        bool const turn = task.kind == TaskKind::compute && task.micro_batch >= 0;
        if (turn) kernels[done.graph.class_of(TaskId{i}).value].emplace_back(i);
    }
    std::vector<MemoryAt> points;
    for (std::uint32_t c = 0; c < kernels.size(); ++c) {
        int const stage = static_cast<int>(c) % parallel.pp;
        Memory const& peak = done.memory[static_cast<std::size_t>(stage)];
        auto const bytes = stage_activations(parallel, spec.model, policy_of(spec), stage);
        Bytes const rest = peak.total() - peak.activations;
        double alive = bytes.beside;
        auto const note = [&](Picoseconds at) {
            Bytes const activations{std::llround(alive)};
            points.push_back({ClassId{c}, at, rest + activations, activations});
        };
        note({});
        std::size_t next = 0;
        for (Turn const& turn : parallel.schedule->turns(parallel.pipeline(), stage)) {
            auto const own = static_cast<std::size_t>(turn.own.chunk);
            auto const& ids = done.cost_ids[c].turns[own][static_cast<std::size_t>(turn.kind)];
            std::size_t const tasks = std::max<std::size_t>(1, ids->operators.size());
            double const before = alive;
            if (turn.runs_forward()) alive += bytes.kept[own];
            if (turn.kind == TurnKind::input_gradient) alive += bytes.again[own];
            if (alive != before) note(done.execution.start[kernels[c].at(next).value]);
            next += tasks;
            if (turn.kind == TurnKind::weight_gradient) alive -= bytes.again[own];
            auto const ended = turn.ends_backward();
            if (!ended) continue;
            alive -= bytes.kept[static_cast<std::size_t>(ended->chunk)];
            note(done.execution.finish[kernels[c].at(next - 1).value]);
        }
    }
    return points;
}

std::vector<TaskTime> reprice_step(StepSpec const& spec, StepResult const& done) {
    return reprice_step(spec, done, done.seating);
}

std::vector<TaskTime> reprice_step(StepSpec const& spec,
                                   StepResult const& done,
                                   Seating const& seating) {
    NVL72_EXPECT(seating.columns.size() == done.seating.columns.size(), "the same columns");
    StepPlanner planner(spec, seating);
    intern_costs(planner.stages(), planner.book(), &done.cost_ids);
    return task_times(planner.book());
}

}  // namespace nvl72
