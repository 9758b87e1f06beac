#include "sim/engine/process.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <cmath>

namespace nvl72 {

namespace {

enum Kind : std::uint32_t { timer_rings, process_wakes };

/// Amounts closer than this share of one another are the same: sums of parts are not exact.
constexpr double same_share = 1e-9;
/// Work left that is below what sums of seconds can tell.
constexpr double tick_s = 1e-9;

}  // namespace

void Scheduler::start(std::string name, Process process) {
    auto const index = static_cast<std::uint32_t>(entries_.size());
    entries_.push_back({std::move(name), std::move(process), "its start", true});
    events_.push({now_, process_wakes, index});
}

std::uint32_t Scheduler::waits(std::string const& reason) {
    entries_[running_].reason = reason;
    entries_[running_].waiting = true;
    return running_;
}

void Scheduler::wake(std::uint32_t process, Picoseconds at) {
    events_.push({at, process_wakes, process});
}

std::uint32_t Scheduler::add_timer(std::function<void()> ring) {
    timers_.push_back(std::move(ring));
    return static_cast<std::uint32_t>(timers_.size() - 1);
}

void Scheduler::set_timer(std::uint32_t timer, Picoseconds at) {
    events_.push({at, timer_rings, timer});
}

void Scheduler::resume(std::uint32_t process) {
    running_ = process;
    entries_[process].waiting = false;
    auto const handle = entries_[process].process.handle_;
    handle.resume();
    if (handle.promise().error) std::rethrow_exception(handle.promise().error);
}

bool Scheduler::run(Picoseconds end) {
    while (!events_.empty() && !stopped_) {
        auto const instant = events_.pop_instant();
        std::vector<Event> const batch(instant.begin(), instant.end());
        if (batch.front().at > end) {
            now_ = end;
            return true;
        }
        now_ = batch.front().at;
        for (Event const& event : batch) {
            if (event.kind == timer_rings) {
                timers_[event.subject]();
            } else {
                resume(event.subject);
            }
        }
    }
    if (stopped_) return false;
    for (Entry const& entry : entries_) {
        if (!entry.waiting) continue;
        throw NoProgress(entry.name + " waits for " + entry.reason +
                         ", which nobody will bring (expected a phase that does)");
    }
    return false;
}

void Buffer::close() {
    closed_ = true;
    settle();
}

void Buffer::add(double amount, double mark) {
    mark_ = held_ + amount > 0 ? (mark_ * held_ + mark * amount) / (held_ + amount) : 0;
    held_ += amount;
    most_ = std::max(most_, held_);
}

void Buffer::take(Get& get) {
    get.got = {std::min(get.amount, held_), mark_};
    held_ = std::max(0.0, held_ - get.amount);
    if (held_ < get.amount * same_share) held_ = 0;
}

bool Buffer::try_put(double amount, double mark) {
    bool const room = held_ + amount <= capacity_ * (1 + same_share) || held_ == 0;
    if (!putting_.empty() || !room) return false;
    add(amount, mark);
    settle();
    return true;
}

bool Buffer::try_get(Get& get) {
    bool const enough = held_ >= get.amount * (1 - same_share) || closed_;
    if (!getting_.empty() || !enough) return false;
    take(get);
    settle();
    return true;
}

void Buffer::queue_put(Put& put) {
    putting_.push_back({clock_.waits("room in " + name_), put.amount, put.mark});
    settle();
}

void Buffer::queue_get(Get& get) {
    getting_.push_back({clock_.waits("more in " + name_), &get});
    settle();
}

/// Whoever is first in a line goes on where it can.
void Buffer::settle() {
    bool moved = true;
    while (moved) {
        moved = false;
        // Where both lines wait, a taker that wants more than fits gets it piece by piece.
        bool const starved = !getting_.empty() && getting_.front().get->amount > capacity_;
        if (!putting_.empty()) {
            auto const& first = putting_.front();
            if (held_ + first.amount <= capacity_ * (1 + same_share) || held_ == 0 || starved) {
                add(first.amount, first.mark);
                clock_.wake(first.process, clock_.now());
                putting_.pop_front();
                moved = true;
            }
        }
        if (!getting_.empty()) {
            auto const& first = getting_.front();
            if (held_ >= first.get->amount * (1 - same_share) || closed_) {
                take(*first.get);
                clock_.wake(first.process, clock_.now());
                getting_.pop_front();
                moved = true;
            }
        }
    }
}

bool Barrier::last() {
    if (waiting_.size() + 1 < parties_) return false;
    for (auto const process : waiting_) clock_.wake(process, clock_.now());
    waiting_.clear();
    return true;
}

void Barrier::wait() { waiting_.push_back(clock_.waits("the others at " + name_)); }

Pool::Pool(Scheduler& clock, std::string name) : clock_(clock), name_(std::move(name)) {
    timer_ = clock.add_timer([this] {
        if (next_ != clock_.now()) return;
        advance();
        plan();
    });
}

void Pool::begin(Use const& use) {
    advance();
    works_.push_back({clock_.waits("its turn on " + name_), use.priority, use.owner, use.seconds});
    plan();
}

std::vector<Pool::Work*> Pool::running() {
    std::vector<Work*> all;
    if (works_.empty()) return all;
    int const first = std::ranges::max_element(works_, {}, &Work::priority)->priority;
    for (Work& work : works_) {
        bool const behind =
            std::ranges::any_of(all, [&](Work const* other) { return other->owner == work.owner; });
        if (work.priority == first && !behind) all.push_back(&work);
    }
    return all;
}

double Pool::busy_s() const {
    return busy_s_ + (works_.empty() ? 0 : to_seconds(clock_.now() - since_));
}

/// What has been done since the last look.
void Pool::advance() {
    double const passed = to_seconds(clock_.now() - since_);
    since_ = clock_.now();
    if (works_.empty()) return;
    busy_s_ += passed;
    auto const at_work = running();
    for (Work* work : at_work) work->left -= passed / static_cast<double>(at_work.size());
}

void Pool::plan() {
    next_ = Picoseconds{-1};
    std::erase_if(works_, [&](Work const& work) {
        bool const done = work.left <= tick_s;
        if (done) clock_.wake(work.process, clock_.now());
        return done;
    });
    auto const at_work = running();
    if (at_work.empty()) return;
    double const least = (*std::ranges::min_element(at_work, {}, &Work::left))->left;
    auto const wait = from_seconds(least * static_cast<double>(at_work.size()));
    next_ = clock_.now() + Picoseconds{std::max<std::int64_t>(1, wait.count)};
    clock_.set_timer(timer_, next_);
}

}  // namespace nvl72
