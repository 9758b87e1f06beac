#include "sim/study/workload_run.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/study/on_threads.hpp"
#include "sim/study/point.hpp"
#include "sim/study/result_rows.hpp"
#include "sim/study/workload_stages.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <sstream>

namespace nvl72 {

namespace {

constexpr double seconds_of_hour = 3600;
constexpr double seconds_of_day = 86400;
constexpr std::size_t phases_shown_max = 40;
constexpr std::size_t sentences_max = 12;
constexpr double late_share_max = 1e-3;

/// A phase with its stages' oracles.
struct BuiltPhase {
    PhaseChoice const* choice = nullptr;
    PhasePlan plan;
    std::vector<BuiltStage> stages;
    std::vector<std::size_t> pools;  ///< of each stage; none where elsewhere
};

/// A point's workload, built.
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

    WorkloadPlan plan;  ///< its phases are those of `phases` that are no control loops
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

/// Watts of a pool's GPUs and what they stand in, all of them in one state.
struct PoolPower {
    double compute_w = 0, memory_w = 0, idle_w = 0;
};

PoolPower pool_power(PowerSetting const& setting, Fabric const& fabric) {
    auto const gpus = static_cast<double>(fabric.gpus());
    auto const all_in = [&](GpuState state) {
        GpuActivity activity{gpus, {}};
        activity.seconds.at(static_cast<std::size_t>(state)) = 1;
        return step_power(setting, fabric, {activity}, 1, 1).cluster_w;
    };
    return {all_in(GpuState::compute), all_in(GpuState::memory), all_in(GpuState::idle)};
}

/// A point when it has run.
struct Done {
    WorkloadRow row;
    std::vector<PhaseRow> phases;
    std::vector<std::tuple<std::string, std::string, double, double>>
        stages;                                         ///< phase, stage, s, share
    std::vector<std::pair<std::string, double>> pools;  ///< busy share
    std::vector<std::tuple<std::string, double, double, double>> links;
    std::vector<std::tuple<std::string, std::string, double, double>> spans;
    std::vector<std::string> profiles, gpus;
};

class PointRun {
public:
    PointRun(WorkloadPoint const& point,
             Library const& library,
             GivenProfiles const& given,
             std::uint64_t seed)
        : point_(point), library_(library), seed_(seed), built_(point, library, given, seed) {}

    Done run() {
        WorkloadPlan plan = built_.plan;
        for (std::size_t i = 0; i < built_.phases.size(); ++i) {
            if (!built_.phases[i].stages.front().control) {
                number_.push_back(i);
                plan.phases.push_back(built_.phases[i].plan);
            } else if (std::ranges::any_of(built_.phases, [&](auto const& other) {
                           return other.plan.follows == i;
                       })) {
                fail(built_.phases[i].choice->place, "a control loop that is followed",
                     "phases that publish weights");
            }
        }
        for (auto& phase : plan.phases) {
            if (phase.follows == PhasePlan::none) continue;
            phase.follows = static_cast<std::size_t>(std::ranges::find(number_, phase.follows) -
                                                     number_.begin());
        }
        if (!plan.phases.empty()) ran_ = run_workload(plan);
        done_.row.span_s = ran_.span_s;
        for (std::size_t p = 0; p < number_.size(); ++p) add_phase(p);
        for (std::size_t i = 0; i < built_.phases.size(); ++i) {
            if (built_.phases[i].stages.front().control) add_loop(built_.phases[i]);
        }
        add_point();
        return std::move(done_);
    }

private:
    PhaseRow row_of(BuiltPhase const& phase) {
        PhaseRow row;
        row.phase = phase.plan.name;
        row.kind = phase.choice->kind.value;
        row.pool = phase.choice->on ? phase.choice->on->value : "";
        for (auto const& stage : phase.stages) {
            if (!row.basis.empty() && row.basis != stage.basis) row.basis += "; ";
            if (row.basis != stage.basis) row.basis += stage.basis;
            if (!stage.profile.empty()) done_.profiles.push_back(stage.profile);
        }
        return row;
    }

    void add_phase(std::size_t p) {
        BuiltPhase const& phase = built_.phases[number_[p]];
        PhaseUse const& use = ran_.phases[p];
        PhaseRow row = row_of(phase);
        double const span = ran_.span_s;
        double const lanes = static_cast<double>(phase.plan.lanes);
        row.rounds = use.rounds;
        row.items = use.items;
        row.items_per_s = use.items / span;
        row.busy_share = use.alone_s / span;
        row.input_share = use.input_wait_s / (span * lanes);
        row.output_share = use.output_wait_s / (span * lanes);
        row.turn_share = std::max(0.0, use.stage_s - use.alone_s) / (span * lanes);
        row.barrier_share = use.barrier_wait_s / (span * lanes);
        if (use.taken > 0) row.real_share = use.mark / use.taken;
        if (phase.plan.follows != PhasePlan::none && use.rounds > 0)
            row.age = use.age / static_cast<double>(use.rounds);
        for (std::size_t s = 0; s < phase.stages.size(); ++s) {
            busy(phase.pools[s], use.by_stage_s[s], phase.stages[s].compute_share);
            // One lane waits for the tails; several fill them with one another.
            double const tail = phase.plan.lanes == 1 ? use.after_s[s] : 0;
            double const share = (use.by_stage_s[s] + tail) / span;
            done_.stages.emplace_back(row.phase, phase.stages[s].plan.name,
                                      use.by_stage_s[s] + use.after_s[s], share);
            if (share > done_.row.bound_share) {
                done_.row.bound_share = share;
                done_.row.bound_by = phase.stages.size() > 1
                                         ? row.phase + ": " + phase.stages[s].plan.name
                                         : row.phase;
            }
        }
        done_.phases.push_back(std::move(row));
    }

    void add_loop(BuiltPhase const& phase) {
        auto const& stage = phase.stages.front();
        auto const run = run_control_loop(*stage.control, seed_);
        PhaseRow row = row_of(phase);
        row.rounds = run.batches;
        row.items = static_cast<double>(run.requests) * stage.servers;
        row.items_per_s =
            static_cast<double>(stage.control->robots) * stage.servers / stage.control->period_s;
        row.busy_share = run.busy_share;
        row.miss_share = static_cast<double>(run.misses) /
                         static_cast<double>(std::max<std::int64_t>(1, run.requests));
        auto const at = [&](double share) {
            if (run.answer_s.empty()) return PhaseRow::none;
            auto const last = static_cast<double>(run.answer_s.size() - 1);
            return run.answer_s[static_cast<std::size_t>(share * last)];
        };
        row.answer_p50_s = at(0.5);
        row.answer_p99_s = at(0.99);
        row.age_p50_s = run.age_p50_s;
        row.age_p99_s = run.age_p99_s;
        done_.row.span_s = std::max(done_.row.span_s, stage.control->span_s);
        busy(phase.pools.front(), run.busy_share * done_.row.span_s, stage.compute_share);
        if (run.busy_share > done_.row.bound_share) {
            done_.row.bound_share = run.busy_share;
            done_.row.bound_by = row.phase;
        }
        done_.phases.push_back(std::move(row));
    }

    void busy(std::size_t pool, double seconds, double compute_share) {
        if (pool == PhasePlan::none) return;
        compute_s_.resize(built_.plan.pools.size(), 0);
        memory_s_.resize(built_.plan.pools.size(), 0);
        compute_s_[pool] += seconds * compute_share;
        memory_s_[pool] += seconds * (1 - compute_share);
    }

    /// Energy and money: each phase has that of its time on GPUs, the point that of all of them.
    void add_point() {
        auto& row = done_.row;
        auto const& system = point_.system;
        row.kind = name_of(point_.kind);
        row.system = system.name;
        row.group = point_.group;
        row.phases = static_cast<std::int64_t>(built_.phases.size());
        compute_s_.resize(built_.plan.pools.size(), 0);
        memory_s_.resize(built_.plan.pools.size(), 0);
        double joules = 0, hours = 0, watts = 0;
        bool known = false;
        for (std::size_t i = 0; i < system.choice.pools.size(); ++i) {
            auto const& pool = system.choice.pools[i];
            double const used = compute_s_[i] + memory_s_[i];
            bool const ran = i < ran_.pool_busy_s.size() && ran_.pool_busy_s[i] > 0;
            done_.pools.emplace_back(pool.name, (ran ? ran_.pool_busy_s[i] : used) / row.span_s);
            if (!pool.gpus) continue;
            ClusterChoice cluster = system.cluster;
            cluster.gpus = *pool.gpus;
            cluster.gpus_place = pool.place;
            auto const fabric = build_fabric(cluster, library_);
            row.cluster = fabric.cluster().name;
            row.gpu = fabric.gpu().name;
            done_.gpus.push_back(row.gpu);
            row.gpus += *pool.gpus;
            double const pool_hours =
                static_cast<double>(*pool.gpus) * row.span_s / seconds_of_hour;
            hours += pool_hours;
            auto const setting =
                load_power(system.power, library_, fabric.cluster().kind, fabric.cluster().gpu,
                           fabric.gpu().tdp, fabric.cluster().unit_power);
            if (!setting) continue;
            known = true;
            auto const power = pool_power(*setting, fabric);
            double const idle_s = std::max(0.0, row.span_s - used);
            joules += compute_s_[i] * power.compute_w + memory_s_[i] * power.memory_w +
                      idle_s * power.idle_w;
            charge(i, power, *setting, static_cast<double>(*pool.gpus));
            watts = joules / row.span_s;
            row.usd = std::isnan(row.usd) ? 0 : row.usd;
            setting_ = setting;
        }
        if (known) {
            row.energy_j = joules;
            row.cluster_w = watts;
            row.usd = cost_usd(*setting_, hours, joules);
        }
        if (system.published.days) {
            row.published_s = system.published.days->value * seconds_of_day;
            row.error = row.span_s / row.published_s - 1;
        }
        for (std::size_t i = 0; i < ran_.link_most.size(); ++i) {
            done_.links.emplace_back(built_.plan.links[i].name, built_.plan.links[i].capacity,
                                     ran_.link_most[i], ran_.link_left[i]);
        }
        for (auto const& span : ran_.spans) {
            auto const& phase = built_.phases[number_[span.phase]];
            done_.spans.emplace_back(phase.plan.name, phase.stages[span.stage].plan.name,
                                     span.start_s, span.end_s);
        }
    }

    void charge(std::size_t pool,
                PoolPower const& power,
                PowerSetting const& setting,
                double gpus) {
        for (std::size_t p = 0; p < number_.size(); ++p) {
            BuiltPhase const& phase = built_.phases[number_[p]];
            double joules = 0, seconds = 0;
            for (std::size_t s = 0; s < phase.stages.size(); ++s) {
                if (phase.pools[s] != pool) continue;
                double const share = phase.stages[s].compute_share;
                seconds += ran_.phases[p].by_stage_s[s];
                joules += ran_.phases[p].by_stage_s[s] *
                          (share * power.compute_w + (1 - share) * power.memory_w);
            }
            if (seconds == 0 || ran_.phases[p].items == 0) continue;
            auto& row = done_.phases[p];
            auto const add = [](double& to, double more) { to = (std::isnan(to) ? 0 : to) + more; };
            add(row.energy_per_item_j, joules / ran_.phases[p].items);
            add(row.usd_per_item,
                cost_usd(setting, gpus * seconds / seconds_of_hour, joules) / ran_.phases[p].items);
        }
    }

    WorkloadPoint const& point_;
    Library const& library_;
    std::uint64_t seed_;
    Builder built_;
    std::vector<std::size_t> number_;  ///< of each phase of the run in `built_`
    std::vector<double> compute_s_, memory_s_;
    std::optional<PowerSetting> setting_;
    WorkloadRun ran_;
    Done done_;
};

struct PhaseColumn {
    std::string_view name, unit, help;
    std::variant<std::int64_t PhaseRow::*, double PhaseRow::*, std::string PhaseRow::*> member;
    bool optional = false;
};
std::vector<PhaseColumn> const& phase_columns() {
    using R = PhaseRow;
    static std::vector<PhaseColumn> const all{
        {"point", "", "row of /sweep", &R::point},
        {"phase", "", "its name", &R::phase},
        {"kind", "", "what it does", &R::kind},
        {"pool", "", "its machine; of a search its stages have theirs", &R::pool},
        {"basis", "", "what its times stand on", &R::basis},
        {"rounds", "", "done", &R::rounds},
        {"items", "", "done", &R::items},
        {"items_per_s", "1/s", "over the span", &R::items_per_s},
        {"busy_share", "1", "of the span, on its machine were it alone", &R::busy_share},
        {"input_share", "1", "of the span, waiting for input", &R::input_share},
        {"output_share", "1", "of the span, waiting for room behind it", &R::output_share},
        {"turn_share", "1", "of the span, waiting for others on its machine", &R::turn_share},
        {"barrier_share", "1", "of the span, waiting at a barrier", &R::barrier_share},
        {"real_share", "1", "of what it took, from people", &R::real_share, true},
        {"age", "", "versions that its weights were behind, mean", &R::age, true},
        {"energy_per_item_j", "J", "of its GPUs' machines while it ran", &R::energy_per_item_j,
         true},
        {"usd_per_item", "USD", "price of that time", &R::usd_per_item, true},
        {"robots", "", "that ask all servers of the pool", &R::robots, true},
        {"miss_share", "1", "of robots' requests answered too late", &R::miss_share, true},
        {"answer_p50_s", "s", "from a robot's request to its answer", &R::answer_p50_s, true},
        {"answer_p99_s", "s", "99 % of them take less", &R::answer_p99_s, true},
        {"age_p50_s", "s", "from seeing to acting", &R::age_p50_s, true},
        {"age_p99_s", "s", "99 % of actions are younger", &R::age_p99_s, true},
    };
    return all;
}

struct WorkloadColumn {
    std::string_view name, unit, help;
    std::variant<std::int64_t WorkloadRow::*, double WorkloadRow::*, std::string WorkloadRow::*>
        member;
    bool optional = false;
};
std::vector<WorkloadColumn> const& workload_columns() {
    using R = WorkloadRow;
    static std::vector<WorkloadColumn> const all{
        {"point", "", "row number; other tables refer to it", &R::point},
        {"kind", "", "system or sweep", &R::kind},
        {"system", "", "label of the system", &R::system},
        {"group", "", "that label without what a sweep sets", &R::group},
        {"cluster", "", "cluster config", &R::cluster},
        {"gpu", "", "GPU config", &R::gpu},
        {"gpus", "", "of all pools", &R::gpus},
        {"phases", "", "how many", &R::phases},
        {"span_s", "s", "simulated", &R::span_s},
        {"cluster_w", "W", "mean draw of the GPUs' machines", &R::cluster_w, true},
        {"energy_j", "J", "the same over the span", &R::energy_j, true},
        {"usd", "USD", "price of the span", &R::usd, true},
        {"bound_by", "", "phase, and stage of a search, that is busy most", &R::bound_by},
        {"bound_share", "1", "of the span that it is", &R::bound_share},
        {"published_s", "s", "reported wall time", &R::published_s, true},
        {"error", "1", "span over reported, minus 1", &R::error, true},
    };
    return all;
}

template <class Row, class Columns>
ResultTable table_of(std::string name, std::vector<Row> const& rows, Columns const& columns) {
    ResultTable table{std::move(name), {}};
    for (auto const& column : columns) {
        std::visit(
            [&]<class T>(T Row::* member) {
                std::vector<T> values;
                for (Row const& row : rows) values.push_back(row.*member);
                table.columns.push_back({std::string(column.name), std::string(column.unit),
                                         std::string(column.help), std::move(values),
                                         column.optional});
            },
            column.member);
    }
    return table;
}

std::string duration(double seconds) {
    if (seconds >= 2 * seconds_of_day) return fmt::format("{:.2f} days", seconds / seconds_of_day);
    if (seconds >= 2 * seconds_of_hour) return fmt::format("{:.2f} h", seconds / seconds_of_hour);
    return fmt::format("{:.3g} s", seconds);
}

PhaseRow const* phase_of(std::vector<PhaseRow> const& phases,
                         std::int64_t point,
                         auto const& holds) {
    for (auto const& phase : phases) {
        if (phase.point == point && holds(phase)) return &phase;
    }
    return nullptr;
}

/// What a sweep's answer is told by: a trainer's idle share, robots that are late, or the span.
struct Told {
    std::string what;
    double value = 0;
    [[nodiscard]] std::string text() const {
        return what == "takes" ? duration(value) : fmt::format("{:.1f} %", 100 * value);
    }
};
Told told(WorkloadRow const& row, std::vector<PhaseRow> const& phases) {
    auto const* trains =
        phase_of(phases, row.point, [](auto const& phase) { return phase.kind == "train_loop"; });
    if (trains != nullptr) return {trains->phase + " idle", 1 - trains->busy_share};
    auto const* robots = phase_of(phases, row.point,
                                  [](auto const& phase) { return !std::isnan(phase.miss_share); });
    if (robots != nullptr) return {robots->phase + " late", robots->miss_share};
    return {"takes", row.span_s};
}

std::string of_point(WorkloadRow const& row) {
    return row.system.size() > row.group.size() ? row.system.substr(row.group.size() + 1)
                                                : row.system;
}

/// The most robots that a system bears, over what else its sweep sets.
std::string robots_sentence(std::vector<WorkloadRow const*> const& rows,
                            std::vector<PhaseRow> const& phases) {
    std::map<std::string, double> most;  // by what else was set
    for (auto const* row : rows) {
        auto const* act = phase_of(phases, row->point,
                                   [](auto const& phase) { return !std::isnan(phase.robots); });
        std::string others;
        std::istringstream words(of_point(*row));
        for (std::string word; words >> word;) {
            if (!word.starts_with("robots=")) others += (others.empty() ? "" : " ") + word;
        }
        auto& best = most[others];
        if (act->miss_share < late_share_max) best = std::max(best, act->robots);
    }
    auto const [low, high] =
        std::ranges::minmax_element(most, {}, [](auto const& entry) { return entry.second; });
    if (low->second == high->second)
        return fmt::format("{}: bears {:g} robots with fewer than one answer in a thousand late.",
                           rows.front()->group, high->second);
    return fmt::format(
        "{}: bears {:g} robots ({}) to {:g} ({}) with fewer than one answer in a thousand late.",
        rows.front()->group, low->second, low->first, high->second, high->first);
}

/// The ends of what a long sweep of one system gave.
std::string range_sentence(std::vector<WorkloadRow const*> const& rows,
                           std::vector<PhaseRow> const& phases) {
    auto const by_value = [&](auto const* a, auto const* b) {
        return told(*a, phases).value < told(*b, phases).value;
    };
    auto const [least, most] = std::ranges::minmax_element(rows, by_value);
    Told const low = told(**least, phases);
    Told const high = told(**most, phases);
    std::string text = fmt::format("{}: {} {} ({}) to {} ({})", rows.front()->group, low.what,
                                   low.text(), of_point(**least), high.text(), of_point(**most));
    if (!std::isnan(rows.front()->published_s))
        text += fmt::format(", reported {}", duration(rows.front()->published_s));
    std::vector<std::string> bounds;
    for (auto const* row : rows) {
        if (std::ranges::find(bounds, row->bound_by) == bounds.end())
            bounds.push_back(row->bound_by);
    }
    return text + "; busy most: " + join(bounds, ", ") + ".";
}

std::string point_sentence(WorkloadRow const& row, std::vector<PhaseRow> const& phases) {
    std::string text = fmt::format("{}: {}", row.system, duration(row.span_s));
    if (!std::isnan(row.published_s))
        text +=
            fmt::format(" (reported {}, {:+.0f} %)", duration(row.published_s), 100 * row.error);
    text += fmt::format(", {} busy {:.0f} % of it", row.bound_by, 100 * row.bound_share);
    for (auto const& phase : phases) {
        if (phase.point != row.point) continue;
        if (phase.kind == "train_loop")
            text += fmt::format(", {} idle {:.1f} %", phase.phase, 100 * (1 - phase.busy_share));
        if (!std::isnan(phase.miss_share))
            text += fmt::format(", {} late {:.2f} %", phase.phase, 100 * phase.miss_share);
        if (!std::isnan(phase.real_share) && phase.kind == "train_loop")
            text += fmt::format(", {:.0f} % real", 100 * phase.real_share);
    }
    if (!std::isnan(row.energy_j)) text += fmt::format("; {:.3g} kWh", row.energy_j / 3.6e6);
    if (!std::isnan(row.usd)) text += fmt::format(", {:.3g} USD", row.usd);
    return text + ".";
}

/// One a point, of long sweeps one a system.
std::vector<std::string> sentences(std::vector<WorkloadRow> const& rows,
                                   std::vector<PhaseRow> const& phases) {
    std::vector<std::string> all;
    std::vector<std::string> told_groups;
    for (auto const& row : rows) {
        if (rows.size() <= sentences_max) {
            all.push_back(point_sentence(row, phases));
            continue;
        }
        if (std::ranges::find(told_groups, row.group) != told_groups.end()) continue;
        told_groups.push_back(row.group);
        std::vector<WorkloadRow const*> group;
        for (auto const& other : rows) {
            if (other.group == row.group) group.push_back(&other);
        }
        bool const robots = phase_of(phases, row.point, [](auto const& phase) {
                                return !std::isnan(phase.robots);
                            }) != nullptr;
        all.push_back(robots ? robots_sentence(group, phases) : range_sentence(group, phases));
    }
    return all;
}

void add_tables(WorkloadResult& result,
                std::vector<Done> const& done,
                WorkloadExperiment const& experiment,
                TraceLevel trace) {
    Rows summary({"summary",
                  {{"name", "", "what it is", Texts{}},
                   {"value", "", "in its unit; NaN: a sentence alone", Reals{}, true},
                   {"unit", "", "of the value", Texts{}},
                   {"text", "", "a sentence", Texts{}}}});
    for (auto const& sentence : result.answer)
        summary.add({std::string("answer"), PhaseRow::none, std::string(), sentence});
    Rows swept({"swept",
                {{"point", "", "row of /sweep", Integers{}},
                 {"key", "", "what the sweep set", Texts{}},
                 {"text", "", "to what", Texts{}},
                 {"number", "", "the same; NaN: no number", Reals{}, true}}});
    Rows stages({"stages",
                 {{"point", "", "row of /sweep", Integers{}},
                  {"phase", "", "its name", Texts{}},
                  {"stage", "", "of its rounds", Texts{}},
                  {"alone_s", "s", "on its machine, were it alone, with its tail", Reals{}},
                  {"share", "1", "of the span; with its tail where there is one lane", Reals{}}}});
    Rows pools({"pools",
                {{"point", "", "row of /sweep", Integers{}},
                 {"pool", "", "a machine", Texts{}},
                 {"busy_share", "1", "of the span", Reals{}}}});
    Rows links({"stores",
                {{"point", "", "row of /sweep", Integers{}},
                 {"link", "", "between phases", Texts{}},
                 {"capacity", "", "items", Reals{}},
                 {"most", "", "items that waited in it at once", Reals{}},
                 {"left", "", "items at the end", Reals{}}}});
    Rows spans({"spans",
                {{"point", "", "row of /sweep", Integers{}},
                 {"phase", "", "its name", Texts{}},
                 {"stage", "", "of its rounds", Texts{}},
                 {"start_s", "s", "from the beginning", Reals{}},
                 {"end_s", "s", "from the beginning", Reals{}}}});
    for (std::size_t i = 0; i < done.size(); ++i) {
        auto const point = static_cast<std::int64_t>(i);
        for (auto const& value : experiment.points[i].swept)
            swept.add({point, value.key, value.text, value.number});
        for (auto const& [phase, stage, seconds, share] : done[i].stages)
            stages.add({point, phase, stage, seconds, share});
        for (auto const& [pool, share] : done[i].pools) pools.add({point, pool, share});
        for (auto const& [link, capacity, most, left] : done[i].links)
            links.add({point, link, capacity, most, left});
        if (trace != TraceLevel::ops || experiment.points[i].kind == PointKind::sweep) continue;
        for (auto const& [phase, stage, start, end] : done[i].spans)
            spans.add({point, phase, stage, start, end});
    }
    result.file.tables.push_back(table_of("sweep", result.rows, workload_columns()));
    result.file.tables.push_back(table_of("phases", result.phases, phase_columns()));
    summary.move_to(result.file);
    swept.move_to(result.file);
    if (trace == TraceLevel::none) return;
    for (Rows* rows : {&stages, &pools, &links, &spans}) rows->move_to(result.file);
}

Cell known(double value) { return std::isnan(value) ? Cell{} : Cell{value}; }

}  // namespace

WorkloadResult run_workload_experiment(WorkloadExperiment const& experiment,
                                       Library const& library,
                                       RunOptions const& options) {
    std::vector<Done> done(experiment.points.size());
    on_threads(
        done.size(), options.threads,
        [&](std::size_t i) {
            done[i] = PointRun(experiment.points[i], library, options.calibrations, experiment.seed)
                          .run();
        },
        options.progress);
    WorkloadResult result;
    std::vector<std::string> profiles, gpus;
    for (std::size_t i = 0; i < done.size(); ++i) {
        done[i].row.point = static_cast<std::int64_t>(i);
        result.rows.push_back(done[i].row);
        for (auto& phase : done[i].phases) {
            phase.point = static_cast<std::int64_t>(i);
            result.phases.push_back(phase);
        }
        auto const keep = [](std::vector<std::string>& to, std::vector<std::string> const& from) {
            for (auto const& name : from) {
                if (std::ranges::find(to, name) == to.end()) to.push_back(name);
            }
        };
        keep(profiles, done[i].profiles);
        keep(gpus, done[i].gpus);
    }
    expect_used(options.calibrations, library, gpus);
    result.answer = sentences(result.rows, result.phases);
    result.file.config = experiment.config;
    result.file.seed = experiment.seed;
    result.file.program_version = options.program_version;
    result.file.calibrations = profiles;
    add_tables(result, done, experiment, options.trace);
    return result;
}

Table workload_table(std::vector<WorkloadRow> const& rows) {
    Table table({{"system", "system"},
                 {"gpus", "GPUs"},
                 {"span_s", "span", -1, "s"},
                 {"bound_by", "busy most"},
                 {"bound_share", "of the span", 1, "%"},
                 {"cluster_w", "draw", -1, "W"},
                 {"energy_j", "energy", -1, "J"},
                 {"usd", "price", -1, "USD"},
                 {"published_s", "reported", -1, "s"},
                 {"error", "error", 1, "%"}});
    for (auto const& row : rows) {
        table.add({row.system, row.gpus, row.span_s, row.bound_by, 100 * row.bound_share,
                   known(row.cluster_w), known(row.energy_j), known(row.usd),
                   known(row.published_s), known(100 * row.error)});
    }
    return table;
}

Table phase_table(WorkloadResult const& result) {
    Table table({{"system", "system"},
                 {"phase", "phase"},
                 {"kind", "kind"},
                 {"rounds", "rounds"},
                 {"items", "items"},
                 {"items_per_s", "items", -1, "1/s"},
                 {"busy_share", "busy", 1, "%"},
                 {"input_share", "waits for input", 1, "%"},
                 {"output_share", "for room", 1, "%"},
                 {"turn_share", "for others", 1, "%"},
                 {"energy_per_item_j", "energy", -1, "J/item"},
                 {"usd_per_item", "price", -1, "USD/item"},
                 {"miss_share", "late", 2, "%"},
                 {"answer_p99_s", "answer p99", -1, "s"}});
    for (auto const& phase : result.phases) {
        auto const& row = result.rows[static_cast<std::size_t>(phase.point)];
        if (result.phases.size() > phases_shown_max && row.kind == "sweep") continue;
        table.add({row.system, phase.phase, phase.kind, phase.rounds, phase.items,
                   phase.items_per_s, 100 * phase.busy_share, 100 * phase.input_share,
                   100 * phase.output_share, 100 * phase.turn_share, known(phase.energy_per_item_j),
                   known(phase.usd_per_item), known(100 * phase.miss_share),
                   known(phase.answer_p99_s)});
    }
    return table;
}

Table full_table(WorkloadResult const& result) {
    std::vector<Column> columns{{"system", "system"}, {"span_s", "span_s"}};
    for (auto const& column : phase_columns())
        columns.push_back({std::string(column.name), std::string(column.name)});
    Table table(std::move(columns));
    for (auto const& phase : result.phases) {
        auto const& row = result.rows[static_cast<std::size_t>(phase.point)];
        std::vector<Cell> cells{row.system, row.span_s};
        for (auto const& column : phase_columns()) {
            std::visit(
                [&]<class T>(T PhaseRow::* member) {
                    if constexpr (std::is_same_v<T, double>) {
                        cells.push_back(known(phase.*member));
                    } else {
                        cells.emplace_back(phase.*member);
                    }
                },
                column.member);
        }
        table.add(std::move(cells));
    }
    return table;
}

}  // namespace nvl72
