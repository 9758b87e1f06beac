#include "kernels/collective/table.hpp"
#include "kernels/launch/places.hpp"
#include "kernels/team/host_team.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <new>
#include <stop_token>
#include <thread>

#include <pthread.h>
#include <sched.h>

namespace nvl72::kernels {
namespace {

struct AlignedDelete {
    void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t{4096}); }
};
using Bytes = std::unique_ptr<std::byte[], AlignedDelete>;

Bytes zeroed(std::int64_t size) {
    auto const bytes = static_cast<std::size_t>(size);
    Bytes memory(static_cast<std::byte*>(::operator new[](bytes + 1, std::align_val_t{4096})));
    std::memset(memory.get(), 0, bytes);
    return memory;
}

/// The operands of a rank's calls: set s lies s * stride bytes further.
struct Operands {
    std::byte* send;
    std::byte* receive;
    std::int64_t stride;
    int sets;
    Routes routes;
};

using Clock = std::chrono::steady_clock;
using Block = void (*)(HostTeam&, World const&, Job const&, Operands const&, Clock::time_point*);

/// Runs the iterations of a job on one rank and stamps the end of each.
template <std::size_t row, class T>
void run_block(HostTeam& team,
               World const& world,
               Job const& job,
               Operands const& operands,
               Clock::time_point* ends) {
    using R = RowAt<row>;
    Wire<HostTeam, T, R::protocol> wire(team, world);
    for (int i = 0; i < job.iterations; ++i) {
        std::int64_t const offset = i % operands.sets * operands.stride;
        Call<T> const call{.send = reinterpret_cast<T*>(operands.send + offset),
                           .receive = reinterpret_cast<T*>(operands.receive + offset),
                           .count = job.count,
                           .root = job.root,
                           .routes = operands.routes,
                           .multicast_send = nullptr,
                           .multicast_receive = nullptr};
        R::Body::run(wire, call);
        ends[i] = Clock::now();
    }
    wire.save();
}

template <std::size_t row, class T>
constexpr Block block_for() {
    if constexpr (RowAt<row>::protocol == Protocol::multicast) {
        return nullptr;
    } else {
        return run_block<row, T>;
    }
}

template <class T, std::size_t... row>
constexpr std::array<Block, table_size> blocks_of(std::index_sequence<row...>) {
    return {block_for<row, T>()...};
}

Block block_of(Job const& job) {
    static constexpr auto rows = std::make_index_sequence<table_size>{};
    static constexpr auto f32 = blocks_of<float>(rows);
    static constexpr auto i32 = blocks_of<std::int32_t>(rows);
    return (job.element == Element::f32 ? f32 : i32)[job.row];
}

/// The cores that this process may use.
std::vector<int> allowed_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<int> cores;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return cores;
    for (int core = 0; core < CPU_SETSIZE; ++core)
        if (CPU_ISSET(core, &set)) cores.push_back(core);
    return cores;
}

class HostRanks final : public Ranks {
public:
    explicit HostRanks(RanksSpec const& spec);

    int ranks() const override { return spec_.ranks; }
    bool runs(std::size_t row, std::string* reason) const override;
    void write(int rank, Buffer buffer, int set, std::span<std::byte const> bytes) override;
    void read(int rank, Buffer buffer, int set, std::span<std::byte> bytes) const override;
    void route(MoeRouting const& routing) override;
    Timing run(Job const& job) override;

private:
    std::byte* at(int rank, Buffer buffer, int set, std::size_t size) const;
    Operands operands(int rank);
    void work(std::stop_token const& leaving, int rank, int core);
    void start_together(HostTeam& team, std::uint64_t block);

    RanksSpec spec_;
    World world_{};
    std::vector<Bytes> mailboxes_;
    std::vector<std::array<Bytes, 2>> buffers_;
    Routed routed_;
    std::vector<RouteTables> routes_;
    std::vector<std::vector<std::int32_t>> rows_from_;

    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::uint64_t block_ = 0;  ///< number of the block that the threads shall run
    int running_ = 0;          ///< threads that have not ended it
    Job job_;
    alignas(128) std::uint64_t arrived_ = 0;  ///< of all blocks' starts
    std::vector<Clock::time_point> starts_;
    std::vector<std::vector<Clock::time_point>> ends_;
    std::vector<std::jthread> threads_;  // the last member, so that they end first
};

HostRanks::HostRanks(RanksSpec const& spec) : spec_(spec) {
    if (spec_.channels > 1) throw RanksError("host threads have 1 channel");
    if (spec_.slots == 0) spec_.slots = 4;
    if (spec_.slot_bytes == 0) spec_.slot_bytes = 32 << 10;
    spec_.bytes_max = (spec_.bytes_max + 127) / 128 * 128;
    world_ = {spec_.ranks, 1, spec_.slots, spec_.slot_bytes, {}};
    for (int rank = 0; rank < spec_.ranks; ++rank) {
        mailboxes_.push_back(zeroed(world_.mailbox_bytes()));
        world_.mailboxes[rank] = mailboxes_.back().get();
        buffers_.push_back(
            {zeroed(spec_.bytes_max * spec_.sets), zeroed(spec_.bytes_max * spec_.sets)});
    }
    auto const cores = allowed_cores();
    bool const enough = cores.size() >= static_cast<std::size_t>(spec_.ranks);
    starts_.resize(static_cast<std::size_t>(spec_.ranks));
    ends_.resize(static_cast<std::size_t>(spec_.ranks));
    for (int rank = 0; rank < spec_.ranks; ++rank) {
        int const core = spec_.pin && enough ? cores[static_cast<std::size_t>(rank)] : -1;
        threads_.emplace_back(
            [this, rank, core](std::stop_token const& leaving) { work(leaving, rank, core); });
    }
}

bool HostRanks::runs(std::size_t row, std::string* reason) const {
    bool const here = collectives()[row].protocol != Protocol::multicast;
    if (!here && reason != nullptr) *reason = "host memory has no multicast";
    return here;
}

std::byte* HostRanks::at(int rank, Buffer buffer, int set, std::size_t size) const {
    if (rank < 0 || rank >= spec_.ranks || set < 0 || set >= spec_.sets ||
        static_cast<std::int64_t>(size) > spec_.bytes_max)
        throw RanksError("no such buffer, or " + std::to_string(size) + " bytes do not fit it");
    return buffers_[static_cast<std::size_t>(rank)][static_cast<std::size_t>(buffer)].get() +
           set * spec_.bytes_max;
}

void HostRanks::write(int rank, Buffer buffer, int set, std::span<std::byte const> bytes) {
    auto* const to = at(rank, buffer, set, bytes.size());
    std::ranges::copy(bytes, to);
}

void HostRanks::read(int rank, Buffer buffer, int set, std::span<std::byte> bytes) const {
    auto const* const from = at(rank, buffer, set, bytes.size());
    std::copy_n(from, bytes.size(), bytes.begin());
}

void HostRanks::route(MoeRouting const& routing) {
    std::vector<RouteTables> tables;
    tables.reserve(static_cast<std::size_t>(spec_.ranks));
    for (int rank = 0; rank < spec_.ranks; ++rank)
        tables.push_back(route_tables(routing, spec_.ranks, rank));
    routes_ = std::move(tables);
    rows_from_.assign(routes_.size(), std::vector<std::int32_t>(routes_.size()));
    routed_ = {routing.tokens, false};
}

Operands HostRanks::operands(int rank) {
    Operands o{at(rank, Buffer::send, 0, 0),
               at(rank, Buffer::receive, 0, 0),
               spec_.bytes_max,
               spec_.sets,
               {}};
    if (auto const r = static_cast<std::size_t>(rank); r < routes_.size())
        o.routes = {routed_.tokens, routes_[r].list.data(), routes_[r].rows_to.data(),
                    rows_from_[r].data()};
    place_operands(job_, rank, o.send, o.receive);
    return o;
}

/// Holds the threads until all are here, so that none runs ahead of the clock.
void HostRanks::start_together(HostTeam& team, std::uint64_t block) {
    SystemAtomic const arrived(arrived_);
    arrived.fetch_add(1, cuda::memory_order_acq_rel);
    for (int spin = 0;
         arrived.load(cuda::memory_order_acquire) < block * static_cast<std::uint64_t>(spec_.ranks);
         ++spin)
        team.pause(spin);
}

void HostRanks::work(std::stop_token const& leaving, int rank, int core) {
    if (core >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(core, &set);
        pthread_setaffinity_np(pthread_self(), sizeof set, &set);  // as fast as it gets without
    }
    bool const crowded = static_cast<std::size_t>(spec_.ranks) > allowed_cores().size() && core < 0;
    HostTeam team(rank, spec_.ranks, crowded ? 0 : 1000);
    auto const r = static_cast<std::size_t>(rank);
    std::uint64_t block = 0;
    while (true) {
        {
            std::unique_lock lock(mutex_);
            if (!changed_.wait(lock, leaving, [&] { return block_ > block; })) return;
            block = block_;
        }
        start_together(team, block);
        starts_[r] = Clock::now();
        block_of(job_)(team, world_, job_, operands(rank), ends_[r].data());
        std::lock_guard const lock(mutex_);
        if (--running_ == 0) changed_.notify_all();
    }
}

Timing HostRanks::run(Job const& job) {
    check_job(job, *this, spec_.bytes_max, routed_);
    if (collectives()[job.row].op == Op::moe_dispatch) routed_.dispatched = true;
    std::unique_lock lock(mutex_);
    job_ = job;
    for (auto& ends : ends_) ends.assign(static_cast<std::size_t>(job.iterations), {});
    running_ = spec_.ranks;
    ++block_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return running_ == 0; });

    Timing timing;
    auto before = *std::ranges::max_element(starts_);
    for (std::size_t i = 0; i < static_cast<std::size_t>(job.iterations); ++i) {
        auto last = before;
        for (auto const& ends : ends_) last = std::max(last, ends[i]);
        timing.iteration_s.push_back(std::chrono::duration<double>(last - before).count());
        timing.block_s += timing.iteration_s.back();
        before = last;
    }
    return timing;
}

}  // namespace

std::unique_ptr<Ranks> make_host_ranks(RanksSpec spec) { return std::make_unique<HostRanks>(spec); }

}  // namespace nvl72::kernels
