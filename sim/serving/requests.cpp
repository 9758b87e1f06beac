#include "sim/serving/requests.hpp"

#include "sim/base/error.hpp"
#include "sim/base/random.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>

namespace nvl72 {

namespace {

constexpr std::int64_t requests_of_a_client = 10;

std::int32_t spread(std::int64_t most, double least, RandomStream& random) {
    double const share = least + (1 - least) * random.uniform();
    return static_cast<std::int32_t>(
        std::max<std::int64_t>(1, std::llround(share * static_cast<double>(most))));
}

void expect_positive(RequestSource const& source, char const* key, double value) {
    if (value > 0) return;
    Place place = source.place;
    place.key = place.key.empty() ? key : place.key + "." + key;
    fail(place, fmt::format("{:g}", value), "more than 0");
}

double seconds_of_clock(std::string_view text, Place const& place) {
    // "2023-11-16 18:15:46.6805900": days beyond the first count too.
    int year = 0, month = 0, day = 0, hour = 0, minute = 0;
    double second = 0;
    if (std::sscanf(std::string(text).c_str(), "%d-%d-%d %d:%d:%lf", &year, &month, &day, &hour,
                    &minute, &second) != 6) {
        fail(place, std::string(text), "a time as 2023-11-16 18:15:46.68");
    }
    // Days of the civil calendar (Howard Hinnant's days_from_civil).
    int const y = month <= 2 ? year - 1 : year;
    int const era = y / 400;
    int const of_era = y - era * 400;
    int const of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int const days = era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    return 86400.0 * days + 3600.0 * hour + 60.0 * minute + second;
}

std::int32_t whole(std::string_view text, Place const& place) {
    std::int32_t value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < 0) {
        fail(place, std::string(text), "a whole number of tokens");
    }
    return value;
}

void add(Requests& to, double seconds, std::int32_t input, std::int32_t output) {
    to.arrival.push_back(from_seconds(seconds));
    to.input.push_back(std::max(1, input));
    to.output.push_back(std::max(1, output));
}

Requests read_azure(std::istream& file, std::string const& path) {
    Requests requests;
    std::string line;
    double start = -1;
    for (int number = 2; std::getline(file, line); ++number) {
        if (!line.empty() && line.back() == '\r') line.pop_back();
        if (line.empty()) continue;
        Place const place{path, number, ""};
        std::istringstream cells(line);
        std::string time, input, output;
        std::getline(cells, time, ',');
        std::getline(cells, input, ',');
        std::getline(cells, output, ',');
        double const seconds = seconds_of_clock(time, place);
        if (start < 0) start = seconds;
        add(requests, std::max(0.0, seconds - start), whole(input, place), whole(output, place));
    }
    return requests;
}

Requests read_mooncake(std::istream& file, std::string const& path) {
    Requests requests;
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
        if (line.empty()) continue;
        try {
            auto const row = nlohmann::json::parse(line);
            add(requests, row.at("timestamp").get<double>() / 1e3,
                row.at("input_length").get<std::int32_t>(),
                row.at("output_length").get<std::int32_t>());
        } catch (nlohmann::json::exception const&) {
            fail({path, number, ""}, "no request",
                 "JSON with timestamp, input_length and output_length");
        }
    }
    return requests;
}

}  // namespace

std::vector<Field<RequestSource>> const& fields_of(RequestSource const*) {
    static std::vector<Field<RequestSource>> const fields{
        optional("clients", &RequestSource::clients, "",
                 "who send one request after the other and all begin at once"),
        optional("rate", &RequestSource::rate, "", "requests a second (Poisson)"),
        optional("trace", &RequestSource::trace, "", "file of arrivals: Azure's CSV or Mooncake's"),
        optional("count", &RequestSource::count, "",
                 "requests in all; default: ten of each client, 1000, or the trace's"),
        optional("input", &RequestSource::input, "1024", "tokens of a prompt, at most"),
        optional("output", &RequestSource::output, "1024", "tokens of an answer, at most"),
        optional("least", &RequestSource::least, "1",
                 "lengths are spread evenly from this share of the most"),
    };
    return fields;
}

Requests read_request_trace(std::string const& path) {
    std::ifstream file(path);
    if (!file) throw ConfigError(path + ": cannot be read (expected a trace of requests)");
    auto const start = file.peek();
    if (start == '{') return read_mooncake(file, path);
    std::string header;
    std::getline(file, header);
    if (!header.empty() && header.back() == '\r') header.pop_back();
    if (header != "TIMESTAMP,ContextTokens,GeneratedTokens") {
        fail({path, 1, ""}, "'" + header.substr(0, 60) + "'",
             "TIMESTAMP,ContextTokens,GeneratedTokens, or Mooncake's JSON lines");
    }
    return read_azure(file, path);
}

Requests requests_of(RequestSource const& source, std::uint64_t seed) {
    int const kinds = int{source.clients.has_value()} + int{source.rate.has_value()} +
                      int{source.trace.has_value()};
    if (kinds != 1) {
        fail(source.place, fmt::format("{} sources", kinds), "one of clients, rate and trace");
    }
    Requests requests;
    if (source.trace) {
        requests = read_request_trace(*source.trace);
        if (source.count && *source.count < std::ssize(requests.input)) {
            auto const count = static_cast<std::size_t>(*source.count);
            requests.arrival.resize(count);
            requests.input.resize(count);
            requests.output.resize(count);
        }
        return requests;
    }
    if (source.clients) expect_positive(source, "clients", static_cast<double>(*source.clients));
    if (source.rate) expect_positive(source, "rate", *source.rate);
    expect_positive(source, "input", static_cast<double>(source.input));
    expect_positive(source, "output", static_cast<double>(source.output));
    expect_positive(source, "least", source.least);
    if (source.least > 1) fail(source.place, fmt::format("least {:g}", source.least), "at most 1");
    std::int64_t const count =
        source.count.value_or(source.clients ? *source.clients * requests_of_a_client : 1000);
    expect_positive(source, "count", static_cast<double>(count));
    RandomStream inputs(seed, "serving input lengths"), outputs(seed, "serving output lengths"),
        gaps(seed, "serving arrivals");
    double at = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        requests.input.push_back(spread(source.input, source.least, inputs));
        requests.output.push_back(spread(source.output, source.least, outputs));
        if (source.rate) {
            at += gaps.exponential(1 / *source.rate);
            requests.arrival.push_back(from_seconds(at));
        } else {
            requests.arrival.emplace_back(-1);
        }
    }
    return requests;
}

}  // namespace nvl72
