#include "sim/serving/serve.hpp"

#include "sim/base/error.hpp"
#include "sim/engine/event_queue.hpp"

#include <algorithm>
#include <deque>

namespace nvl72 {

namespace {

enum Kind : std::uint32_t { server_wakes, cache_arrives, request_arrives };

class Run {
public:
    Run(Deployment const& deployment, Requests& requests)
        : deployment_(deployment), requests_(requests) {
        requests.first.assign(requests.size(), Picoseconds{0});
        requests.last.assign(requests.size(), Picoseconds{0});
        add_servers(deployment.pool);
        decoding_ = servers_.size();
        if (deployment.apart) {
            add_servers(deployment.apart->prefill);
            places_.assign(decoding_, 0);
            home_.assign(requests.size(), 0);
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
        ServingRun result{end_, {}};
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
        requests_.arrival[request] = now;
        events_.push({now + host_time(), request_arrives, request});
    }

    [[nodiscard]] Picoseconds host_time() const {
        return deployment_.pool.cost->replica().engine.host.request;
    }

    void handle(Event const& event) {
        switch (event.kind) {
            case server_wakes: return wake(event.subject, event.at);
            case cache_arrives: return start_decoding(event.subject, event.at);
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
        auto const index = least_loaded(0, decoding_);
        ++load_[index];
        submit(index, {request, requests_.input[request], 0, requests_.output[request]}, now);
    }

    /// Requests that find a place on a decoding server have their prompts computed.
    void take_places(Picoseconds now) {
        while (!queue_.empty()) {
            auto const home = static_cast<std::uint32_t>(
                std::min_element(places_.begin(), places_.end()) - places_.begin());
            std::int64_t const most = deployment_.apart->slots;
            if (most > 0 && places_[home] >= most) return;
            auto const request = queue_.front();
            queue_.pop_front();
            ++places_[home];
            home_[request] = home;
            auto const index = least_loaded(decoding_, servers_.size());
            ++load_[index];
            submit(index, {request, requests_.input[request], 0, 1}, now);
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
    std::vector<std::int64_t> load_;    ///< jobs of each server
    std::vector<std::int64_t> places_;  ///< taken on each decoding server
    std::vector<std::uint32_t> home_;   ///< the decoding server of each request
    std::deque<std::uint32_t> open_;    ///< requests that clients have yet to send
    std::deque<std::uint32_t> queue_;   ///< that wait for a place
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
