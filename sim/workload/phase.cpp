#include "sim/workload/phase.hpp"

#include "sim/base/error.hpp"
#include "sim/engine/process.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <memory>

namespace nvl72 {

namespace {

constexpr std::size_t spans_kept = 5000;
constexpr double seconds_max = 9e6;  // picoseconds end at 106 days

class Workload {
public:
    explicit Workload(WorkloadPlan const& plan) : plan_(plan) {
        for (auto const& pool : plan.pools)
            pools_.push_back(std::make_unique<Pool>(clock_, pool.name));
        for (auto const& link : plan.links) {
            buffers_.push_back(std::make_unique<Buffer>(clock_, link.name, link.capacity));
            givers_.push_back(0);
        }
        run_.phases.resize(plan.phases.size());
        versions_.assign(plan.phases.size(), 0);
        std::map<std::size_t, std::size_t> parties;
        for (auto const& phase : plan.phases) {
            if (phase.barrier != PhasePlan::none)
                parties[phase.barrier] += static_cast<std::size_t>(phase.lanes);
            for (auto const& flow : phase.gives) givers_[flow.link] += phase.lanes;
            if (phase.total > 0) ends_ += phase.lanes;
        }
        for (auto const& [number, count] : parties) {
            barriers_[number] =
                std::make_unique<Barrier>(clock_, fmt::format("barrier {}", number), count);
        }
    }

    WorkloadRun run() {
        for (std::size_t i = 0; i < plan_.phases.size(); ++i) {
            auto const& phase = plan_.phases[i];
            run_.phases[i].by_stage_s.assign(phase.stages.size(), 0);
            run_.phases[i].after_s.assign(phase.stages.size(), 0);
            left_.push_back(phase.total);
            for (std::int64_t lane = 0; lane < phase.lanes; ++lane)
                clock_.start(phase.name, lane_of(i));
        }
        clock_.run(from_seconds(plan_.span_s > 0 ? plan_.span_s : seconds_max));
        run_.span_s = to_seconds(clock_.now());
        for (auto const& pool : pools_) run_.pool_busy_s.push_back(pool->busy_s());
        for (auto const& buffer : buffers_) {
            run_.link_most.push_back(buffer->most());
            run_.link_left.push_back(buffer->held());
        }
        return std::move(run_);
    }

private:
    [[nodiscard]] double now() const { return to_seconds(clock_.now()); }

    /// The items of a lane's next round; 0: there is nothing left to do.
    double next_items(std::size_t index) {
        auto const& phase = plan_.phases[index];
        double const whole = phase.batch / static_cast<double>(phase.lanes);
        if (phase.total == 0) return whole;
        double const items = std::min(whole, left_[index]);
        left_[index] -= items;
        if (left_[index] < 1e-9 * phase.total) left_[index] = 0;
        return items;
    }

    /// One lane of a phase.
    Process lane_of(std::size_t index) {
        auto const& phase = plan_.phases[index];
        PhaseUse& use = run_.phases[index];
        std::int64_t seen = 0;
        while (true) {
            double items = next_items(index);
            if (items <= 0) break;
            double since = now();
            double mark = 0;
            bool first = true;
            bool dry = false;
            for (Flow const& flow : phase.takes) {
                auto const got = co_await buffers_[flow.link]->get(items * flow.each);
                if (first) {
                    mark = got.mark;
                    use.mark += got.mark * got.amount;
                    use.taken += got.amount;
                    if (flow.each > 0) items = std::min(items, got.amount / flow.each);
                }
                first = false;
                dry = dry || got.amount <= 0;
            }
            use.input_wait_s += now() - since;
            if (dry) break;
            if (phase.follows != PhasePlan::none) {
                use.age += static_cast<double>(versions_[phase.follows] - seen);
                if (versions_[phase.follows] > seen) {
                    seen = versions_[phase.follows];
                    since = now();
                    co_await pools_[phase.stages.front().pool]->use(phase.reload_s, phase.priority,
                                                                    index);
                    use.stage_s += now() - since;
                    use.alone_s += phase.reload_s;
                }
            }
            for (std::int64_t repeat = 0; repeat < phase.repeats; ++repeat) {
                for (std::size_t s = 0; s < phase.stages.size(); ++s) {
                    PhaseStage const& stage = phase.stages[s];
                    StageTime const time = stage.seconds(items);
                    since = now();
                    if (stage.elsewhere) {
                        co_await clock_.delay(time.on_pool);
                    } else {
                        co_await pools_[stage.pool]->use(time.on_pool, phase.priority, index);
                    }
                    if (time.after > 0) co_await clock_.delay(time.after);
                    use.stage_s += now() - since;
                    use.alone_s += time.on_pool + time.after;
                    use.by_stage_s[s] += time.on_pool;
                    use.after_s[s] += time.after;
                    if (run_.spans.size() < spans_kept)
                        run_.spans.push_back({index, s, since, now()});
                }
            }
            since = now();
            for (Flow const& flow : phase.gives) {
                co_await buffers_[flow.link]->put(items * flow.each,
                                                  flow.mark < 0 ? mark : flow.mark);
            }
            use.output_wait_s += now() - since;
            use.items += items;
            if (++use.rounds % std::max<std::int64_t>(1, phase.publishes_every) == 0)
                ++versions_[index];
            if (phase.barrier != PhasePlan::none) {
                since = now();
                co_await barriers_.at(phase.barrier)->arrive();
                use.barrier_wait_s += now() - since;
            }
        }
        finish(index);
    }

    /// A lane has ended: a link that nobody gives to any more says so.
    void finish(std::size_t index) {
        auto const& phase = plan_.phases[index];
        for (auto const& flow : phase.gives) {
            if (--givers_[flow.link] == 0) buffers_[flow.link]->close();
        }
        if (phase.total == 0 || --ends_ > 0 || plan_.span_s > 0) return;
        // What was made is used up, unless somebody makes more without end.
        bool const endless = std::ranges::any_of(plan_.phases, [](auto const& other) {
            return other.total == 0 && other.takes.empty();
        });
        if (endless) clock_.stop();
    }

    WorkloadPlan const& plan_;
    Scheduler clock_;
    std::vector<std::unique_ptr<Pool>> pools_;
    std::vector<std::unique_ptr<Buffer>> buffers_;
    std::map<std::size_t, std::unique_ptr<Barrier>> barriers_;
    std::vector<std::int64_t> givers_, versions_;
    std::vector<double> left_;
    std::int64_t ends_ = 0;
    WorkloadRun run_;
};

}  // namespace

WorkloadRun run_workload(WorkloadPlan const& plan) {
    NVL72_EXPECT(!plan.phases.empty(), "a workload has phases");
    for (auto const& phase : plan.phases) {
        NVL72_EXPECT(
            phase.batch > 0 && phase.lanes > 0 && phase.repeats > 0 && !phase.stages.empty(),
            "a phase has rounds of stages");
    }
    return Workload(plan).run();
}

}  // namespace nvl72
