/// The suite `collectives`: the rows of kernels/collective, on host threads or on GPUs.

#include "kernels/collective/collectives.hpp"

#include "kernels/launch/ranks.hpp"
#include "kernels/measure/errors.hpp"
#include "kernels/measure/suites.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <memory>

namespace nvl72::measure {

namespace {

using kernels::Op;
using kernels::Where;

constexpr std::int64_t moe_hidden = 3584;   // elements of 4 bytes: the 14,336 bytes of a BF16 token
                                            // of hidden size 7,168 (DeepSeek-V3)
constexpr int moe_top_k = 8;                // DeepSeek-V3's
constexpr int moe_experts_per_rank = 32;    // 256 on 8 ranks
constexpr std::int64_t cache_multiple = 2;  // buffers rotate through twice the last-level cache
constexpr std::int64_t sets_most = 1024;
constexpr Sizes host_sizes{4 << 10, 16 << 20, 4};
constexpr Sizes host_sizes_quick{4 << 10, 1 << 20, 16};
constexpr Sizes gpu_sizes{1 << 10, std::int64_t{1} << 30, 2};
constexpr Sizes one_gpu_sizes{1 << 10, 256 << 20, 2};
constexpr Sizes gpu_sizes_quick{4 << 10, 64 << 20, 16};

/// Where and on what the ranks of one batch run.
struct Place {
    Where where;
    char const* wiring;
    char const* launch;
    std::int64_t cache_bytes;
    std::int64_t memory_bytes;  ///< that the ranks on one device share
    int ranks_per_device;       ///< 0: all
};

bool is_moe(Op op) { return op == Op::moe_dispatch || op == Op::moe_combine; }

bool has_in_place(Op op) {
    return op == Op::all_reduce || op == Op::all_gather || op == Op::reduce_scatter ||
           op == Op::broadcast;
}

/// The full buffer of a call of `count`, as nccl-tests counts it: count_of, back again.
std::int64_t full_bytes(Op op, std::int64_t count, int ranks) {
    bool const shares = op == Op::all_gather || op == Op::reduce_scatter || op == Op::alltoall;
    return count * kernels::element_bytes * (shares ? ranks : 1);
}

/// `ring` of ring_all_reduce; a row named after its operation alone is `direct`.
std::string algorithm_of(kernels::Collective const& row) {
    auto const suffix = "_" + std::string(kernels::name_of(row.op));
    if (row.op == Op::ping_pong) return "pingpong";
    if (!row.name.ends_with(suffix)) return "direct";
    return std::string(row.name.substr(0, row.name.size() - suffix.size()));
}

std::string protocol_of(kernels::Protocol protocol) {
    switch (protocol) {
        case kernels::Protocol::low_latency: return "ll";
        case kernels::Protocol::bulk: return "bulk";
        case kernels::Protocol::multicast: return "multicast";
    }
    return "unknown";
}

/// Ranks whose buffers hold `bytes` in as many sets as pass the cache; one RanksError becomes the
/// reason why the cases that share them are left out.
class SharedRanks {
public:
    SharedRanks(Place const& place, int ranks, std::int64_t bytes) {
        spec_.where = place.where;
        spec_.ranks = ranks;
        spec_.bytes_max = bytes;
        auto const set_bytes = bytes * ranks * 2;  // a send and a receive buffer each
        spec_.sets = static_cast<int>(std::clamp(cache_multiple * place.cache_bytes / set_bytes + 1,
                                                 std::int64_t{1}, sets_most));
    }

    /// Made when first used, so that the batch's memory is that of the cases it really runs.
    kernels::Ranks& get() {
        try {
            if (!ranks_) ranks_ = kernels::make_ranks(spec_);
        } catch (kernels::RanksError const& why) {
            throw CaseUnavailable(why.what());
        }
        return *ranks_;
    }

private:
    kernels::RanksSpec spec_;
    std::unique_ptr<kernels::Ranks> ranks_;
};

/// Seconds per operation of `job`, iterations times.
double time_job(kernels::Ranks& ranks, kernels::Job job, std::int64_t iterations) {
    std::string reason;
    if (!ranks.runs(job.row, &reason)) throw CaseUnavailable(reason);
    job.iterations = static_cast<int>(iterations);
    try {
        return ranks.run(job).block_s / static_cast<double>(iterations);
    } catch (kernels::RanksError const& why) {
        throw CaseUnavailable(why.what());
    }
}

CollectiveRow row_of(kernels::Collective const& row, Place const& place, int ranks) {
    CollectiveRow sample;
    sample.suite = "microkernel";
    sample.op = row.op == Op::ping_pong ? "sendrecv" : std::string(kernels::name_of(row.op));
    sample.algorithm = algorithm_of(row);
    sample.protocol = protocol_of(row.protocol);
    sample.launch = place.launch;
    sample.wiring = place.wiring;
    sample.ranks = ranks;
    return sample;
}

/// A case of every operation that takes one buffer of `bytes`.
void add_plain(std::vector<Case>& cases, Place const& place, int ranks, std::int64_t bytes) {
    auto const shared = std::make_shared<SharedRanks>(place, ranks, bytes);
    auto const table = kernels::collectives();
    for (std::size_t index = 0; index < table.size(); ++index) {
        auto const& row = table[index];
        auto const count = kernels::count_of(row.op, bytes, ranks);
        if (is_moe(row.op) || count < 1) continue;
        for (bool const in_place : {false, true}) {
            if (in_place && !has_in_place(row.op)) continue;
            auto sample = row_of(row, place, ranks);
            sample.bytes = full_bytes(row.op, count, ranks);
            sample.in_place = in_place ? 1 : 0;
            kernels::Job job;
            job.row = index;
            job.count = count;
            job.in_place = in_place;
            double const ways = row.op == Op::ping_pong ? 2 : 1;  // there and back
            cases.push_back({sample, [shared, job, ways](std::int64_t iterations) {
                                 return time_job(shared->get(), job, iterations) / ways;
                             }});
        }
    }
}

/// The row of the same protocol that brings what a combine sends back.
std::size_t dispatch_of(kernels::Collective const& combine) {
    auto const table = kernels::collectives();
    auto const found = std::ranges::find_if(table, [&](kernels::Collective const& row) {
        return row.op == Op::moe_dispatch && row.protocol == combine.protocol;
    });
    if (found == table.end()) throw CaseUnavailable("no moe_dispatch of the same protocol");
    return static_cast<std::size_t>(found - table.begin());
}

/// Dispatch and combine of `tokens` a rank.
void add_moe(std::vector<Case>& cases,
             Place const& place,
             int ranks,
             std::int64_t tokens,
             std::uint64_t seed) {
    auto const bytes = tokens * moe_hidden * kernels::element_bytes;
    auto const shared = std::make_shared<SharedRanks>(place, ranks, ranks * bytes);
    auto const routing = std::make_shared<kernels::MoeRouting const>(kernels::even_routing(
        ranks, static_cast<int>(tokens), moe_top_k, moe_experts_per_rank * ranks, seed));
    auto const table = kernels::collectives();
    for (std::size_t index = 0; index < table.size(); ++index) {
        auto const& row = table[index];
        if (!is_moe(row.op)) continue;
        auto sample = row_of(row, place, ranks);
        sample.bytes = bytes;
        sample.tokens = tokens;
        sample.top_k = moe_top_k;
        kernels::Job job;
        job.row = index;
        job.count = tokens * moe_hidden;
        auto const run = [shared, routing, job, &row](std::int64_t iterations) {
            auto& all = shared->get();
            all.route(*routing);
            if (row.op == Op::moe_combine) {
                auto first = job;
                first.row = dispatch_of(row);
                (void)time_job(all, first, 1);
            }
            return time_job(all, job, iterations);
        };
        cases.push_back({sample, run});
    }
}

std::vector<Case> cases_of(Place const& place,
                           int ranks,
                           std::vector<std::int64_t> const& sizes,
                           std::uint64_t seed) {
    std::vector<Case> cases;
    auto const row_bytes = moe_hidden * kernels::element_bytes;
    std::int64_t tokens_before = 0;
    for (auto const bytes : sizes) {
        add_plain(cases, place, ranks, bytes);
        // A rank may receive the tokens of all: its buffer stays at `bytes`.
        auto const tokens = bytes / ranks / row_bytes;
        if (tokens <= tokens_before) continue;
        tokens_before = tokens;
        add_moe(cases, place, ranks, tokens, seed);
    }
    return cases;
}

/// The largest size of which all buffers of a batch fit into half of the memory: send and receive,
/// of all smaller sizes as much again, for MoE once more the same.
std::int64_t size_most(Place const& place, int ranks) {
    constexpr std::int64_t buffers = 8;  // 2 x 2 x 2
    auto const sharing = place.ranks_per_device > 0 ? place.ranks_per_device : ranks;
    return place.memory_bytes / 2 / buffers / sharing;
}

std::vector<Batch> batches_of(Place const& place,
                              std::vector<int> const& ranks,
                              Sizes const& asked,
                              std::uint64_t seed) {
    std::vector<Batch> batches;
    for (int const count : ranks) {
        auto const name = fmt::format("{} ranks", count);
        auto sizes = sizes_of(asked);
        keep_sizes(sizes, size_most(place, count), name, batches);
        if (sizes.empty()) continue;
        batches.push_back({name, [=] { return cases_of(place, count, sizes, seed); }});
    }
    return batches;
}

/// What was asked for, or 2, 4, 8, ... and `most`.
std::vector<int> ranks_of(Settings const& settings, int most) {
    if (!settings.ranks.empty()) return settings.ranks;
    if (settings.quick) return {2};
    std::vector<int> ranks;
    for (int count = 2; count < most; count *= 2) ranks.push_back(count);
    ranks.push_back(std::max(most, 2));
    return ranks;
}

}  // namespace

std::vector<Batch> host_collectives(Settings const& settings, Machine const& machine) {
    Place const place{
        Where::host, "host", "host-threads", machine.llc_bytes, machine.host_memory_bytes, 0};
    // More threads than cores measure the operating system's scheduler: only when asked for.
    auto const most = static_cast<int>(std::min<std::int64_t>(machine.cpu_cores, 8));
    return batches_of(place, ranks_of(settings, most),
                      sizes_asked(settings, settings.quick ? host_sizes_quick : host_sizes),
                      settings.method.seed);
}

std::vector<Batch> cuda_collectives(Settings const& settings, Machine const& machine) {
    bool const several = machine.device_count > 1;
    Place const place{several ? Where::gpus : Where::one_gpu,
                      several ? "peer" : "one-gpu",
                      "persistent",
                      machine.l2_bytes,
                      machine.device_memory_bytes,
                      several ? 1 : 0};
    auto const most = several ? static_cast<int>(machine.device_count) : 8;
    auto const sizes = settings.quick ? gpu_sizes_quick : several ? gpu_sizes : one_gpu_sizes;
    return batches_of(place, ranks_of(settings, std::min(most, kernels::ranks_max)),
                      sizes_asked(settings, sizes), settings.method.seed);
}

}  // namespace nvl72::measure
