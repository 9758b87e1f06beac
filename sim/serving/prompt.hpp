#pragma once

#include "sim/base/units.hpp"
#include "sim/config/fields.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// Who shares a layer of a prompt.
enum class PrefixScope : std::uint8_t { all, group, user };
template <>
struct EnumNames<PrefixScope> {
    static constexpr std::array words{"all", "group", "user"};
};

/// Tokens at the front of a prompt that others may share: a system prompt, traits, a profile.
struct PromptLayer {
    Place place;
    std::string name;
    PrefixScope scope = PrefixScope::all;
    std::int64_t tokens = 0;
    std::int64_t groups = 1;  ///< distinct texts of scope group
    double adoption = 1;      ///< share of users who have it
};
std::vector<Field<PromptLayer>> const& fields_of(PromptLayer const*);

/// Of each request the parts of its prompt in order, named by keys that hold for a part and all
/// before it: equal keys mean equal prefixes. A request's parts are begin[i] to begin[i + 1].
struct PromptParts {
    std::vector<std::uint32_t> begin;
    std::vector<std::uint64_t> key;
    std::vector<std::int32_t> tokens;
    std::vector<std::uint8_t> layer;  ///< index of `names`
    std::vector<std::string> names;   ///< layers, then "history" and "message"
    std::vector<std::uint8_t> own;    ///< the part is of this very request: never looked up

    [[nodiscard]] bool empty() const { return begin.empty(); }
    [[nodiscard]] std::pair<std::uint32_t, std::uint32_t> of(std::uint32_t request) const {
        return {begin[request], begin[request + 1]};
    }
};

/// An answer that asks for facts first: calls of a few tokens, each waited for, whose results are
/// read as more of the prompt.
struct ToolUse {
    Place place;
    std::vector<double> calls;      ///< shares of requests with 0, 1, 2, ... calls
    std::int64_t call_tokens = 40;  ///< of one call
    std::int64_t result_tokens = 0;
    Picoseconds median{0};    ///< time of one call
    Picoseconds p99{0};       ///< lognormal; as the median: always the same
    double empty = 0;         ///< share of calls with no result, that are made once more
    bool keeps_cache = true;  ///< what was read stays cached while it waits; else it is read again
};
std::vector<Field<ToolUse>> const& fields_of(ToolUse const*);

/// The calls of each request: begin[i] to begin[i + 1] of `seconds`.
struct ToolCalls {
    std::vector<std::uint32_t> begin;
    std::vector<double> seconds;
    std::int32_t call_tokens = 0, result_tokens = 0;
    bool keeps_cache = true;

    [[nodiscard]] bool empty() const { return begin.empty(); }
    [[nodiscard]] std::uint32_t count(std::uint32_t request) const {
        return empty() ? 0 : begin[request + 1] - begin[request];
    }
};

/// Key of a part behind another.
std::uint64_t chained(std::uint64_t before, std::uint64_t part);

/// Draws the calls of `requests` requests.
ToolCalls tool_calls(ToolUse const& use, std::size_t requests, std::uint64_t seed);

}  // namespace nvl72
