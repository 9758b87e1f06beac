#include "sim/workload/campaign.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <utility>

namespace nvl72 {

std::array<CampaignPart, 6> const campaign_parts{
    CampaignPart{"useful", "useful", &CampaignRun::useful},
    CampaignPart{"slowed", "slowed", &CampaignRun::slowed},
    CampaignPart{"lost", "lost work", &CampaignRun::lost},
    CampaignPart{"checkpoint", "checkpoints", &CampaignRun::checkpoint},
    CampaignPart{"restart", "restarts", &CampaignRun::restart},
    CampaignPart{"waiting", "waiting for nodes", &CampaignRun::waiting},
};

namespace {

constexpr double never = std::numeric_limits<double>::infinity();
constexpr double steps_most = 1e12;   // between checkpoints, where nothing stops the job
constexpr double steps_least = 1e-6;  // sums of parts of steps round
constexpr std::int64_t failures_max = 2'000'000;  // a campaign that goes nowhere

/// Steps and the time that they took, not yet safe from a failure.
struct Work {
    double steps = 0, useful = 0, slowed = 0;

    void add(Work const& more) {
        steps += more.steps;
        useful += more.useful;
        slowed += more.slowed;
    }
};

/// Something lost that comes back.
struct Return {
    double at = 0;
    FailureEffect what = FailureEffect::stop;  ///< stop: a node
};

Degradation lost_by(FailureEffect effect) {
    return {effect == FailureEffect::lose_plane, effect == FailureEffect::lose_nic};
}

/// Undoes work: by itself, or because the fabric cannot run on without what it takes.
bool stops(FailureCause const& cause, StepTime const& step) {
    if (cause.effect == FailureEffect::planned) return false;
    return cause.effect == FailureEffect::stop || step(lost_by(cause.effect)) == never;
}

class Campaign {
public:
    Campaign(CampaignSpec const& spec,
             Reliability const& table,
             StepTime const& step,
             std::function<std::optional<Failure>()> next)
        : spec_(spec), table_(table), step_(step), next_(std::move(next)), spares_(spec.spares) {
        NVL72_EXPECT(spec.steps > 0 || spec.wall_s, "a campaign ends");
        whole_ = step_({});
        pace_ = whole_;
        interval_ = static_cast<double>(steps_between(spec, table, step));
        goal_ = spec.steps > 0 ? static_cast<double>(spec.steps) : never;
        end_ = spec.wall_s.value_or(never);
        run_.failures.resize(table.causes.size());
        fetch();
    }

    CampaignRun result() {
        while (t_ < end_ && !finished()) {
            double const event = std::min({failure_at_, soonest_return(), end_});
            bool const waits = missing_ > 0 && (spec_.without_spare == WithoutSpare::wait ||
                                                pace_ == never);  // no replica is whole
            if (waits) {
                pass(run_.waiting, event);
            } else if (down_until_ > t_) {
                pass(run_.restart, std::min(event, down_until_));
            } else {
                work_until(event);
            }
            if (finished()) break;
            take_returns();
            if (failure_at_ <= t_ && t_ < end_) take_failure();
        }
        safe_.add(flying_);
        safe_.add(after_);
        run_.wall = t_;
        run_.steps = std::llround(std::floor(safe_.steps + steps_least));
        run_.useful = safe_.useful;
        run_.slowed = safe_.slowed;
        return run_;
    }

private:
    [[nodiscard]] double done() const { return safe_.steps + flying_.steps + after_.steps; }
    [[nodiscard]] bool finished() const { return done() >= goal_ - steps_least; }

    void pass(double& part, double until) {
        part += until - t_;
        t_ = until;
    }

    /// Steps, and checkpoints after every interval of them, until an event or the goal.
    void work_until(double event) {
        while (t_ < event && !finished()) {
            if (blocked_ > 0) {
                double const waits = std::min(blocked_, event - t_);
                blocked_ -= waits;
                if (blocked_ < 1e-9) blocked_ = 0;
                pass(run_.checkpoint, t_ + waits);
                continue;
            }
            if (after_.steps == 0 && take_whole_intervals(event)) continue;
            double const left = std::min(interval_ - after_.steps, goal_ - done());
            double const steps = std::min(left, (event - t_) / pace_);
            after_.add({steps, steps * whole_, steps * (pace_ - whole_)});
            bool const reached = steps == left;
            t_ = reached ? t_ + left * pace_ : event;
            if (reached && !finished()) begin_checkpoint();
        }
    }

    /// All intervals but the last that fit before the event and the goal, at once.
    bool take_whole_intervals(double event) {
        double const each = interval_ * pace_ + spec_.checkpoint_block_s;
        double const fit =
            std::min(std::floor((event - t_) / each), std::floor((goal_ - done()) / interval_)) - 1;
        if (!(fit >= 1)) return false;
        safe_.add(flying_);
        double const steps = fit * interval_;
        Work const all{steps, steps * whole_, steps * (pace_ - whole_)};
        double const share = 1 / fit;
        flying_ = {all.steps * share, all.useful * share, all.slowed * share};
        safe_.add(
            {all.steps - flying_.steps, all.useful - flying_.useful, all.slowed - flying_.slowed});
        run_.checkpoint += fit * spec_.checkpoint_block_s;
        t_ += fit * each;
        safe_at_ = t_ - spec_.checkpoint_block_s + written_after();
        return true;
    }

    [[nodiscard]] double written_after() const {
        return std::max(spec_.checkpoint_block_s, spec_.checkpoint_write_s);
    }

    void begin_checkpoint() {
        safe_.add(flying_);
        flying_ = after_;
        after_ = {};
        blocked_ = spec_.checkpoint_block_s;
        safe_at_ = t_ + written_after();
    }

    void lose_work() {
        if (safe_at_ <= t_) {
            safe_.add(flying_);
        } else {
            run_.lost += flying_.useful + flying_.slowed;
        }
        run_.lost += after_.useful + after_.slowed;
        flying_ = after_ = {};
        blocked_ = 0;
    }

    void take_failure() {
        FailureCause const& cause = table_.causes[cause_];
        ++run_.failures[cause_];
        if (++failures_seen_ > failures_max) {
            throw NoProgress(fmt::format(
                "{} failures in {:.0f} days and {:.0f} of {} steps done (expected failures rarer "
                "than a checkpoint interval and a restart together)",
                failures_seen_, t_ / 86400, done(), spec_.steps));
        }
        fetch();
        double const repair = cause.repair.value_or(table_.repair).count;
        bool const degrades =
            cause.effect == FailureEffect::lose_plane || cause.effect == FailureEffect::lose_nic;
        if (degrades) {
            returns_.push_back({t_ + repair, cause.effect});
            set_pace();
            if (pace_ < never) return;
            returns_.pop_back();  // the fabric cannot go on without it: the node is out
            set_pace();
        }
        ++run_.interruptions;
        if (cause.effect == FailureEffect::planned) {
            safe_.add(flying_);
            safe_.add(after_);
            flying_ = after_ = {};
            blocked_ = 0;
            down_until_ = t_ + written_after() + table_.restart.count + spec_.load_s;
            return;
        }
        lose_work();
        down_until_ = t_ + table_.detect.count + table_.restart.count + spec_.load_s;
        if (cause.takes_node || degrades) lose_node(repair);
    }

    void lose_node(double repair) {
        returns_.push_back({t_ + repair, FailureEffect::stop});
        if (spares_ > 0) {
            --spares_;
        } else {
            ++missing_;
        }
        set_pace();
    }

    [[nodiscard]] double soonest_return() const {
        double soonest = never;
        for (Return const& lost : returns_) soonest = std::min(soonest, lost.at);
        return soonest;
    }

    void take_returns() {
        auto const back = [&](Return const& lost) { return lost.at <= t_; };
        if (std::ranges::none_of(returns_, back)) return;
        for (Return const& lost : returns_) {
            if (!back(lost) || lost.what != FailureEffect::stop) continue;
            if (missing_ == 0) {
                ++spares_;
                continue;
            }
            --missing_;
            if (spec_.without_spare == WithoutSpare::wait && missing_ == 0) {
                down_until_ = std::max(down_until_, t_ + table_.restart.count + spec_.load_s);
            }
        }
        std::erase_if(returns_, back);
        set_pace();
    }

    void set_pace() {
        Degradation lost;
        for (Return const& part : returns_) {
            lost.plane = lost.plane || part.what == FailureEffect::lose_plane;
            lost.nic = lost.nic || part.what == FailureEffect::lose_nic;
        }
        pace_ = step_(lost);
        if (spec_.without_spare == WithoutSpare::wait || missing_ == 0) return;
        double const broken =
            std::ceil(static_cast<double>(missing_) * spec_.replicas_per_node - 1e-9);
        double const left = spec_.replicas - std::max(1.0, broken);
        pace_ = left > 0 ? pace_ * spec_.replicas / left : never;
    }

    void fetch() {
        auto const failure = next_();
        failure_at_ = failure ? failure->hours * 3600 : never;
        cause_ = failure ? failure->cause : 0;
    }

    CampaignSpec const& spec_;
    Reliability const& table_;
    StepTime const& step_;
    std::function<std::optional<Failure>()> next_;
    CampaignRun run_;
    double whole_ = 0, pace_ = 0;  ///< seconds of a step, as built and now
    double interval_ = 1;          ///< steps
    double goal_ = 0, end_ = 0;    ///< steps, seconds
    double t_ = 0, down_until_ = 0, blocked_ = 0, safe_at_ = 0;
    Work safe_, flying_, after_;  ///< stored; in a checkpoint under way; since
    std::vector<Return> returns_;
    std::int64_t spares_ = 0, missing_ = 0, failures_seen_ = 0;
    double failure_at_ = never;
    std::size_t cause_ = 0;
};

}  // namespace

double young_daly(double block_s, double write_s, double mtti_s) {
    double const best = std::sqrt(2 * block_s * mtti_s) - block_s;
    return std::max({best, write_s - block_s, 0.0});
}

double stopping_rate(CampaignSpec const& spec, Reliability const& table, StepTime const& step) {
    double rate = 0;
    for (auto const& cause : table.causes) {
        if (stops(cause, step)) rate += hourly_rate(cause, spec.exposure);
    }
    return rate;
}

std::int64_t steps_between(CampaignSpec const& spec,
                           Reliability const& table,
                           StepTime const& step) {
    double const step_s = step({});
    double const rate = stopping_rate(spec, table, step);
    double const mtti = rate > 0 ? 3600 / rate : never;
    double const best = spec.interval_s.value_or(
        young_daly(spec.checkpoint_block_s, spec.checkpoint_write_s, mtti));
    double const steps = std::min(std::round(best / step_s), steps_most);
    double const least =
        std::ceil(std::max(0.0, spec.checkpoint_write_s - spec.checkpoint_block_s) / step_s - 1e-9);
    return std::llround(std::max({steps, least, 1.0}));
}

FailureProcess::FailureProcess(Reliability const& table,
                               FailureExposure const& exposure,
                               std::uint64_t seed)
    : stream_(seed, "failures") {
    double sum = 0;
    for (auto const& cause : table.causes) until_.push_back(sum += hourly_rate(cause, exposure));
}

std::optional<Failure> FailureProcess::next() {
    if (until_.empty() || until_.back() <= 0) return std::nullopt;
    hours_ += stream_.exponential(1 / until_.back());
    double const drawn = stream_.uniform() * until_.back();
    auto const found = std::ranges::upper_bound(until_, drawn);
    auto const cause =
        std::min<std::size_t>(static_cast<std::size_t>(found - until_.begin()), until_.size() - 1);
    return Failure{hours_, cause};
}

CampaignRun run_campaign(CampaignSpec const& spec,
                         Reliability const& table,
                         StepTime const& step,
                         std::function<std::optional<Failure>()> next) {
    return Campaign(spec, table, step, std::move(next)).result();
}

}  // namespace nvl72
