#include "sim/serving/prompt.hpp"

#include "sim/base/error.hpp"
#include "sim/base/random.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>

namespace nvl72 {

namespace {

constexpr double z_of_p99 = 2.3263478740408408;  // standard normal

}  // namespace

std::vector<Field<PromptLayer>> const& fields_of(PromptLayer const*) {
    static std::vector<Field<PromptLayer>> const fields{
        required("name", &PromptLayer::name, "what it is called"),
        required("scope", &PromptLayer::scope, "who shares it"),
        required("tokens", &PromptLayer::tokens, "its length"),
        optional("groups", &PromptLayer::groups, "1", "distinct texts of scope group"),
        optional("adoption", &PromptLayer::adoption, "1", "share of users who have it"),
    };
    return fields;
}

std::vector<Field<ToolUse>> const& fields_of(ToolUse const*) {
    static std::vector<Field<ToolUse>> const fields{
        required("calls", &ToolUse::calls, "shares of requests with 0, 1, 2, ... calls"),
        optional("call_tokens", &ToolUse::call_tokens, "40", "of one call"),
        required("result_tokens", &ToolUse::result_tokens, "that one call adds to the prompt"),
        required("median", &ToolUse::median, "time of one call"),
        optional("p99", &ToolUse::p99, "0 s", "of lognormal times; 0 s: all as the median"),
        optional("empty", &ToolUse::empty, "0", "share of calls that are made once more"),
        optional("keeps_cache", &ToolUse::keeps_cache, "true",
                 "what was read stays cached while a call is waited for"),
    };
    return fields;
}

std::uint64_t chained(std::uint64_t before, std::uint64_t part) {
    // splitmix64's finaliser over a sum that depends on the order.
    std::uint64_t x = before * 0x9e3779b97f4a7c15ULL + part + 0x632be59bd9b4e019ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

ToolCalls tool_calls(ToolUse const& use, std::size_t requests, std::uint64_t seed) {
    auto const refuse = [&](std::string const& key, std::string const& found,
                            std::string const& expected) {
        Place place = use.place;
        place.key = place.key.empty() ? key : place.key + "." + key;
        fail(place, found, expected);
    };
    double const whole = std::accumulate(use.calls.begin(), use.calls.end(), 0.0);
    bool const shares = std::ranges::all_of(use.calls, [](double share) { return share >= 0; });
    if (!shares || std::abs(whole - 1) > 1e-6) {
        refuse("calls", fmt::format("shares that sum to {:g}", whole), "shares that sum to 1");
    }
    if (use.call_tokens < 1) refuse("call_tokens", std::to_string(use.call_tokens), "1 or more");
    if (use.result_tokens < 1)
        refuse("result_tokens", std::to_string(use.result_tokens), "1 or more");
    if (use.empty < 0 || use.empty >= 1)
        refuse("empty", fmt::format("{:g}", use.empty), "0 to below 1");
    if (use.p99.count != 0 && use.p99 < use.median) {
        refuse("p99", fmt::format("{:g} s", to_seconds(use.p99)), "no less than the median");
    }
    double const median = to_seconds(use.median);
    double const sigma =
        use.p99.count == 0 || median == 0 ? 0 : std::log(to_seconds(use.p99) / median) / z_of_p99;
    RandomStream counts(seed, "tool calls"), times(seed, "tool times");
    ToolCalls calls;
    calls.call_tokens = static_cast<std::int32_t>(use.call_tokens);
    calls.result_tokens = static_cast<std::int32_t>(use.result_tokens);
    calls.keeps_cache = use.keeps_cache;
    calls.begin.push_back(0);
    for (std::size_t i = 0; i < requests; ++i) {
        double left = counts.uniform();
        std::size_t wanted = 0;
        while (wanted + 1 < use.calls.size() && left >= use.calls[wanted]) {
            left -= use.calls[wanted++];
        }
        for (std::size_t c = 0; c < wanted; ++c) {
            do {
                calls.seconds.push_back(median * std::exp(sigma * times.normal(0, 1)));
            } while (counts.uniform() < use.empty);
        }
        calls.begin.push_back(static_cast<std::uint32_t>(calls.seconds.size()));
    }
    return calls;
}

}  // namespace nvl72
