#include "sim/serving/server.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace nvl72 {

namespace {

double real(std::int64_t count) { return static_cast<double>(count); }

}  // namespace

Server::Server(StepCost& cost, CacheRoom room, std::int64_t slots) : cost_(cost), room_(room) {
    auto const& replica = cost.replica();
    auto const& batch = replica.engine.batch;
    groups_ = replica.layout.attention_dp;
    auto const groups = replica.layout.attention_dp;
    slots_max_ = std::max<std::int64_t>(
        1, (slots > 0 ? slots : batch.sequences_max * groups) - batch.idle_slots * groups);
    tokens_max_ = real(batch.tokens_max);
    room_.room *= groups_;
}

double Server::needed(Job const& job) const {
    bool const reserve = cost_.replica().engine.batch.admission == Admission::reserve;
    return room_.bytes(job.prompt + job.cached - job.shared + (reserve ? job.output : 0));
}

bool Server::fits(Job const& job) const { return held_ + needed(job) <= room_.room; }

void Server::submit(Job const& job, Picoseconds now) {
    NVL72_EXPECT(job.output >= 1 && job.prompt >= 0 && job.cached >= 0, "a job makes tokens");
    NVL72_EXPECT(job.shared >= 0 && job.shared <= job.cached, "what is shared is cached");
    double const whole = room_.bytes(job.prompt + job.cached - job.shared + job.output);
    if (whole > room_.room / groups_) {
        throw DoesNotFit(fmt::format(
            "a request of {} + {} tokens needs {:.2f} GB of cache a GPU, and it has {:.2f} GB "
            "(expected shorter requests, more tp, or fewer bits)",
            job.prompt + job.cached, job.output, whole / 1e9, room_.room / groups_ / 1e9));
    }
    waiting_.push_back(job);
    if (!running_now_) return plan(now);
    if (run_has_prompts_ || occupied_ >= slots_max_ || !fits(waiting_.front())) return;
    // The run of steps ends at the next step, where the batch is looked at again.
    std::int64_t const steps =
        std::clamp<std::int64_t>(steps_within(to_seconds(now - run_start_)) + 1, 1, run_steps_);
    run_steps_ = steps;
    run_end_ = run_start_ + from_seconds(span(steps));
}

/// Seconds of the first `steps` steps of this run; each is longer by what the cache grows.
double Server::span(std::int64_t steps) const {
    return real(steps) * (first_step_s_ + growth_s_ * real(steps - 1) / 2);
}

/// Whole steps that end within `seconds` of the run's start.
std::int64_t Server::steps_within(double seconds) const {
    auto steps = static_cast<std::int64_t>(seconds / first_step_s_);
    while (steps > 0 && span(steps) > seconds) {
        double const over = span(steps) - seconds;
        double const last = first_step_s_ + growth_s_ * real(steps);
        steps -= std::max<std::int64_t>(1, static_cast<std::int64_t>(over / last));
    }
    return std::max<std::int64_t>(0, steps);
}

double Server::mean_tokens() const {
    return running_ > 0 ? std::max(1.0, tokens_ / real(running_)) : 1;
}

void Server::admit() {
    while (!waiting_.empty() && occupied_ < slots_max_ && fits(waiting_.front())) {
        Job const job = waiting_.front();
        waiting_.pop_front();
        std::uint32_t index = 0;
        if (free_.empty()) {
            index = static_cast<std::uint32_t>(slots_.size());
            slots_.emplace_back();
        } else {
            index = free_.back();
            free_.pop_back();
        }
        slots_[index] = {.job = job,
                         .age = admissions_++,
                         .life = slots_[index].life,
                         .reserved = needed(job),
                         .used = true};
        held_ += slots_[index].reserved;
        ++occupied_;
        if (job.prompt > 0) {
            prompts_.push_back(index);
        } else {
            begin_decoding(index, Picoseconds{-1});
        }
    }
}

void Server::plan(Picoseconds now) {
    admit();
    running_now_ = !prompts_.empty() || running_ > 0;
    if (!running_now_) return;
    run_start_ = now;
    prompts_.empty() ? plan_decode(now) : plan_prompts(now);
}

/// One step with prompts: the oldest first, as many of their tokens as a step may have.
void Server::plan_prompts(Picoseconds now) {
    auto const& batch = cost_.replica().engine.batch;
    double const queries = 1 + cost_.replica().engine.speculation.drafts;
    double const most = std::max(1.0, tokens_max_ * groups_ - real(running_) * queries);
    double const most_of_group = std::max(1.0, tokens_max_ - real(running_) * queries / groups_);
    PromptWork work;
    chunks_.clear();
    double largest = 0;
    for (std::uint32_t const index : prompts_) {
        Slot const& slot = slots_[index];
        double const left = most - work.tokens;
        double tokens = std::min({real(slot.job.prompt), left, most_of_group});
        bool const whole = tokens >= slot.job.prompt;
        if (!whole && !batch.chunked) {
            if (!chunks_.empty()) break;
            tokens = slot.job.prompt;
        }
        if (tokens < 1) break;
        auto const count = static_cast<std::int32_t>(tokens);
        chunks_.push_back({index, count, count == slot.job.prompt});
        work.tokens += count;
        largest = std::max(largest, real(count));
        work.ends += chunks_.back().ends ? 1 : 0;
        work.attention += cost_.prompt_attention(count, slot.job.cached);
        if (work.tokens >= most) break;
    }
    double const spread = std::min(groups_, real(std::ssize(chunks_)));
    work.tokens_of_group = std::max(largest, work.tokens / spread);
    work.attention *= work.tokens_of_group / work.tokens;
    double const seconds = cost_.mixed(real(running_), mean_tokens(), work);
    run_has_prompts_ = true;
    run_steps_ = 1;
    run_end_ = now + from_seconds(seconds);
}

/// Decode steps until something is due, or the cache is full.
void Server::plan_decode(Picoseconds now) {
    run_has_prompts_ = false;
    std::int64_t steps = due_.top().at_step - done_steps_;
    if (cost_.replica().engine.batch.admission == Admission::grow) {
        auto const until_full = [&] {
            double const each = real(running_) * cost_.gain() * room_.growth();
            return static_cast<std::int64_t>((room_.room - held_) / each);
        };
        while (running_ > 1 && until_full() < 1) evict_youngest();
        steps = std::min(due_.top().at_step - done_steps_, std::max<std::int64_t>(1, until_full()));
    }
    NVL72_EXPECT(steps >= 1, "what was due is done");
    double const last_tokens = mean_tokens() + real(steps - 1) * cost_.gain();
    first_step_s_ = cost_.decode(real(running_), mean_tokens());
    growth_s_ = steps > 1
                    ? (cost_.decode(real(running_), last_tokens) - first_step_s_) / real(steps - 1)
                    : 0;
    growth_s_ = std::max(0.0, growth_s_);
    run_steps_ = steps;
    run_end_ = now + from_seconds(span(steps));
}

/// Takes the youngest sequence's cache away; it waits first in line, to be computed again.
void Server::evict_youngest() {
    std::uint32_t youngest = 0;
    bool found = false;
    for (std::uint32_t i = 0; i < slots_.size(); ++i) {
        if (!slots_[i].used || !slots_[i].decoding) continue;
        if (!found || slots_[i].age > slots_[youngest].age) youngest = i;
        found = true;
    }
    NVL72_EXPECT(found, "something runs");
    Slot& slot = slots_[youngest];
    double const gained = real(done_steps_ - slot.started) * cost_.gain();
    auto const made = static_cast<std::int32_t>(std::min<double>(gained, slot.job.output - 1));
    Job again = slot.job;
    again.prompt = slot.job.prompt + slot.job.cached + made;
    again.cached = again.shared = 0;
    again.output -= made;
    NVL72_EXPECT(again.output >= 1, "an evicted sequence has tokens to make");
    if (slot.first.count >= 0) evicted_first_[again.request] = slot.first;
    ++use_.evictions;
    waiting_.push_front(again);
    release(youngest);
}

void Server::release(std::uint32_t index) {
    Slot& slot = slots_[index];
    if (slot.decoding) {
        double const gained = real(done_steps_ - slot.started) * cost_.gain();
        tokens_ -= slot.job.prompt + slot.job.cached + gained;
        --running_;
        if (running_ == 0) tokens_ = 0;
        if (cost_.replica().engine.batch.admission == Admission::grow) {
            held_ -= gained * room_.growth();
        }
    }
    held_ -= slot.reserved;
    --occupied_;
    if (occupied_ == 0) held_ = 0;
    slot.used = false;
    slot.decoding = false;
    ++slot.life;
    free_.push_back(index);
}

void Server::advance_decoding(std::int64_t steps) {
    done_steps_ += steps;
    double const gained = real(steps) * real(running_) * cost_.gain();
    tokens_ += gained;
    if (cost_.replica().engine.batch.admission == Admission::grow) held_ += gained * room_.growth();
}

/// `now`: its first token has just been made; below 0: it comes with a cache and makes all of them.
void Server::begin_decoding(std::uint32_t index, Picoseconds now) {
    Slot& slot = slots_[index];
    slot.decoding = true;
    slot.started = done_steps_;
    ++running_;
    tokens_ += slot.job.prompt + slot.job.cached;
    std::int64_t const left = slot.job.output - (now.count >= 0 ? 1 : 0);
    auto const steps_to = [&](std::int64_t tokens) {
        return std::max<std::int64_t>(
            1, static_cast<std::int64_t>(std::ceil(real(tokens) / cost_.gain())));
    };
    std::int64_t const visible = cost_.replica().engine.host.stream_tokens;
    if (slot.first.count < 0) {
        std::int64_t const made = slot.job.output - left;
        std::int64_t const wanted = std::min<std::int64_t>(visible, slot.job.output) - made;
        if (wanted <= 0) {
            slot.first = sent_until_;
        } else if (wanted < left) {
            due_.push({done_steps_ + steps_to(wanted), index, slot.life, Mark::first});
        }
    }
    if (left > 0) due_.push({done_steps_ + steps_to(left), index, slot.life, Mark::last});
}

/// Tokens made evenly from `start` to `end` leave one after the other.
void Server::send(double tokens, Picoseconds start, Picoseconds end) {
    Picoseconds const each = cost_.replica().engine.host.token;
    if (each.count == 0) {
        sent_until_ = end;
        return;
    }
    auto const all = from_seconds(tokens * to_seconds(each));
    auto const last = from_seconds(std::min<double>(tokens, real(running_) + 1) * to_seconds(each));
    sent_until_ = std::max(std::max(sent_until_, start) + all, end + last);
}

void Server::account(double seconds, bool prompt) {
    use_.busy_s += seconds;
    if (!prompt) use_.decode_s += seconds;
    use_.sequence_seconds += real(occupied_) * seconds;
    use_.cache_seconds += held_ / room_.room * seconds;
    use_.cache_most = std::max(use_.cache_most, held_ / room_.room);
}

void Server::step(std::vector<Served>& done) {
    NVL72_EXPECT(running_now_, "a run of steps to end");
    Picoseconds const now = run_end_;
    account(to_seconds(run_end_ - run_start_), run_has_prompts_);
    use_.steps += run_steps_;
    auto const ended = static_cast<double>(
        std::ranges::count_if(chunks_, [](Chunk const& chunk) { return chunk.ends; }));
    send(real(running_) * real(run_steps_) * cost_.gain() + (run_has_prompts_ ? ended : 0),
         run_start_, now);
    advance_decoding(run_steps_);
    if (run_has_prompts_) {
        for (Chunk const& chunk : chunks_) {
            Slot& slot = slots_[chunk.slot];
            slot.job.prompt -= chunk.tokens;
            slot.job.cached += chunk.tokens;
            if (!chunk.ends) continue;
            std::erase(prompts_, chunk.slot);
            begin_decoding(chunk.slot, now);
            if (slot.job.output > 1) continue;
            done.push_back({slot.job.request, first_of(slot), sent_until_});
            release(chunk.slot);
        }
        chunks_.clear();
    }
    collect(done);
    plan(now);
}

Picoseconds Server::first_of(Slot const& slot) {
    auto const evicted = evicted_first_.find(slot.job.request);
    if (evicted == evicted_first_.end()) {
        return slot.first.count >= 0 ? slot.first : sent_until_;
    }
    Picoseconds const first = evicted->second;
    evicted_first_.erase(evicted);
    return first;
}

/// What is due after the steps done.
void Server::collect(std::vector<Served>& done) {
    while (!due_.empty() && due_.top().at_step <= done_steps_) {
        Due const due = due_.top();
        due_.pop();
        Slot& slot = slots_[due.slot];
        if (!slot.used || slot.life != due.life) continue;
        if (due.mark == Mark::first) {
            slot.first = sent_until_;
            continue;
        }
        done.push_back({slot.job.request, first_of(slot), sent_until_});
        release(due.slot);
    }
    while (!due_.empty()) {
        Due const due = due_.top();
        Slot const& slot = slots_[due.slot];
        if (slot.used && slot.life == due.life) break;
        due_.pop();
    }
}

}  // namespace nvl72
