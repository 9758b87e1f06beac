#include "sim/serving/metrics.hpp"

#include "sim/base/error.hpp"
#include "tests/support/small_experiment.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <memory>

namespace nvl72 {
namespace {

/// Llama-3.1-8B on one H100, with a host that costs nothing unless a test says so.
std::unique_ptr<StepCost> cost_of(EngineProfile engine, ServingLayout layout = {}) {
    auto const library = support::shipped_library();
    ClusterChoice choice;
    choice.name = "hgx-h100";
    auto const fabric = build_fabric(choice, library);
    auto const model = load_architecture(library.path("models", "llama-3.1-8b", {}));
    layout = checked(layout, model);
    return std::make_unique<StepCost>(Replica{model, precision_of(engine, "bf16", {}), layout,
                                              groups_of(layout, fabric), engine,
                                              load_profile(library, "h100")});
}

EngineProfile engine() {
    auto loaded = load_engine(support::shipped_library().path("engines", "generic", {}));
    loaded.host = {};
    return loaded;
}

CacheRoom room_for(StepCost const& cost, double tokens) {
    auto const& replica = cost.replica();
    auto room = cache_room(replica.model, replica.precision, replica.layout, replica.engine.batch,
                           Bytes{80'000'000'000});
    room.room = room.bytes(tokens);
    return room;
}

RequestSource closed(std::int64_t clients, std::int64_t input, std::int64_t output) {
    RequestSource source;
    source.clients = clients;
    source.input = input;
    source.output = output;
    return source;
}

struct Result {
    Requests requests;
    ServingRun run;
    ServingMetrics metrics;
};
Result served(Deployment const& deployment, RequestSource const& source, std::uint64_t seed = 1) {
    Result result;
    result.requests = requests_of(source, seed);
    result.run = serve(deployment, result.requests, source.clients.value_or(0));
    result.metrics = metrics_of(deployment, result.requests, result.run);
    return result;
}

TEST(Serve, GivesALoneRequestItsPromptAndItsSteps) {
    auto const cost = cost_of(engine());
    Deployment const deployment{{cost.get(), room_for(*cost, 1e5), 1}, {}};
    auto source = closed(1, 1000, 3);
    source.count = 1;
    auto const result = served(deployment, source);
    PromptWork const prompt{1000, 1000, 1, cost->prompt_attention(1000, 0)};
    double const first = cost->mixed(0, 1, prompt);
    EXPECT_NEAR(to_seconds(result.requests.first[0]), first, 1e-9);
    // Two more tokens, over 1,000 and 1,001 cached ones.
    double const rest = cost->decode(1, 1000) + cost->decode(1, 1001);
    EXPECT_NEAR(to_seconds(result.requests.last[0]), first + rest, 1e-9);
    EXPECT_EQ(result.run.use[0].steps, 3);
}

TEST(Serve, CutsAPromptIntoStepsOfSoManyTokens) {
    auto small = engine();
    small.batch.tokens_max = 256;
    auto const cost = cost_of(small);
    Deployment const deployment{{cost.get(), room_for(*cost, 1e5), 1}, {}};
    auto source = closed(1, 1000, 1);
    source.count = 1;
    EXPECT_EQ(served(deployment, source).run.use[0].steps, 4);
}

TEST(Serve, EndsARunOfStepsWhereARequestArrives) {
    auto const cost = cost_of(engine());
    Deployment const deployment{{cost.get(), room_for(*cost, 1e5), 1}, {}};
    Requests requests;
    requests.arrival = {Picoseconds{0}, from_seconds(1)};
    requests.input = {100, 100};
    requests.output = {1000, 2};
    serve(deployment, requests, 0);
    // It waits for the step under way, then for its own prompt: far less than the run of steps.
    double const waited = to_seconds(requests.first[1] - requests.arrival[1]);
    double const step = cost->decode(1, 300);
    PromptWork const prompt{100, 100, 1, cost->prompt_attention(100, 0)};
    double const own = cost->mixed(1, 300, prompt);
    EXPECT_GE(waited, own * 0.99);
    EXPECT_LE(waited, own * 1.01 + step);
    EXPECT_GT(to_seconds(requests.last[0]), 2);
}

TEST(Serve, MakesClientsWaitForSlots) {
    auto const cost = cost_of(engine());
    Deployment deployment{{cost.get(), room_for(*cost, 1e6), 1}, {}};
    auto const free = served(deployment, closed(8, 100, 400));
    deployment.pool.slots = 4;
    auto const held = served(deployment, closed(8, 100, 400));
    double const life = 400 * held.metrics.tpot_s.mean;
    EXPECT_LT(free.metrics.ttft_s.mean, 0.1 * life);
    // Half of them wait while the others are served.
    EXPECT_NEAR(held.metrics.ttft_s.mean, life, 0.15 * life);
    EXPECT_LE(held.metrics.sequences, 4.001);
}

TEST(Serve, NeverEvictsWhatItReservedFor) {
    auto const cost = cost_of(engine());
    Deployment const deployment{{cost.get(), room_for(*cost, 2500), 1}, {}};
    auto const result = served(deployment, closed(8, 100, 400));
    EXPECT_EQ(result.metrics.evictions, 0);
    EXPECT_LE(result.metrics.sequences, 5.001);  // 5 x 500 tokens
}

TEST(Serve, EvictsTheYoungestWhereTheCacheGrowsFull) {
    auto growing = engine();
    growing.batch.admission = Admission::grow;
    auto const cost = cost_of(growing);
    Deployment const deployment{{cost.get(), room_for(*cost, 2500), 1}, {}};
    auto const result = served(deployment, closed(8, 100, 400));
    EXPECT_GT(result.metrics.evictions, 0);
    EXPECT_LE(result.metrics.cache_share, 1.0);
    for (std::size_t i = 0; i < result.requests.size(); ++i) {
        EXPECT_GE(result.requests.first[i], result.requests.arrival[i]);
        EXPECT_GT(result.requests.last[i], result.requests.first[i]);
    }
}

TEST(Serve, RefusesARequestThatNoEmptyCacheHolds) {
    auto const cost = cost_of(engine());
    Deployment const deployment{{cost.get(), room_for(*cost, 300), 1}, {}};
    auto requests = requests_of(closed(1, 100, 400), 1);
    EXPECT_THROW(serve(deployment, requests, 1), DoesNotFit);
}

TEST(Serve, HoldsBackTheFirstTokensThatTravelTogether) {
    auto grouped = engine();
    grouped.host.stream_tokens = 20;
    auto const plain = cost_of(engine());
    auto const cost = cost_of(grouped);
    auto const source = closed(1, 100, 400);
    auto const one = served({{plain.get(), room_for(*plain, 1e5), 1}, {}}, source);
    auto const many = served({{cost.get(), room_for(*cost, 1e5), 1}, {}}, source);
    double const step = plain->decode(1, 110);
    EXPECT_NEAR(many.metrics.ttft_s.mean - one.metrics.ttft_s.mean, 19 * step, 0.2 * step);
    // A run of steps that is cut in two is priced at four ends instead of two.
    EXPECT_NEAR(many.metrics.latency_s.mean, one.metrics.latency_s.mean, 1e-4);
}

TEST(Serve, IsHeldToTheTokensThatTheHostSends) {
    auto slow = engine();
    slow.host.token = from_seconds(1e-3);
    auto const cost = cost_of(slow);
    auto const result = served({{cost.get(), room_for(*cost, 1e6), 1}, {}}, closed(64, 100, 200));
    EXPECT_LE(result.metrics.output_tokens_per_s, 1000 * 1.001);
    EXPECT_GE(result.metrics.output_tokens_per_s, 900);
}

TEST(Serve, GainsAcceptedDraftsInEveryStep) {
    auto drafting = engine();
    drafting.speculation = {3, 2};
    auto const plain = cost_of(engine());
    auto const cost = cost_of(drafting);
    auto const source = closed(1, 100, 301);
    auto const one = served({{plain.get(), room_for(*plain, 1e5), 1}, {}}, source);
    auto const three = served({{cost.get(), room_for(*cost, 1e5), 1}, {}}, source);
    // 300 tokens in 100 steps instead of 300, each a little longer.
    EXPECT_EQ(three.run.use[0].steps, 10 * 101);
    EXPECT_LT(three.metrics.tpot_s.mean, 0.6 * one.metrics.tpot_s.mean);
    EXPECT_GT(three.metrics.tpot_s.mean, one.metrics.tpot_s.mean / 3);
}

TEST(Serve, PutsPromptsOnServersOfTheirOwn) {
    auto const cost = cost_of(engine());
    auto const room = room_for(*cost, 1e6);
    Deployment const joined{{cost.get(), room, 2}, {}};
    Disaggregation apart{{cost.get(), room, 1}, 16, 1e9, 0};
    Deployment const parted{{cost.get(), room, 1}, apart};
    EXPECT_EQ(parted.gpus(), 2);
    auto const source = closed(8, 2000, 100);
    auto const together = served(joined, source);
    auto const separate = served(parted, source);
    // No prompt interrupts a decode step there.
    EXPECT_NEAR(separate.run.use[0].decode_s, separate.run.use[0].busy_s, 1e-9);
    EXPECT_LT(together.run.use[0].decode_s, together.run.use[0].busy_s);
    for (std::size_t i = 0; i < separate.requests.size(); ++i) {
        // The cache of 2,000 tokens travels at 1 GB/s: 0.26 s.
        EXPECT_GT(to_seconds(separate.requests.last[i] - separate.requests.first[i]), 0.26);
    }
}

TEST(Serve, SpreadsRequestsOverServers) {
    auto const cost = cost_of(engine());
    auto const room = room_for(*cost, 1e6);
    auto const source = closed(64, 500, 100);
    auto const one = served({{cost.get(), room, 1}, {}}, source);
    auto const four = served({{cost.get(), room, 4}, {}}, source);
    EXPECT_GT(four.metrics.output_tokens_per_s, 1.8 * one.metrics.output_tokens_per_s);
    EXPECT_LT(four.metrics.tokens_per_s_per_gpu, one.metrics.tokens_per_s_per_gpu);
    for (auto const& use : four.run.use) EXPECT_GT(use.steps, 0);
}

TEST(StepCost, GrowsWithEverythingItDoes) {
    auto const cost = cost_of(engine());
    double last = 0;
    for (int sequences = 1; sequences <= 512; sequences *= 2) {
        double const now = cost->decode(sequences, 2000);
        EXPECT_GT(now, last);
        last = now;
    }
    EXPECT_GT(cost->decode(64, 4000), cost->decode(64, 2000));
    // Weights alone: 8.03e9 parameters less the embedding, 2 B each, over 3.35 TB/s.
    EXPECT_GT(cost->decode(1, 100), 7.5e9 * 2 / 3.35e12);
}

TEST(Percentiles, AreNearestRanks) {
    std::vector<double> values;
    for (int i = 100; i >= 1; --i) values.push_back(i);
    auto const found = percentiles(values);
    EXPECT_DOUBLE_EQ(found.mean, 50.5);
    EXPECT_EQ(found.p50, 50);
    EXPECT_EQ(found.p90, 90);
    EXPECT_EQ(found.p99, 99);
    std::vector<double> none;
    EXPECT_EQ(percentiles(none).p99, 0);
}

}  // namespace
}  // namespace nvl72
