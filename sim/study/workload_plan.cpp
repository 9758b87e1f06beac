#include "sim/study/workload_plan.hpp"

#include "sim/base/text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace nvl72 {

namespace {

class Builder {
public:
    Builder(WorkloadPoint const& point,
            Library const& library,
            GivenProfiles const& given,
            std::uint64_t seed)
        : choice_(point.system.choice), context_{library, given, point.system, nullptr, seed} {
        check_pools();
        for (auto const& pool : choice_.pools) plan.pools.push_back({pool.name});
        for (auto const& link : choice_.links) {
            if (!(link.capacity > 0)) fail(link.place, "no capacity", "more than 0");
            plan.links.push_back({link.name, link.capacity});
        }
        for (auto const& phase : choice_.phases) phases.push_back(build(phase));
        for (std::size_t i = 0; i < phases.size(); ++i) connect(phases[i], choice_.phases[i]);
        plan.span_s = choice_.span ? to_seconds(*choice_.span) : 0;
        bool const ends =
            std::ranges::any_of(phases, [](auto const& phase) { return phase.plan.total > 0; });
        bool const loops = std::ranges::all_of(
            phases, [](auto const& phase) { return phase.stages.front().control.has_value(); });
        if (!ends && plan.span_s == 0 && !loops)
            fail(choice_.place, "no end", "a span, or a phase with a total");
    }

    WorkloadPlan plan;
    std::vector<BuiltPhase> phases;

private:
    void check_pools() const {
        std::int64_t gpus = 0;
        for (auto const& pool : choice_.pools) {
            int const kinds = int{pool.gpus.has_value()} + int{pool.cores.has_value()} +
                              int{pool.rate.has_value()};
            if (kinds != 1)
                fail(pool.place, fmt::format("{} of them", kinds), "gpus, cores or rate");
            bool const some = pool.gpus.value_or(1) > 0 && pool.cores.value_or(1) > 0;
            if (!some) fail(pool.place, "nothing in it", "1 or more");
            gpus += pool.gpus.value_or(0);
        }
        auto const& cluster = context_.system.cluster;
        if (cluster.gpus > 0 && gpus > cluster.gpus) {
            fail(cluster.gpus_place, fmt::format("{} GPUs", cluster.gpus),
                 fmt::format("{}, as the pools have", gpus));
        }
    }

    [[nodiscard]] std::size_t pool_named(Placed<std::string> const& name) const {
        for (std::size_t i = 0; i < choice_.pools.size(); ++i) {
            if (choice_.pools[i].name == name.value) return i;
        }
        std::vector<std::string> names;
        for (auto const& pool : choice_.pools) names.push_back(pool.name);
        fail(name.place, fmt::format("unknown '{}'", name.value), join(names));
    }

    [[nodiscard]] std::size_t link_named(FlowChoice const& flow) const {
        for (std::size_t i = 0; i < choice_.links.size(); ++i) {
            if (choice_.links[i].name == flow.link) return i;
        }
        std::vector<std::string> names;
        for (auto const& link : choice_.links) names.push_back(link.name);
        fail(flow.place, fmt::format("unknown link '{}'", flow.link),
             names.empty() ? "links: with it" : join(names));
    }

    BuiltStage stage_of(PhaseChoice const& choice, std::size_t& pool) {
        auto const& kind = phase_kind(choice.kind);
        pool = PhasePlan::none;
        auto context = context_;
        if (choice.on) {
            pool = pool_named(*choice.on);
            context.pool = &choice_.pools[pool];
        }
        auto const needs = [&](bool holds, char const* what) {
            if (holds) return;
            fail(choice.on ? choice.on->place : choice.place,
                 choice.on ? choice.on->value : std::string("no pool"), what);
        };
        bool const here = context.pool != nullptr;
        if (kind.machine == Machine::gpus) needs(here && context.pool->gpus, "on: a pool of gpus");
        if (kind.machine == Machine::cores)
            needs(here && context.pool->cores, "on: a pool of cores");
        if (kind.machine == Machine::link)
            needs(here && context.pool->rate, "on: a pool with a rate");
        auto built = kind.build(choice.own, context);
        built.plan.name = choice.name;
        built.plan.elsewhere = !here;
        built.plan.pool = here ? pool : 0;
        return built;
    }

    BuiltPhase build(PhaseChoice const& choice) {
        BuiltPhase phase;
        phase.choice = &choice;
        auto& to = phase.plan;
        to.name = choice.name;
        to.priority = choice.priority;
        to.batch = choice.batch;
        to.lanes = choice.lanes;
        to.repeats = choice.repeats;
        to.total = choice.total;
        to.publishes_every = choice.publishes_every;
        to.reload_s = to_seconds(choice.reload);
        if (phase_kind(choice.kind).build == nullptr) {
            add_search_stages(phase, choice);
        } else {
            std::size_t pool = 0;
            phase.stages.push_back(stage_of(choice, pool));
            phase.pools.push_back(pool);
        }
        for (auto const& stage : phase.stages) to.stages.push_back(stage.plan);
        return phase;
    }

    void add_search_stages(BuiltPhase& phase, PhaseChoice const& choice) {
        Value const* stages = choice.own.find("stages");
        for (auto const& [name, value] : choice.own.entries) {
            if (name != "stages") fail(value.place, name, "stages, and the keys of every phase");
        }
        if (stages == nullptr || !stages->is_map() || stages->entries.empty())
            fail(choice.place, "no stages", "stages: a map of names");
        for (auto const& [name, value] : stages->entries) {
            Value named = value;
            Value word;
            word.kind = Value::Kind::scalar;
            word.scalar = name;
            word.place = value.place;
            named.entries.insert(named.entries.begin(), {"name", word});
            auto const inner = read_phase(named, nullptr);
            if (phase_kind(inner.kind).build == nullptr || inner.kind.value == "control_loop")
                fail(inner.kind.place, inner.kind.value, "a kind without stages of its own");
            std::size_t pool = 0;
            phase.stages.push_back(stage_of(inner, pool));
            phase.pools.push_back(pool);
        }
    }

    void connect(BuiltPhase& phase, PhaseChoice const& choice) {
        for (auto const& flow : choice.takes)
            phase.plan.takes.push_back({link_named(flow), flow.each, -1});
        for (auto const& flow : choice.gives)
            phase.plan.gives.push_back({link_named(flow), flow.each, flow.real.value_or(-1)});
        if (choice.barrier) {
            auto const known = std::ranges::find(barriers_, *choice.barrier);
            phase.plan.barrier = static_cast<std::size_t>(known - barriers_.begin());
            if (known == barriers_.end()) barriers_.push_back(*choice.barrier);
        }
        if (!choice.follows) return;
        for (std::size_t i = 0; i < choice_.phases.size(); ++i) {
            if (choice_.phases[i].name == choice.follows->value) phase.plan.follows = i;
        }
        if (phase.plan.follows == PhasePlan::none)
            fail(choice.follows->place, fmt::format("unknown phase '{}'", choice.follows->value),
                 "the name of another phase");
        if (phase.stages.front().plan.elsewhere)
            fail(choice.follows->place, "a phase on no pool",
                 "on: the pool that loads the weights");
    }

    WorkloadChoice const& choice_;
    StageContext context_;
    std::vector<std::string> barriers_;
};

}  // namespace

BuiltWorkload build_workload(WorkloadPoint const& point,
                             Library const& library,
                             GivenProfiles const& given,
                             std::uint64_t seed) {
    Builder builder(point, library, given, seed);
    return {std::move(builder.plan), std::move(builder.phases)};
}

}  // namespace nvl72
