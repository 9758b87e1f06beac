#pragma once

#include "kernels/collective/wire.hpp"
#include "kernels/launch/places.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <thread>
#include <vector>

#include <pthread.h>
#include <sched.h>

namespace nvl72::kernels::races {

/// A CUDA block in host threads: several lanes to a team, several channels to a rank, so that
/// ThreadSanitizer sees what only GPUs run.
class CrowdTeam {
public:
    CrowdTeam(int rank,
              int ranks,
              int channel,
              int channels,
              int lane,
              int lanes,
              pthread_barrier_t* barrier)
        : numbers_{rank, ranks, channel, channels, lane, lanes}, barrier_(barrier) {}

    int rank() const { return numbers_[0]; }
    int ranks() const { return numbers_[1]; }
    int channel() const { return numbers_[2]; }
    int channels() const { return numbers_[3]; }
    int lane() const { return numbers_[4]; }
    int lanes() const { return numbers_[5]; }
    void sync() const {
        if (lanes() > 1) pthread_barrier_wait(barrier_);
    }
    static void pause(int) { sched_yield(); }

private:
    std::array<int, 6> numbers_;
    pthread_barrier_t* barrier_;
};

/// Runs the calls of a job in one lane.
using Block = void (*)(CrowdTeam&, World const&, Job const&, std::vector<Call<float>> const&);

template <class Body, Protocol protocol, class Order>
void run_block(CrowdTeam& team,
               World const& world,
               Job const& job,
               std::vector<Call<float>> const& calls) {
    Wire<CrowdTeam, float, protocol, Order> wire(team, world);
    for (int i = 0; i < job.iterations; ++i)
        Body::run(wire, calls[static_cast<std::size_t>(i) % calls.size()]);
    wire.save();
}

/// Ranks of crowds; float only. Threads live as long as a job.
class CrowdRanks final : public Ranks {
public:
    /// blocks   what runs each row of the table, or nullptr
    CrowdRanks(RanksSpec const& spec, int lanes, std::vector<Block> blocks)
        : spec_(spec), lanes_(lanes), blocks_(std::move(blocks)) {
        world_ = {spec.ranks, spec.channels, spec.slots, spec.slot_bytes, {}};
        auto const n = static_cast<std::size_t>(spec.ranks);
        auto const lines = static_cast<std::size_t>(world_.mailbox_bytes()) / sizeof(Line);
        mailboxes_.assign(n, std::vector<Line>(lines));
        for (std::size_t rank = 0; rank < n; ++rank)
            world_.mailboxes[rank] = reinterpret_cast<std::byte*>(mailboxes_[rank].data());
        auto const size = static_cast<std::size_t>(spec.bytes_max) / sizeof(Line) + 1;
        buffers_.assign(2 * n * static_cast<std::size_t>(spec.sets), std::vector<Line>(size));
        for (auto& buffer : buffers_) places_.push_back(buffer.data()->bytes.data());
    }

    int ranks() const override { return spec_.ranks; }
    bool runs(std::size_t row, std::string*) const override { return blocks_[row] != nullptr; }
    void write(int rank, Buffer buffer, int set, std::span<std::byte const> bytes) override {
        std::ranges::copy(bytes, at(rank, buffer, set));
    }
    void read(int rank, Buffer buffer, int set, std::span<std::byte> bytes) const override {
        std::copy_n(at(rank, buffer, set), bytes.size(), bytes.begin());
    }
    void route(MoeRouting const& routing) override {
        auto const n = static_cast<std::size_t>(spec_.ranks);
        tokens_ = routing.tokens;
        tables_.clear();
        for (int rank = 0; rank < spec_.ranks; ++rank)
            tables_.push_back(route_tables(routing, spec_.ranks, rank));
        rows_from_.assign(n,
                          std::vector<std::int32_t>(n * static_cast<std::size_t>(spec_.channels)));
    }

    Timing run(Job const& job) override {
        std::deque<pthread_barrier_t> barriers;
        std::deque<std::vector<Call<float>>> calls;
        std::deque<CrowdTeam> teams;
        for (int rank = 0; rank < spec_.ranks; ++rank) {
            calls.push_back(calls_of(job, rank));
            for (int channel = 0; channel < spec_.channels; ++channel) {
                auto* const barrier = &barriers.emplace_back();
                pthread_barrier_init(barrier, nullptr, static_cast<unsigned>(lanes_));
                for (int lane = 0; lane < lanes_; ++lane)
                    teams.emplace_back(rank, spec_.ranks, channel, spec_.channels, lane, lanes_,
                                       barrier);
            }
        }
        std::vector<std::thread> threads;
        threads.reserve(teams.size());
        for (auto& team : teams)
            threads.emplace_back([&] {
                blocks_[job.row](team, world_, job, calls[static_cast<std::size_t>(team.rank())]);
            });
        for (auto& thread : threads) thread.join();
        for (auto& barrier : barriers) pthread_barrier_destroy(&barrier);
        return {};
    }

private:
    struct alignas(128) Line {
        std::array<std::byte, 128> bytes;
    };

    std::byte* at(int rank, Buffer buffer, int set) const {
        auto const index = (2 * rank + static_cast<int>(buffer)) * spec_.sets + set;
        return places_[static_cast<std::size_t>(index)];
    }
    std::vector<Call<float>> calls_of(Job const& job, int rank) {
        std::vector<Call<float>> calls;
        for (int set = 0; set < spec_.sets; ++set) {
            auto* send = at(rank, Buffer::send, set);
            auto* receive = at(rank, Buffer::receive, set);
            place_operands(job, rank, send, receive);
            Routes routes{};
            if (auto const r = static_cast<std::size_t>(rank); r < tables_.size())
                routes = {tokens_, tables_[r].list.data(), tables_[r].rows_to.data(),
                          rows_from_[r].data()};
            calls.push_back({reinterpret_cast<float*>(send), reinterpret_cast<float*>(receive),
                             job.count, job.root, routes, nullptr, nullptr});
        }
        return calls;
    }

    RanksSpec spec_;
    int lanes_;
    std::vector<Block> blocks_;
    World world_{};
    std::vector<std::vector<Line>> mailboxes_;
    std::vector<std::vector<Line>> buffers_;
    std::vector<std::byte*> places_;  ///< where the buffers begin
    int tokens_ = 0;
    std::vector<RouteTables> tables_;
    std::vector<std::vector<std::int32_t>> rows_from_;
};

}  // namespace nvl72::kernels::races
