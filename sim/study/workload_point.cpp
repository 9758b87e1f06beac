#include "sim/study/workload_point.hpp"

#include "sim/power/step_power.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <optional>

namespace nvl72 {

namespace {

constexpr double seconds_of_hour = 3600;
constexpr double seconds_of_day = 86400;

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

class PointRun {
public:
    PointRun(WorkloadPoint const& point,
             Library const& library,
             GivenProfiles const& given,
             std::uint64_t seed)
        : point_(point),
          library_(library),
          seed_(seed),
          built_(build_workload(point, library, given, seed)) {}

    RanWorkload run() {
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
        for (BuiltPhase const& phase : built_.phases) {
            if (phase.stages.front().control) add_loop(phase);
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
        auto const lanes = static_cast<double>(phase.plan.lanes);
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
        row.robots = static_cast<double>(stage.control->robots) * stage.servers;
        row.items_per_s = row.robots / stage.control->period_s;
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
    BuiltWorkload built_;
    std::vector<std::size_t> number_;  ///< of each phase of the run in `built_`
    std::vector<double> compute_s_, memory_s_;
    std::optional<PowerSetting> setting_;
    WorkloadRun ran_;
    RanWorkload done_;
};

}  // namespace

RanWorkload simulate_workload(WorkloadPoint const& point,
                              Library const& library,
                              GivenProfiles const& given,
                              std::uint64_t seed) {
    return PointRun(point, library, given, seed).run();
}

}  // namespace nvl72
