#include "sim/training/step.hpp"

#include "sim/base/error.hpp"
#include "sim/collective/collective.hpp"
#include "sim/cost/profile.hpp"
#include "sim/model/closed_form.hpp"
#include "sim/parallel/placement.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <tuple>

namespace nvl72 {

namespace {

/// Groups of a job that share one stage, one dimension and one wiring cost the same; the slowest
/// wiring sets the pace of the class, which is the whole stage.
bool slower(GroupShape const& a, GroupShape const& b) {
    auto const key = [](GroupShape const& shape) {
        return std::tuple(shape.domains, -shape.in_domain.count, -shape.per_gpu_nic.count,
                          shape.network_tiers);
    };
    return key(a) > key(b);
}

class StepPlanner {
public:
    explicit StepPlanner(StepSpec const& spec)
        : spec_(spec),
          model_(divisible_architecture(spec.model, spec.parallel)),
          groups_(process_groups(spec.parallel)),
          book_([&profile = spec.profile](Query const& query) {
              return cost(profile, query, Load::sustained);
          }) {}

    CostBook& book() { return book_; }

    std::vector<StagePlan> stages() {
        std::vector<StagePlan> plans;
        for (int s = 0; s < spec_.parallel.pp; ++s) plans.push_back(stage(s));
        return plans;
    }

private:
    using PricedChunk = std::pair<TurnCost, TurnCost>;

    [[nodiscard]] std::int64_t ranks_per_stage() const {
        return spec_.parallel.gpus / spec_.parallel.pp;
    }

    /// The slowest shape among the groups of `pattern` whose ranks lie in the stage.
    [[nodiscard]] GroupShape worst_group(int stage, GroupPattern const& pattern) const {
        std::int64_t const first = first_rank_of_stage(spec_.parallel, stage).value;
        GroupShape worst;
        bool found = false;
        for (std::int64_t rank = first; rank < first + ranks_per_stage(); ++rank) {
            if (pattern.index_of(RankId{static_cast<std::uint32_t>(rank)}) != 0) continue;
            GroupShape const shape = spec_.fabric.shape_of(rank, pattern.stride, pattern.count);
            if (!found || slower(shape, worst)) worst = shape;
            found = true;
        }
        NVL72_EXPECT(found, "a stage holds the first rank of its groups");
        return worst;
    }

    /// The slowest pair that sends from this stage to the next (the last one to the first).
    [[nodiscard]] GroupShape worst_link(int stage) const {
        std::int64_t const per_stage = ranks_per_stage();
        bool const wraps = stage + 1 == spec_.parallel.pp;
        std::int64_t const from = wraps ? 0 : stage * per_stage;
        std::int64_t const stride = wraps ? stage * per_stage : per_stage;
        GroupShape worst;
        for (std::int64_t i = 0; i < per_stage; ++i) {
            GroupShape const shape = spec_.fabric.shape_of(from + i, stride, 2);
            if (i == 0 || slower(shape, worst)) worst = shape;
        }
        return worst;
    }

    [[nodiscard]] CollectivePlan data_parallel(CollectiveOp op,
                                               std::int64_t parameters,
                                               double bytes_each,
                                               GroupShape const& group) const {
        auto const bytes = std::llround(static_cast<double>(parameters) * bytes_each);
        if (group.ranks == 1 || bytes == 0) return {};
        return plan_collective(spec_.profile, op, Bytes{bytes}, group);
    }

    /// Gradients and parameters of a chunk between the ranks that hold the same ones. FSDP moves
    /// them with every layer; what is left are the replicas of a shard.
    void add_data_parallel(StageChunk& chunk, int stage, StageParameters const& own) const {
        StatePolicy const& state = spec_.recipe.state;
        std::int64_t const fsdp = spec_.parallel.fsdp;
        for (auto const& [group, pattern, parameters] :
             {std::tuple(dense_shards, groups_.dp_cp, own.dense()),
              std::tuple(expert_shards, groups_.expert_dp, own.experts)}) {
            if (!spec_.recipe.trains_weights) continue;
            if (fsdp > 1) {
                std::int64_t const shards = std::min(fsdp, pattern.count);
                GroupPattern const replicas{pattern.count / shards, pattern.stride * shards};
                chunk.gradient_reduce.at(group) =
                    data_parallel(CollectiveOp::all_reduce, parameters / shards,
                                  state.gradient_bytes, worst_group(stage, replicas));
                continue;
            }
            GroupShape const shape = worst_group(stage, pattern);
            chunk.gradient_reduce.at(group) =
                data_parallel(state.distributed_optimizer ? CollectiveOp::reduce_scatter
                                                          : CollectiveOp::all_reduce,
                              parameters, state.gradient_bytes, shape);
            if (!state.distributed_optimizer) continue;
            chunk.parameter_gather.at(group) =
                data_parallel(CollectiveOp::all_gather, parameters,
                              spec_.precision.parameter_gather_bytes, shape);
        }
    }

    /// Chunks of equal content on equal wiring are priced once.
    PricedChunk const& priced_chunk(Chunk const& chunk, TurnShape const& shape) {
        ChunkContent const content{model_.count_layers(chunk.first_layer, chunk.layers),
                                   chunk.has_embedding, chunk.has_head,
                                   chunk.has_head ? model_.mtp_layers : 0};
        auto const key =
            std::tuple(content, shape.tp_group, shape.cp_group, shape.ep_group, shape.fsdp_group);
        auto found = priced_.find(key);
        if (found == priced_.end()) {
            TurnPricer const pricer(model_, spec_.precision, spec_.recipe, spec_.profile, book_);
            found = priced_
                        .emplace(key, PricedChunk{pricer.forward(content, shape),
                                                  pricer.backward(content, shape)})
                        .first;
        }
        return found->second;
    }

    /// Ranks that the optimizer of parameters held by `holders` ranks is spread over.
    [[nodiscard]] double optimizer_ranks(std::int64_t holders) const {
        bool const spread = spec_.recipe.state.distributed_optimizer;
        return static_cast<double>(spread ? holders : std::min(holders, spec_.parallel.fsdp));
    }

    [[nodiscard]] PricedCost optimizer(StageParameters held) {
        Parallel const& parallel = spec_.parallel;
        if (!spec_.recipe.trains_weights) held = {0, 0, 1};
        double const own =
            static_cast<double>(held.dense()) / optimizer_ranks(parallel.dp * parallel.cp) +
            static_cast<double>(held.experts) / optimizer_ranks(parallel.expert_dp);
        double const bytes = std::max(1.0, own * spec_.recipe.optimizer_traffic_bytes);
        PricedCost cost;
        cost.add(book_.price(MemoryTraffic{Bytes{std::llround(bytes)}, 1}));
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

    StagePlan stage(int s) {
        Parallel const& parallel = spec_.parallel;
        RankId const first = first_rank_of_stage(parallel, s);
        TurnShape const shape{parallel.tp,
                              parallel.cp,
                              parallel.ep,
                              parallel.expert_tp,
                              parallel.sequence_parallel,
                              parallel.micro_batch,
                              parallel.sequence,
                              worst_group(s, groups_.tp),
                              worst_group(s, groups_.cp),
                              worst_group(s, groups_.ep),
                              worst_group(s, groups_.fsdp)};
        StagePlan plan;
        plan.name = fmt::format("stage {}", s);
        plan.gpus = static_cast<std::uint32_t>(ranks_per_stage());
        plan.representative = first;
        plan.nvlink = spec_.fabric.nvlink_of(first.value);
        plan.nic = spec_.fabric.nic_of(first.value);
        for (std::int64_t i = 1; i < ranks_per_stage(); ++i) {
            plan.nvlink = std::min(plan.nvlink, spec_.fabric.nvlink_of(first.value + i));
            plan.nic = std::min(plan.nic, spec_.fabric.nic_of(first.value + i));
        }
        plan.sms = spec_.fabric.gpu().sms;

        StageParameters held;
        for (Chunk const& chunk : parallel.chunks_of(s)) {
            auto const& [forward, backward] = priced_chunk(chunk, shape);
            StageParameters const own = chunk_parameters(parallel, model_, chunk);
            held += own;
            plan.chunks.push_back({forward, backward, {}, {}});
            add_data_parallel(plan.chunks.back(), s, own);
        }
        if (parallel.pp > 1) {
            std::int64_t const width =
                parallel.sequence_parallel ? model_.hidden / parallel.tp : model_.hidden;
            plan.send = plan_collective(spec_.profile, CollectiveOp::sendrecv,
                                        Bytes{shape.tokens() * width * 2}, worst_link(s));
        }
        plan.optimizer = optimizer(held);
        plan.data_parallel_exposed = data_parallel_exposed(plan);
        return plan;
    }

    StepSpec const& spec_;
    Architecture model_;
    ProcessGroups groups_;
    CostBook book_;
    std::map<std::tuple<ChunkContent, GroupShape, GroupShape, GroupShape, GroupShape>, PricedChunk>
        priced_;
};

std::vector<LinkUse> link_uses(TaskGraph const& graph,
                               std::vector<StagePlan> const& stages,
                               Execution const& execution) {
    // Resources come in fives per class (step_graph): NVLink and NIC out, then in, then SMs.
    constexpr std::size_t per_class = 5;
    std::vector<LinkUse> links;
    for (std::size_t s = 0; s < stages.size(); ++s) {
        for (std::size_t kind = 0; kind < 2; ++kind) {
            std::size_t const resource = per_class * s + kind;
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

MemoryPolicy memory_policy(StepSpec const& spec) {
    MemoryPolicy policy;
    policy.weight_bytes = spec.recipe.state.weight_bytes;
    policy.gradient_bytes = spec.recipe.state.gradient_bytes;
    policy.optimizer_bytes = spec.recipe.state.optimizer_bytes;
    policy.shard_optimizer = spec.recipe.state.distributed_optimizer;
    policy.full_recompute = spec.recipe.full_recompute;
    policy.recompute = spec.recipe.recompute;
    policy.recompute.insert(policy.recompute.end(), spec.recipe.rebuilt.begin(),
                            spec.recipe.rebuilt.end());
    policy.kept_input_bytes = spec.precision.saved_input_bytes;
    policy.communication_buffers = spec.recipe.reserve.communication;
    policy.framework = spec.recipe.reserve.framework;
    policy.fragmentation = spec.recipe.reserve.fragmentation;
    return policy;
}

std::vector<TaskTime> task_times(CostBook const& book) {
    std::vector<TaskTime> times;
    for (PricedCost const& cost : book.costs()) {
        times.push_back({cost.time - cost.bandwidth_part, cost.bandwidth_part});
    }
    return times;
}

}  // namespace

std::vector<Memory> step_memory(StepSpec const& spec) {
    std::vector<Memory> stages;
    Memory worst;
    for (int s = 0; s < spec.parallel.pp; ++s) {
        stages.push_back(memory_of(spec.parallel, spec.model, memory_policy(spec), s));
        if (s == 0 || stages.back().total() > worst.total()) worst = stages.back();
    }
    if (spec.must_fit) check_fits(worst, spec.fabric.gpu().hbm_usable(), spec.parallel);
    return stages;
}

StepResult simulate_step(StepSpec const& spec, std::function<void(double)> const& progress) {
    StepResult result;
    result.memory = step_memory(spec);
    NVL72_EXPECT(spec.parallel.micro_batches <= INT32_MAX, "micro-batches fit an int");

    StepPlanner planner(spec);
    auto const stages = planner.stages();
    PipelineShape const pipeline{spec.parallel.pp, spec.parallel.vp,
                                 static_cast<int>(spec.parallel.micro_batches)};
    result.cost_ids = intern_costs(stages, planner.book());
    result.graph =
        build_step_graph(pipeline, stages, result.cost_ids, spec.recipe.overlap, planner.book());
    auto const times = task_times(planner.book());
    result.execution = execute(result.graph, times, progress);
    result.replay = record(result.graph, times, result.execution);
    result.step = result.execution.makespan;
    result.by_class = breakdown(result.graph, result.execution);
    result.links = link_uses(result.graph, stages, result.execution);
    result.shares = basis_shares(result.graph, planner.book(), result.by_class);
    return result;
}

std::vector<TaskTime> reprice_step(StepSpec const& spec, StepResult const& done) {
    StepPlanner planner(spec);
    intern_costs(planner.stages(), planner.book(), &done.cost_ids);
    return task_times(planner.book());
}

}  // namespace nvl72
