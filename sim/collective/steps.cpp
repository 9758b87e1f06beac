#include "sim/collective/steps.hpp"

#include "sim/base/error.hpp"
#include "sim/engine/engine.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
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
    double hop = 0;
    double network_hop = 0;
    double payload = 1;
    BytesPerSecond rate;
    auto const& network = section.network;
    switch (algorithm_of(query)) {
        case CollectiveAlgorithm::ring_ll:
            hop = section.ring_ll.hop.count;
            network_hop = network.hop_ll.count;
            payload = 0.5;
            rate = section.ring_ll.bandwidth;
            break;
        case CollectiveAlgorithm::ring_ll128:
            hop = section.ring_ll128.step.count;
            network_hop = network.hop_ll128.count;
            payload = 120.0 / 128;
            rate = section.ring_ll128.bandwidth;
            break;
        case CollectiveAlgorithm::ring_simple:
            hop = section.ring_simple.step.count;
            network_hop = network.hop_simple.count;
            rate = section.ring_simple.bandwidth;
            break;
        default:
            throw ConfigError(
                fmt::format("fidelity steps: {} is no ring (expected a ring algorithm)",
                            name_of(algorithm_of(query))));
    }
    if (query.op == CollectiveOp::broadcast) {
        throw ConfigError(
            "fidelity steps: broadcast is a pipeline (expected all_reduce | all_gather | "
            "reduce_scatter)");
    }
    auto const& shape = query.shape;
    auto const ranks = static_cast<std::size_t>(shape.ranks);
    double const wiring = shape.in_domain.count / section.nvlink.count;
    NVL72_EXPECT(nic_shares.empty() || nic_shares.size() == static_cast<std::size_t>(shape.domains),
                 "a share for each domain");
    auto const crossing = [&](std::int64_t domain) {
        double const kept = nic_shares.empty() ? shape.network_efficiency
                                               : nic_shares[static_cast<std::size_t>(domain)];
        double const nics = shape.per_gpu_nic.count * kept * network.ring_efficiency *
                            static_cast<double>(smallest_share(shape));
        return payload * std::min(nics, network.ring_bandwidth_max.count);
    };
    RingProgram program{static_cast<double>(query.size.count) / static_cast<double>(shape.ranks),
                        ring_steps(query.op, shape.ranks),
                        {},
                        {},
                        std::vector<Picoseconds>(ranks)};
    for (std::int64_t r = 0; r < shape.ranks; ++r) {
        bool const last = (r + 1) % shape.ranks_per_domain == 0 || r + 1 == shape.ranks;
        bool const crosses = shape.domains > 1 && last;
        double const inside = rate.count * wiring;
        program.rate.push_back(crosses ? std::min(rate.count, crossing(r / shape.ranks_per_domain))
                                       : inside);
        program.hop.push_back(from_seconds(crosses ? network_hop : hop));
    }
    return program;
}

Picoseconds collective_steps_time(CollectiveSection const& section,
                                  Collective const& query,
                                  std::span<double const> nic_shares) {
    Seconds const base = algorithm_of(query) == CollectiveAlgorithm::ring_simple
                             ? section.ring_simple.base
                             : section.ring_ll.base;
    return from_seconds(base.count) + ring_makespan(ring_program(section, query, nic_shares));
}

}  // namespace nvl72
