#pragma once

#include "sim/base/units.hpp"
#include "sim/serving/cache.hpp"
#include "sim/serving/step_cost.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <queue>
#include <vector>

namespace nvl72 {

/// What a server is asked to do for one request: compute `prompt` tokens over `cached` ones, then
/// make `output` tokens, the first of them at the end of the prompt where there is one.
struct Job {
    std::uint32_t request = 0;
    std::int32_t prompt = 0;
    std::int32_t cached = 0;
    std::int32_t output = 1;
    std::int32_t shared = 0;  ///< of the cached, what lies in a prefix cache and takes no room here
};

/// A job done: when its first tokens reached the client, and when its last did.
struct Served {
    std::uint32_t request = 0;
    Picoseconds first, last;
};

/// Sums over the time of a run.
struct ServerUse {
    double busy_s = 0;            ///< any step running
    double decode_s = 0;          ///< of that, steps without a prompt
    double sequence_seconds = 0;  ///< running sequences x time
    double cache_seconds = 0;     ///< share of the cache in use x time
    double cache_most = 0;        ///< largest share of it
    std::int64_t steps = 0, evictions = 0;
};

/// The batching loop of one replica: continuous batching of prompts and decoding over a paged
/// cache. It is one process, woken by events: `wake` tells when its present run of steps ends;
/// arrivals before that shorten the run. Requests are rows elsewhere; a run of equal steps is one
/// event, so that the work grows with jobs, not with tokens.
class Server {
public:
    /// `slots`: sequences at once; 0: what the engine allows.
    Server(StepCost& cost, CacheRoom room, std::int64_t slots = 0);

    /// At `now`, which never falls. Throws DoesNotFit for a job that no empty cache holds.
    void submit(Job const& job, Picoseconds now);

    /// The end of the run of steps; nothing when it waits for jobs.
    [[nodiscard]] bool waits() const { return !running_now_; }
    [[nodiscard]] Picoseconds wake() const { return run_end_; }

    /// Ends the run of steps at wake() and starts the next; jobs done are appended to `done`.
    void step(std::vector<Served>& done);

    [[nodiscard]] std::int64_t active() const { return running_; }
    [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
    [[nodiscard]] StepCost const& cost() const { return cost_; }
    [[nodiscard]] ServerUse const& use() const { return use_; }

private:
    enum class Mark : std::uint8_t { first, last };
    /// Something happens to a running job when the server has done so many decode steps.
    struct Due {
        std::int64_t at_step = 0;
        std::uint32_t slot = 0;
        std::uint32_t life = 0;  ///< of the slot when this was due
        Mark mark = Mark::last;
        friend bool operator>(Due const& a, Due const& b) {
            if (a.at_step != b.at_step) return a.at_step > b.at_step;
            if (a.slot != b.slot) return a.slot > b.slot;
            return a.mark > b.mark;
        }
    };
    struct Slot {
        Job job;
        std::int64_t started = 0;  ///< decode steps done when it began to decode
        std::uint64_t age = 0;     ///< of admission
        std::uint32_t life = 0;    ///< counts what was in this slot
        Picoseconds first{-1};     ///< first tokens delivered; below 0: not yet
        double reserved = 0;       ///< bytes of the cache
        bool decoding = false, used = false;
    };
    struct Chunk {
        std::uint32_t slot = 0;
        std::int32_t tokens = 0;
        bool ends = false;
    };

    void admit();
    [[nodiscard]] bool fits(Job const& job) const;
    [[nodiscard]] double needed(Job const& job) const;
    void plan(Picoseconds now);
    void plan_prompts(Picoseconds now);
    void plan_decode(Picoseconds now);
    void evict_youngest();
    void advance_decoding(std::int64_t steps);
    void begin_decoding(std::uint32_t index, Picoseconds now);
    void collect(std::vector<Served>& done);
    Picoseconds first_of(Slot const& slot);
    void release(std::uint32_t index);
    [[nodiscard]] double mean_tokens() const;
    [[nodiscard]] double span(std::int64_t steps) const;
    [[nodiscard]] std::int64_t steps_within(double seconds) const;
    void account(double seconds, bool prompt);
    void send(double tokens, Picoseconds start, Picoseconds end);

    StepCost& cost_;
    CacheRoom room_;
    std::int64_t slots_max_ = 0;
    double tokens_max_ = 0;
    double groups_ = 1;

    std::deque<Job> waiting_;
    std::deque<std::uint32_t> prompts_;  ///< slots whose prompts are being computed, oldest first
    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_;
    std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
    std::int64_t running_ = 0;   ///< decoding
    std::int64_t occupied_ = 0;  ///< decoding, or with a prompt being computed
    double tokens_ = 0;          ///< cached by those that decode
    double held_ = 0;            ///< bytes of the cache, all groups together
    std::int64_t done_steps_ = 0;
    std::uint64_t admissions_ = 0;

    bool running_now_ = false;
    bool run_has_prompts_ = false;
    Picoseconds run_start_, run_end_;
    std::int64_t run_steps_ = 0;
    double first_step_s_ = 0, growth_s_ = 0;  ///< of a run of decode steps
    std::vector<Chunk> chunks_;
    Picoseconds sent_until_;                              ///< the host has sent all tokens by then
    std::map<std::uint32_t, Picoseconds> evicted_first_;  ///< first tokens of the evicted
    ServerUse use_;
};

}  // namespace nvl72
