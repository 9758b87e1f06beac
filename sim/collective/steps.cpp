#include "sim/collective/steps.hpp"

#include "sim/base/error.hpp"
#include "sim/cost/ring_cost.hpp"
#include "sim/engine/engine.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <fmt/format.h>
#include <limits>
#include <numeric>

namespace nvl72 {

namespace {

void check(RingProgram const& program) {
    std::size_t const ranks = program.rate.size();
    NVL72_EXPECT(ranks >= 2 && program.hop.size() == ranks && program.start.size() == ranks,
                 "a ring has links and start times for every rank");
    NVL72_EXPECT(program.chunk > 0 && program.steps > 0, "a ring sends something");
}

/// Handler that starts send k of a rank when send k-1 is done and chunk k-1 of its neighbour is in.
struct RingRun {
    RingProgram const& program;
    Engine engine{};
    std::vector<ResourceId> links{};
    std::vector<std::int64_t> sent{}, arrived{};
    std::vector<char> entered{}, busy{};

    static constexpr std::uint32_t enter = 0, arrive = 1;

    explicit RingRun(RingProgram const& of) : program(of) {
        std::size_t const ranks = program.rate.size();
        sent.resize(ranks);
        arrived.resize(ranks);
        entered.resize(ranks);
        busy.resize(ranks);
        for (std::size_t r = 0; r < ranks; ++r) {
            links.push_back(engine.add_resource({program.rate[r], 1}));
            engine.at(program.start[r], enter, static_cast<std::uint32_t>(r));
        }
    }

    void send_if_ready(std::uint32_t r) {
        bool const ready =
            entered[r] != 0 && busy[r] == 0 && sent[r] < program.steps && arrived[r] >= sent[r];
        if (!ready) return;
        busy[r] = 1;
        std::array const uses{Usage{links[r], 1}};
        engine.start({Picoseconds{0}, program.chunk, program.rate[r], 1, uses}, r);
    }
    void finished(std::uint32_t r) {
        busy[r] = 0;
        ++sent[r];
        auto const next = static_cast<std::uint32_t>((r + 1) % program.rate.size());
        engine.at(engine.now() + program.hop[r], arrive, next);
        send_if_ready(r);
    }
    void timer(std::uint32_t kind, std::uint32_t r) {
        if (kind == enter) {
            entered[r] = 1;
        } else {
            ++arrived[r];
        }
        send_if_ready(r);
    }
    static std::string describe(std::uint32_t r) { return fmt::format("the send of rank {}", r); }
};

}  // namespace

Picoseconds ring_makespan(RingProgram const& program) {
    check(program);
    std::size_t const ranks = program.rate.size();
    std::vector<std::int64_t> send(ranks), hop(ranks), now(ranks), next(ranks);
    for (std::size_t r = 0; r < ranks; ++r) {
        send[r] = from_seconds(program.chunk / program.rate[r]).count;
        hop[r] = program.hop[r].count;
        now[r] = program.start[r].count + send[r];  // the first send is the rank's own data
    }
    // Nothing grows faster than the slowest send and hop, so the sums below cannot overflow.
    auto const slowest =
        Picoseconds{*std::ranges::max_element(send) + *std::ranges::max_element(hop)};
    (void)(slowest * (program.steps + 1) + *std::ranges::max_element(program.start));
    for (std::int64_t step = 1; step < program.steps; ++step) {
        next[0] = std::max(now[0], now[ranks - 1] + hop[ranks - 1]) + send[0];
        for (std::size_t r = 1; r < ranks; ++r) {
            next[r] = std::max(now[r], now[r - 1] + hop[r - 1]) + send[r];
        }
        std::swap(now, next);
    }
    std::int64_t last = 0;
    for (std::size_t r = 0; r < ranks; ++r) last = std::max(last, now[r] + hop[r]);
    return Picoseconds{last};
}

Picoseconds ring_makespan_on_engine(RingProgram const& program) {
    check(program);
    RingRun run(program);
    run.engine.run(run);
    for (std::int64_t const sent : run.sent) {
        NVL72_EXPECT(sent == program.steps, "every rank sends all its chunks");
    }
    return run.engine.last_call();
}

RingProgram ring_program(CollectiveSection const& section,
                         Collective const& query,
                         std::span<double const> nic_shares) {
    if (query.op == CollectiveOp::broadcast) {
        throw ConfigError(
            "fidelity steps: broadcast is a pipeline (expected all_reduce | all_gather | "
            "reduce_scatter)");
    }
    auto const& shape = query.shape;
    NVL72_EXPECT(nic_shares.empty() || nic_shares.size() == static_cast<std::size_t>(shape.domains),
                 "a share for each domain");
    auto const steps = ring_steps(query.op, shape.ranks);
    auto const costs = ring_link_costs(section, query);
    auto const between = [&](std::int64_t domain) {
        if (nic_shares.empty()) return costs.send_between(steps);
        Collective hashed = query;
        hashed.shape.network_efficiency = nic_shares[static_cast<std::size_t>(domain)];
        return ring_link_costs(section, hashed).send_between(steps);
    };
    RingProgram program{static_cast<double>(query.size.count) / static_cast<double>(shape.ranks),
                        steps,
                        {},
                        {},
                        std::vector<Picoseconds>(static_cast<std::size_t>(shape.ranks))};
    for (std::int64_t r = 0; r < shape.ranks; ++r) {
        bool const last = (r + 1) % shape.ranks_per_domain == 0 || r + 1 == shape.ranks;
        bool const crosses = shape.domains > 1 && last;
        double const send =
            crosses ? between(r / shape.ranks_per_domain) : costs.send_inside(steps);
        program.rate.push_back(program.chunk / send);
        program.hop.push_back(from_seconds(crosses ? costs.network_hop : costs.hop));
    }
    return program;
}

RingActivity ring_activity(RingProgram const& program) {
    check(program);
    // A chain of sends that bounds the last arrival passes over neighbouring links, each once or
    // more. Against `steps` sends of the slowest link, every link passed adds its hop and saves
    // what its send is quicker: the best window of links, no longer than the steps.
    std::size_t const ranks = program.rate.size();
    auto const longest = static_cast<std::size_t>(program.steps);
    double const slowest = program.chunk / *std::ranges::min_element(program.rate);
    std::size_t const turns = 1 + (longest + ranks - 1) / ranks;
    std::vector<double> sum(turns * ranks + 1), hops(turns * ranks + 1);
    for (std::size_t i = 0; i < turns * ranks; ++i) {
        std::size_t const r = i % ranks;
        hops[i + 1] = hops[i] + to_seconds(program.hop[r]);
        sum[i + 1] =
            sum[i] + to_seconds(program.hop[r]) + program.chunk / program.rate[r] - slowest;
    }
    std::deque<std::size_t> begins;  // of windows that may be the best, sums ascending
    std::size_t best_begin = 0, best_end = 0;
    double best = -std::numeric_limits<double>::infinity();
    for (std::size_t end = 1; end < sum.size(); ++end) {
        while (!begins.empty() && sum[begins.back()] >= sum[end - 1]) begins.pop_back();
        begins.push_back(end - 1);
        if (begins.front() + longest < end) begins.pop_front();
        if (double const gain = sum[end] - sum[begins.front()]; gain > best) {
            best = gain;
            best_begin = begins.front();
            best_end = end;
        }
    }
    double const latency = hops[best_end] - hops[best_begin];
    double const sends = slowest * static_cast<double>(program.steps) + best - latency;
    double const bytes = program.chunk * static_cast<double>(program.steps);
    return {from_seconds(latency), bytes, bytes / sends};
}

RingTimes ring_times(CollectiveSection const& section,
                     Collective const& query,
                     std::span<double const> nic_shares) {
    auto const base = from_seconds(ring_link_costs(section, query).base);
    auto const program = ring_program(section, query, nic_shares);
    return {base + ring_makespan(program), base + ring_activity(program).alone()};
}

}  // namespace nvl72
