#pragma once

#include "sim/base/units.hpp"
#include "sim/config/fields.hpp"
#include "sim/serving/prompt.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// Requests as rows of columns. `arrival` below 0: when a client of a closed loop is free.
struct Requests {
    std::vector<Picoseconds> arrival, first, last;  ///< the latter two as clients see them
    std::vector<std::int32_t> input, output;        ///< tokens
    std::vector<Picoseconds> think;    ///< a client's rest before it sends this one; empty: none
    PromptParts parts;                 ///< what of a prompt others share; empty: nothing
    ToolCalls tools;                   ///< what an answer waits for; empty: nothing
    std::int64_t samples = 1;          ///< rows of one question, which stand together
    std::vector<std::int32_t> cached;  ///< tokens of the prompt that a prefix cache held

    [[nodiscard]] std::size_t size() const { return input.size(); }
};

/// How the lengths of requests are spread.
enum class Lengths : std::uint8_t { even, lognormal };
template <>
struct EnumNames<Lengths> {
    static constexpr std::array words{"even", "lognormal"};
};

/// Who asks for what: `clients` that each send their next request when the last is answered, or a
/// rate of Poisson arrivals, or a trace.
struct RequestSource {
    Place place;
    std::optional<std::int64_t> clients;
    std::optional<double> rate;  ///< requests a second; of a shape its mean
    std::optional<std::string> trace;
    std::optional<std::int64_t> count;  ///< of requests; none: ten of each client, or the trace's
    std::int64_t input = 1024, output = 1024;  ///< tokens: at most (even), or their mean
    double least = 1;  ///< lengths are spread evenly from this share of them up
    Lengths lengths = Lengths::even;
    double input_sigma = 0, output_sigma = 0;  ///< of the logarithm (lognormal)
    std::optional<std::int64_t> longest;       ///< tokens of a prompt or an answer (lognormal)
    std::vector<double> shape;                 ///< of the rate, hour by hour, over and over
    std::optional<Picoseconds> start;          ///< of the shape's hours, where arrivals begin
    std::int64_t burst = 0;                    ///< requests that arrive at once at the beginning
    Picoseconds think{0};                      ///< mean rest of a client between requests
    Picoseconds stagger{0};                    ///< clients begin evenly over this time
    std::int64_t turns = 1;                    ///< of a conversation
    Picoseconds gap{0};                        ///< between its turns
    std::int64_t users = 1;
    std::int64_t samples = 1;  ///< answers to each question, all asked for at once: best of N
    std::vector<PromptLayer> layers;  ///< of every prompt, in their order, before its own tokens
    std::optional<ToolUse> tools;
};
std::vector<Field<RequestSource>> const& fields_of(RequestSource const*);

/// The rows of a source, without answers.
Requests requests_of(RequestSource const& source, std::uint64_t seed);

/// A trace by its columns: Azure's CSV (TIMESTAMP, ContextTokens, GeneratedTokens) or Mooncake's
/// JSON lines (timestamp in ms, input_length, output_length and hash_ids, one for each 512 tokens
/// that equal prefixes share). Times count from the first request.
Requests read_request_trace(std::string const& path);

}  // namespace nvl72
