#pragma once

#include "sim/base/units.hpp"
#include "sim/config/fields.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// Requests as rows of columns. `arrival` below 0: when a client of a closed loop is free.
struct Requests {
    std::vector<Picoseconds> arrival, first, last;  ///< the latter two as clients see them
    std::vector<std::int32_t> input, output;        ///< tokens

    [[nodiscard]] std::size_t size() const { return input.size(); }
};

/// Who asks for what: `clients` that each send their next request when the last is answered and
/// all begin at once, or a rate of Poisson arrivals, or a trace.
struct RequestSource {
    Place place;
    std::optional<std::int64_t> clients;
    std::optional<double> rate;  ///< requests a second
    std::optional<std::string> trace;
    std::optional<std::int64_t> count;  ///< of requests; none: ten of each client, or the trace's
    std::int64_t input = 1024, output = 1024;  ///< tokens, at most
    double least = 1;  ///< lengths are spread evenly from this share of them up
};
std::vector<Field<RequestSource>> const& fields_of(RequestSource const*);

/// The rows of a source, without answers.
Requests requests_of(RequestSource const& source, std::uint64_t seed);

/// A trace by its columns: Azure's CSV (TIMESTAMP, ContextTokens, GeneratedTokens) or Mooncake's
/// JSON lines (timestamp in ms, input_length, output_length). Times count from the first request.
Requests read_request_trace(std::string const& path);

}  // namespace nvl72
