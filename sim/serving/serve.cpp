#include "sim/serving/serve.hpp"

#include "sim/base/error.hpp"
#include "sim/engine/event_queue.hpp"

#include <algorithm>
#include <deque>

namespace nvl72 {

namespace {

enum Kind : std::uint32_t {
    server_wakes,
    cache_arrives,  ///< from a server for prompts
    request_arrives,
    prefix_arrives,  ///< from a slower tier of a prefix cache
    tool_returns,
};

/// Differences in load below this are none.
constexpr std::int64_t few_requests = 4;

class Run {
public:
    Run(Deployment const& deployment, Requests& requests)
        : deployment_(deployment), requests_(requests) {
        requests.first.assign(requests.size(), Picoseconds{0});
        requests.last.assign(requests.size(), Picoseconds{0});
        // What a caller knows to be there stays.
        if (requests.cached.empty()) requests.cached.assign(requests.size(), 0);
        home_.assign(requests.size(), 0);
        if (!requests.tools.empty()) {
            stage_.assign(requests.size(), 0);
            context_.assign(requests.size(), 0);
        }
        add_servers(deployment.pool);
        decoding_ = servers_.size();
        if (deployment.apart) {
            add_servers(deployment.apart->prefill);
            places_.assign(decoding_, 0);
            NVL72_EXPECT(requests.tools.empty(), "tools where prompts and decoding are joined");
        }
        if (deployment.prefix && !requests.parts.empty()) {
            caches_.assign(servers_.size(), PrefixCache(deployment.prefix->tiers));
            asked_.assign(requests.parts.names.size(), 0);
            found_ = parts_asked_ = parts_found_ = asked_;
            near_.assign(requests.size(), 0);
        }
        load_.assign(servers_.size(), 0);
    }

    ServingRun run(std::int64_t clients) {
        for (std::size_t i = 0; i < requests_.size(); ++i) {
            if (requests_.arrival[i].count >= 0) {
                events_.push(
                    {requests_.arrival[i], request_arrives, static_cast<std::uint32_t>(i)});
            } else {
                open_.push_back(static_cast<std::uint32_t>(i));
            }
        }
        for (std::int64_t i = 0; i < clients; ++i) send_next(Picoseconds{0});
        while (!events_.empty()) {
            auto const instant = events_.pop_instant();
            std::vector<Event> const batch(instant.begin(), instant.end());
            for (Event const& event : batch) handle(event);
        }
        ServingRun result{end_, {}, asked_, found_, parts_asked_, parts_found_};
        for (auto const& server : servers_) result.use.push_back(server.use());
        return result;
    }

private:
    void add_servers(Pool const& pool) {
        for (int i = 0; i < pool.servers; ++i)
            servers_.emplace_back(*pool.cost, pool.room, pool.slots);
    }

    /// A client's next request, at `now`.
    void send_next(Picoseconds now) {
        if (open_.empty()) return;
        auto const request = open_.front();
        open_.pop_front();
        Picoseconds const at = requests_.think.empty() ? now : now + requests_.think[request];
        requests_.arrival[request] = at;
        events_.push({at + host_time(), request_arrives, request});
    }

    [[nodiscard]] Picoseconds host_time() const {
        return deployment_.pool.cost->replica().engine.host.request;
    }

    void handle(Event const& event) {
        switch (event.kind) {
            case server_wakes: return wake(event.subject, event.at);
            case cache_arrives: return start_decoding(event.subject, event.at);
            case prefix_arrives: return start_prompt(event.subject, event.at);
            case tool_returns: return go_on(event.subject, event.at);
            default: return arrive(event.subject, event.at);
        }
    }

    void wake(std::uint32_t index, Picoseconds now) {
        Server& server = servers_[index];
        if (server.waits() || server.wake() != now) return;
        done_.clear();
        server.step(done_);
        auto const done = done_;
        for (Served const& served : done) finish(index, served, now);
        schedule(index);
    }

    void schedule(std::uint32_t index) {
        Server const& server = servers_[index];
        if (!server.waits()) events_.push({server.wake(), server_wakes, index});
    }

    void submit(std::uint32_t index, Job const& job, Picoseconds now) {
        Server& server = servers_[index];
        bool const waited = server.waits();
        auto const before = server.wake();
        server.submit(job, now);
        if (waited || server.wake() != before) schedule(index);
    }

    /// Of servers first .. last - 1 the one with the fewest jobs.
    [[nodiscard]] std::uint32_t least_loaded(std::size_t first, std::size_t last) const {
        auto const begin = load_.begin() + static_cast<std::ptrdiff_t>(first);
        auto const end = load_.begin() + static_cast<std::ptrdiff_t>(last);
        return static_cast<std::uint32_t>(std::min_element(begin, end) - load_.begin());
    }

    void arrive(std::uint32_t request, Picoseconds now) {
        if (deployment_.apart) {
            queue_.push_back(request);
            return take_places(now);
        }
        send_prompt(request, 0, decoding_, now);
    }

    /// The shared parts of a request's prompt, without what is its own.
    void read_parts(std::uint32_t request, bool own) {
        parts_.clear();
        auto const [first, last] = requests_.parts.of(request);
        for (auto i = first; i < last; ++i) {
            if (requests_.parts.own[i] != 0 && !own) break;
            parts_.push_back({requests_.parts.key[i], requests_.parts.tokens[i]});
        }
    }

    /// To one of servers first .. last - 1, with what its prefix cache holds of the prompt.
    void send_prompt(std::uint32_t request, std::size_t first, std::size_t last, Picoseconds now) {
        auto index = least_loaded(first, last);
        PrefixCache::Found found;
        if (!caches_.empty()) {
            read_parts(request, false);
            if (deployment_.prefix->routing == RequestRouting::prefix) {
                index = keeps_most(first, last, index);
            }
            found = caches_[index].find(parts_);
            tally(request, found.parts);
            caches_[index].keep(parts_);
            // The last token is computed anyway, for the next one to follow from.
            auto const most = requests_.input[request] - 1;
            requests_.cached[request] =
                static_cast<std::int32_t>(std::min<std::int64_t>(found.tokens, most));
            near_[request] = static_cast<std::int32_t>(std::min<std::int64_t>(found.near, most));
        }
        ++load_[index];
        prompt_home(request) = index;
        if (found.seconds > 0) {
            events_.push({now + from_seconds(found.seconds), prefix_arrives, request});
        } else {
            start_prompt(request, now);
        }
    }

    /// Of the servers the one that keeps most of the present parts, of equal ones that with the
    /// fewest requests; but for one with more than twice the fewest and a few: what all prompts
    /// begin with would lead all of them to one server.
    [[nodiscard]] std::uint32_t keeps_most(std::size_t first,
                                           std::size_t last,
                                           std::uint32_t fewest) const {
        auto best = fewest;
        auto most = caches_[fewest].find(parts_).tokens;
        for (std::size_t i = first; i < last; ++i) {
            if (load_[i] > 2 * load_[fewest] + few_requests) continue;
            auto const kept = caches_[i].find(parts_).tokens;
            if (kept > most || (kept == most && load_[i] < load_[best])) {
                best = static_cast<std::uint32_t>(i);
                most = kept;
            }
        }
        return best;
    }

    void tally(std::uint32_t request, std::size_t parts_found) {
        auto const first = requests_.parts.begin[request];
        for (std::size_t i = 0; i < parts_.size(); ++i) {
            auto const layer = requests_.parts.layer[first + i];
            asked_[layer] += parts_[i].tokens;
            parts_asked_[layer] += 1;
            if (i >= parts_found) continue;
            found_[layer] += parts_[i].tokens;
            parts_found_[layer] += 1;
        }
    }

    /// The server that computes a request's prompt: of servers apart not the one that decodes.
    std::uint32_t& prompt_home(std::uint32_t request) {
        if (!deployment_.apart) return home_[request];
        if (prompt_home_.empty()) prompt_home_.assign(requests_.size(), 0);
        return prompt_home_[request];
    }

    void start_prompt(std::uint32_t request, Picoseconds now) {
        std::int32_t const cached = requests_.cached[request];
        std::int32_t const near = near_.empty() ? 0 : near_[request];
        std::int32_t output = deployment_.apart ? 1 : requests_.output[request];
        if (requests_.tools.count(request) > 0) output = requests_.tools.call_tokens;
        submit(prompt_home(request),
               {request, requests_.input[request] - cached, cached, output, near}, now);
    }

    /// An answer asks for something, and waits.
    bool calls(std::uint32_t request, Picoseconds now) {
        if (requests_.tools.count(request) == 0) return false;
        if (stage_[request] >= requests_.tools.count(request)) return false;
        auto const seconds =
            requests_.tools.seconds[requests_.tools.begin[request] + stage_[request]];
        events_.push({now + from_seconds(seconds), tool_returns, request});
        return true;
    }

    /// With what a call gave, behind all that was said before.
    void go_on(std::uint32_t request, Picoseconds now) {
        ToolCalls const& tools = requests_.tools;
        if (stage_[request]++ == 0) context_[request] = requests_.input[request];
        context_[request] += tools.call_tokens;
        bool const last = stage_[request] == tools.count(request);
        Job job{request, tools.result_tokens, context_[request],
                last ? requests_.output[request] : tools.call_tokens,
                near_.empty() ? 0 : near_[request]};
        if (!tools.keeps_cache) {
            job.prompt += job.cached - job.shared;
            job.cached = job.shared;
        }
        context_[request] += tools.result_tokens;
        ++load_[home_[request]];
        submit(home_[request], job, now);
    }

    /// Requests that find a place on a decoding server have their prompts computed.
    void take_places(Picoseconds now) {
        while (!queue_.empty()) {
            auto const home =
                static_cast<std::uint32_t>(std::ranges::min_element(places_) - places_.begin());
            std::int64_t const most = deployment_.apart->slots;
            if (most > 0 && places_[home] >= most) return;
            auto const request = queue_.front();
            queue_.pop_front();
            ++places_[home];
            home_[request] = home;
            send_prompt(request, decoding_, servers_.size(), now);
        }
    }

    void start_decoding(std::uint32_t request, Picoseconds now) {
        auto const home = home_[request];
        ++load_[home];
        submit(home, {request, 0, requests_.input[request], requests_.output[request] - 1}, now);
    }

    void finish(std::uint32_t index, Served const& served, Picoseconds now) {
        --load_[index];
        auto const request = served.request;
        bool const prompt_only = index >= decoding_;
        if (calls(request, std::max(now, served.last))) return;
        if (prompt_only || !deployment_.apart) requests_.first[request] = served.first;
        if (prompt_only && requests_.output[request] > 1) {
            double const bytes = cache_bytes(servers_replica().model, servers_replica().precision,
                                             requests_.input[request]);
            double const seconds =
                deployment_.apart->transfer_start_s +
                (deployment_.apart->transfer_rate > 0 ? bytes / deployment_.apart->transfer_rate
                                                      : 0);
            events_.push({now + from_seconds(seconds), cache_arrives, request});
            return;
        }
        if (deployment_.apart) --places_[home_[request]];
        requests_.last[request] = served.last;
        if (!caches_.empty() && !deployment_.apart) {
            read_parts(request, true);
            caches_[index].keep(parts_);
        }
        end_ = std::max(end_, served.last);
        // What the host still has to send reaches the client later.
        client_free(std::max(now, served.last));
        if (deployment_.apart) take_places(now);
    }

    [[nodiscard]] Replica const& servers_replica() const {
        return deployment_.pool.cost->replica();
    }

    void client_free(Picoseconds at) { send_next(at); }

    Deployment const& deployment_;
    Requests& requests_;
    std::vector<Server> servers_;
    std::size_t decoding_ = 0;
    std::vector<std::int64_t> load_;          ///< jobs of each server
    std::vector<std::int64_t> places_;        ///< taken on each decoding server
    std::vector<std::uint32_t> home_;         ///< the decoding server of each request
    std::vector<std::uint32_t> prompt_home_;  ///< and of servers apart the one for its prompt
    std::vector<PrefixCache> caches_;         ///< of each server; empty: none
    std::vector<PrefixCache::Part> parts_;    ///< of the request at hand
    std::vector<double> asked_, found_;       ///< tokens, by layer
    std::vector<double> parts_asked_, parts_found_;
    std::vector<std::int32_t> near_;     ///< tokens of a prompt in the first tier
    std::vector<std::uint32_t> stage_;   ///< calls that have returned
    std::vector<std::int32_t> context_;  ///< tokens read and written before
    std::deque<std::uint32_t> open_;     ///< requests that clients have yet to send
    std::deque<std::uint32_t> queue_;    ///< that wait for a place
    std::vector<Served> done_;
    EventQueue events_;
    Picoseconds end_;
};

}  // namespace

std::int64_t Deployment::gpus() const {
    auto const of = [](Pool const& each) {
        return std::int64_t{each.servers} * each.cost->replica().layout.gpus();
    };
    return of(pool) + (apart ? of(apart->prefill) : 0);
}

ServingRun serve(Deployment const& deployment, Requests& requests, std::int64_t clients) {
    NVL72_EXPECT(deployment.pool.cost != nullptr && deployment.pool.servers > 0,
                 "a deployment has servers");
    return Run(deployment, requests).run(clients);
}

}  // namespace nvl72
