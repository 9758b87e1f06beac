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

/// A closed loop's law: throughput = clients / (time of an answer + rest).
TEST(Serve, GivesThinkingClientsWhatAClosedLoopAllows) {
    auto const cost = cost_of(engine());
    auto source = closed(8, 200, 50);
    source.think = from_seconds(2);
    source.count = 4000;
    auto const result = served({{cost.get(), room_for(*cost, 1e6), 1}, {}}, source);
    double const cycle = result.metrics.latency_s.mean + 2;
    EXPECT_NEAR(result.metrics.requests_per_s, 8 / cycle, 0.03 * 8 / cycle);
}

/// Little's law: sequences on the server = rate of arrivals x time on it.
TEST(Serve, HoldsAsManySequencesAsArriveInTheirTime) {
    auto const cost = cost_of(engine());
    RequestSource source;
    source.rate = 8;
    source.input = 300;
    source.output = 200;
    source.count = 4000;
    auto const result = served({{cost.get(), room_for(*cost, 1e6), 1}, {}}, source);
    double time = 0;
    for (std::size_t i = 0; i < result.requests.size(); ++i)
        time += to_seconds(result.requests.last[i] - result.requests.arrival[i]);
    // Nobody waits for a slot here, so that all of an answer's time is on the server.
    double const held = result.run.use[0].sequence_seconds;
    EXPECT_NEAR(held / time, 1, 0.02);
    EXPECT_NEAR(held / result.metrics.span_s,
                result.metrics.requests_per_s * result.metrics.latency_s.mean,
                0.02 * held / result.metrics.span_s);
}

TEST(Serve, NeverHoldsMoreThanItsCache) {
    auto const cost = cost_of(engine());
    auto growing = engine();
    growing.batch.admission = Admission::grow;
    auto const grown = cost_of(growing);
    for (auto const* each : {cost.get(), grown.get()}) {
        auto const result = served({{const_cast<StepCost*>(each), room_for(*cost, 3000), 1}, {}},
                                   closed(16, 300, 300));
        EXPECT_LE(result.metrics.cache_most, 1.0 + 1e-12);
        EXPECT_GT(result.metrics.cache_most, 0.7);
    }
}

TEST(Serve, ComputesOnlyWhatAPrefixCacheLacks) {
    auto const cost = cost_of(engine());
    RequestSource source;
    source.rate = 0.5;
    source.input = 100;
    source.output = 4;
    source.count = 50;
    source.layers = {{{}, "system", PrefixScope::all, 4000, 1, 1},
                     {{}, "own", PrefixScope::user, 50, 1, 1}};
    source.users = 50;
    auto const room = room_for(*cost, 1e6);
    Deployment deployment{{cost.get(), room, 1}, {}};
    auto const whole = served(deployment, source);
    deployment.prefix = PrefixCaches{{{1e5, 0}}, RequestRouting::fewest};
    auto const kept = served(deployment, source);
    // The system prompt is computed once, a user's own part never comes again.
    EXPECT_NEAR(kept.metrics.hit_share, 49 * 4000.0 / (50 * 4150), 1e-12);
    EXPECT_EQ(kept.run.found[0], 49 * 4000);
    EXPECT_EQ(kept.run.found[1], 0);
    EXPECT_EQ(kept.requests.cached[0], 0);
    // A lone request over 4,000 cached tokens takes exactly its 150 tokens' step.
    PromptWork const prompt{150, 150, 1, cost->prompt_attention(150, 4000)};
    EXPECT_NEAR(kept.metrics.ttft_s.p50, cost->mixed(0, 1, prompt), 1e-9);
    EXPECT_LT(kept.metrics.ttft_s.mean, 0.5 * whole.metrics.ttft_s.mean);
}

TEST(Serve, ReadsAConversationsOwnHistoryFromTheCache) {
    auto const cost = cost_of(engine());
    RequestSource source;
    source.rate = 1;
    source.input = 100;
    source.output = 20;
    source.turns = 3;
    source.gap = from_seconds(50);
    source.count = 30;
    Deployment deployment{{cost.get(), room_for(*cost, 1e6), 1}, {}};
    deployment.prefix = PrefixCaches{{{1e6, 0}}, RequestRouting::fewest};
    auto const result = served(deployment, source);
    // Turns have 100, 220 and 340 tokens, of which 0, 120 and 240 were there.
    EXPECT_NEAR(result.metrics.hit_share, 360.0 / 660, 1e-12);
}

TEST(Serve, WaitsForWhatAnAnswerAsks) {
    auto const cost = cost_of(engine());
    auto source = closed(1, 300, 10);
    source.count = 1;
    ToolUse tools;
    tools.calls = {0, 1};
    tools.call_tokens = 5;
    tools.result_tokens = 600;
    tools.median = from_seconds(0.25);
    source.tools = tools;
    auto const result = served({{cost.get(), room_for(*cost, 1e6), 1}, {}}, source);
    double first = cost->mixed(0, 1, {300, 300, 1, cost->prompt_attention(300, 0)});
    for (int i = 0; i < 4; ++i) first += cost->decode(1, 300 + i);
    double const second = cost->mixed(0, 1, {600, 600, 1, cost->prompt_attention(600, 305)});
    EXPECT_NEAR(to_seconds(result.requests.first[0]), first + 0.25 + second, 1e-8);
}

TEST(Serve, AnswersAQuestionWhenItsLastSampleIsDone) {
    auto const cost = cost_of(engine());
    RequestSource source;
    source.rate = 0.1;
    source.input = 500;
    source.output = 200;
    source.least = 0.2;
    source.samples = 8;
    source.count = 20;
    Deployment deployment{{cost.get(), room_for(*cost, 1e6), 1}, {}};
    deployment.prefix = PrefixCaches{{{1e6, 0}}, RequestRouting::fewest};
    auto const result = served(deployment, source);
    ASSERT_EQ(result.requests.size(), 160U);
    // The prompt is computed once and, but for its last token, read seven times.
    EXPECT_NEAR(result.metrics.hit_share, 7.0 / 8, 0.01);
    EXPECT_GT(result.metrics.question_s.mean, 1.3 * result.metrics.latency_s.mean);
    EXPECT_LE(result.metrics.question_s.p99, result.metrics.latency_s.p999);
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
