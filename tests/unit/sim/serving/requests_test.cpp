#include "sim/serving/requests.hpp"

#include "sim/base/error.hpp"
#include "tests/support/small_experiment.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

TEST(Requests, SpreadTheirLengthsEvenlyFromAShareUp) {
    RequestSource source;
    source.clients = 100;
    source.input = 1000;
    source.output = 500;
    source.least = 0.8;
    auto const requests = requests_of(source, 1);
    ASSERT_EQ(requests.size(), 1000);
    auto const [low, high] = std::ranges::minmax(requests.input);
    EXPECT_GE(low, 800);
    EXPECT_LE(high, 1000);
    double sum = 0;
    for (auto const tokens : requests.output) sum += tokens;
    EXPECT_NEAR(sum / 1000, 450, 5);  // the mean of 400 .. 500, deviation 29 over 1000 draws
    EXPECT_LT(requests.arrival.front().count, 0);
    EXPECT_EQ(requests_of(source, 1).input, requests.input);
    EXPECT_NE(requests_of(source, 2).input, requests.input);
}

TEST(Requests, ArriveAtTheirRate) {
    RequestSource source;
    source.rate = 20;
    source.count = 10000;
    auto const requests = requests_of(source, 1);
    EXPECT_TRUE(std::ranges::is_sorted(requests.arrival));
    EXPECT_NEAR(to_seconds(requests.arrival.back()), 500, 25);  // five deviations
}

TEST(Requests, ComeFromOneSource) {
    RequestSource source;
    EXPECT_THROW(requests_of(source, 1), ConfigError);
    source.clients = 4;
    source.rate = 2;
    EXPECT_THROW(requests_of(source, 1), ConfigError);
}

TEST(RequestTrace, ReadsAzuresColumns) {
    support::TemporaryFile const file(
        "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
        "2023-11-16 23:59:58.5000000,374,44\r\n"
        "2023-11-17 00:00:01.0000000,396,109\r\n",
        ".csv");
    auto const trace = read_request_trace(file.path());
    ASSERT_EQ(trace.size(), 2);
    EXPECT_EQ(trace.input[1], 396);
    EXPECT_EQ(trace.output[0], 44);
    EXPECT_DOUBLE_EQ(to_seconds(trace.arrival[1]), 2.5);
}

TEST(RequestTrace, ReadsMooncakesLines) {
    support::TemporaryFile const file(
        R"({"timestamp": 3000, "input_length": 6758, "output_length": 500, "hash_ids": [0]})"
        "\n",
        ".jsonl");
    auto const trace = read_request_trace(file.path());
    ASSERT_EQ(trace.size(), 1);
    EXPECT_DOUBLE_EQ(to_seconds(trace.arrival[0]), 3);
    EXPECT_EQ(trace.input[0], 6758);
}

TEST(RequestTrace, NamesTheLineItCannotRead) {
    support::TemporaryFile const file(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.97,374,many\n", ".csv");
    try {
        read_request_trace(file.path());
        FAIL() << "read";
    } catch (ConfigError const& error) {
        EXPECT_NE(std::string(error.what()).find(":2"), std::string::npos) << error.what();
    }
}

/// 24 hours whose rate is 2 by day and 0 by night.
TEST(Requests, FollowTheShapeOfTheirRate) {
    RequestSource source;
    source.rate = 1;
    source.shape.assign(24, 0);
    for (std::size_t hour = 8; hour < 20; ++hour) source.shape[hour] = 2;
    source.count = 86400;  // of one day
    auto const requests = requests_of(source, 3);
    for (auto const at : requests.arrival) {
        double const hour = std::fmod(to_seconds(at) / 3600, 24);
        EXPECT_GE(hour, 8);
        EXPECT_LT(hour, 20);
    }
    EXPECT_NEAR(to_seconds(requests.arrival.back()) / 3600, 20, 1);
}

TEST(Requests, BeginWithABurst) {
    RequestSource source;
    source.rate = 1;
    source.burst = 40;
    source.count = 100;
    auto const requests = requests_of(source, 3);
    EXPECT_EQ(std::ranges::count(requests.arrival, Picoseconds{0}), 40);
}

TEST(Requests, HaveTheMeanOfTheirLognormalLengths) {
    RequestSource source;
    source.clients = 1;
    source.count = 200'000;
    source.lengths = Lengths::lognormal;
    source.input = 1155;
    source.input_sigma = 0.5;
    source.output = 211;
    auto const requests = requests_of(source, 3);
    double sum = 0;
    for (auto const tokens : requests.input) sum += tokens;
    EXPECT_NEAR(sum / 200'000, 1155, 5);
    EXPECT_EQ(std::ranges::count(requests.output, 211), 200'000);
}

TEST(Requests, ShareTheBlocksThatATraceNames) {
    support::TemporaryFile const file(
        R"({"timestamp": 0, "input_length": 1000, "output_length": 5, "hash_ids": [7, 8]}
{"timestamp": 500, "input_length": 1100, "output_length": 5, "hash_ids": [7, 9, 10]}
)",
        ".jsonl");
    auto const requests = read_request_trace(file.path());
    ASSERT_EQ(requests.parts.begin, (std::vector<std::uint32_t>{0, 2, 5}));
    EXPECT_EQ(requests.parts.key[2], 7U);
    EXPECT_EQ(requests.parts.tokens[1], 488);  // 1000 - 512
    EXPECT_EQ(requests.parts.tokens[4], 76);   // 1100 - 1024
}

TEST(Requests, RefuseWhatDoesNotGoTogether) {
    auto const said = [](auto change) {
        RequestSource source;
        source.place = {"a.yaml", 3, "requests"};
        source.rate = 1;
        change(source);
        try {
            requests_of(source, 1);
        } catch (ConfigError const& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    EXPECT_EQ(said([](RequestSource& s) { s.think = from_seconds(1); }),
              "a.yaml:3: requests.think: given (expected clients beside it)");
    EXPECT_EQ(said([](RequestSource& s) { s.input_sigma = 1; }),
              "a.yaml:3: requests.input_sigma: given (expected lengths: lognormal beside it)");
    EXPECT_EQ(said([](RequestSource& s) { s.shape = {0, 0}; }),
              "a.yaml:3: requests.shape: no hour with a rate (expected one above 0)");
}

}  // namespace
}  // namespace nvl72
