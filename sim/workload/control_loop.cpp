#include "sim/workload/control_loop.hpp"

#include "sim/base/error.hpp"
#include "sim/base/random.hpp"
#include "sim/engine/process.hpp"

#include <algorithm>
#include <cmath>

namespace nvl72 {

namespace {

constexpr double warm_up_share = 0.1;

struct Ask {
    double sent = 0, arrives = 0, back = 0;  ///< back: of the network, to the robot
};

/// Every robot's requests; robots are evenly out of step with one another.
std::vector<Ask> asks_of(ControlPlan const& plan, std::uint64_t seed) {
    RandomStream network(seed, "robots' network"), phases(seed, "robots' phases");
    std::vector<Ask> asks;
    for (std::int64_t robot = 0; robot < plan.robots; ++robot) {
        double const begin = phases.uniform() * plan.period_s;
        for (double at = begin; at < plan.span_s; at += plan.period_s) {
            auto const way = [&] {
                double const more = plan.jitter_s > 0 ? network.exponential(plan.jitter_s / 2) : 0;
                return plan.network_s / 2 + more;
            };
            double const there = way();
            asks.push_back({at, at + there, way()});
        }
    }
    std::ranges::sort(asks, {}, &Ask::arrives);
    return asks;
}

/// The server: the oldest requests first, as many together as it may.
Process server(Scheduler& clock,
               ControlPlan const& plan,
               std::vector<Ask> const& asks,
               std::vector<double>& done,
               double& busy_s,
               std::int64_t& batches) {
    std::size_t next = 0;
    while (next < asks.size()) {
        auto const now = [&] { return to_seconds(clock.now()); };
        if (asks[next].arrives > now()) co_await clock.delay(asks[next].arrives - now());
        auto const here = [&] {
            std::int64_t count = 0;
            while (next + static_cast<std::size_t>(count) < asks.size() && count < plan.batch_max &&
                   asks[next + static_cast<std::size_t>(count)].arrives <= now() + 1e-12) {
                ++count;
            }
            return std::max<std::int64_t>(1, count);
        };
        std::int64_t batch = here();
        double const until = asks[next].arrives + plan.gather_s;
        if (batch < plan.batch_max && until > now()) {
            co_await clock.delay(until - now());
            batch = here();
        }
        double const seconds = plan.seconds(batch);
        co_await clock.delay(seconds);
        busy_s += seconds;
        ++batches;
        for (std::int64_t i = 0; i < batch; ++i) done.push_back(now());
        next += static_cast<std::size_t>(batch);
    }
}

/// An action is as old as its answer took, and up to a period more.
double age_at(std::vector<double> const& answers, double period_s, double share) {
    double low = 0;
    double high = answers.back() + period_s;
    auto const younger = [&](double age) {
        double sum = 0;
        for (double const answer : answers) sum += std::clamp((age - answer) / period_s, 0.0, 1.0);
        return sum / static_cast<double>(answers.size());
    };
    for (int i = 0; i < 40; ++i) {
        double const middle = (low + high) / 2;
        (younger(middle) < share ? low : high) = middle;
    }
    return high;
}

}  // namespace

ControlRun run_control_loop(ControlPlan const& plan, std::uint64_t seed) {
    NVL72_EXPECT(plan.robots > 0 && plan.period_s > 0 && plan.batch_max > 0,
                 "robots ask now and then");
    auto const asks = asks_of(plan, seed);
    std::vector<double> done;
    ControlRun run;
    double busy_s = 0;
    Scheduler clock;
    clock.start("server", server(clock, plan, asks, done, busy_s, run.batches));
    clock.run(from_seconds(9e6));
    run.busy_share = busy_s / std::max(plan.span_s, to_seconds(clock.now()));
    for (std::size_t i = 0; i < asks.size(); ++i) {
        if (asks[i].sent < warm_up_share * plan.span_s) continue;
        ++run.requests;
        run.answer_s.push_back(done[i] + asks[i].back - asks[i].sent);
        if (run.answer_s.back() > plan.deadline_s) ++run.misses;
    }
    std::ranges::sort(run.answer_s);
    if (!run.answer_s.empty()) {
        run.age_p50_s = age_at(run.answer_s, plan.period_s, 0.5);
        run.age_p99_s = age_at(run.answer_s, plan.period_s, 0.99);
    }
    return run;
}

}  // namespace nvl72
