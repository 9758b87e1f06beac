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

/// Tokens that one of Mooncake's hashes stands for.
constexpr std::int32_t trace_block = 512;

/// A block's hash holds for all before it, too. The last block may be part of one.
void add_blocks(PromptParts& parts, nlohmann::json const& row, std::int32_t input) {
    std::int32_t left = input;
    for (auto const& hash : row.at("hash_ids")) {
        std::int32_t const tokens = std::min(left, trace_block);
        if (tokens < 1) break;
        parts.key.push_back(hash.get<std::uint64_t>());
        parts.tokens.push_back(tokens);
        parts.layer.push_back(0);
        parts.own.push_back(0);
        left -= tokens;
    }
    parts.begin.push_back(static_cast<std::uint32_t>(parts.key.size()));
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
            if (!row.contains("hash_ids")) continue;
            if (requests.parts.empty()) requests.parts.begin.assign(requests.size(), 0);
            requests.parts.names = {"blocks"};
            add_blocks(requests.parts, row, requests.input.back());
        } catch (nlohmann::json::exception const&) {
            fail({path, number, ""}, "no request",
                 "JSON with timestamp, input_length and output_length");
        }
    }
    if (!requests.parts.empty() && requests.parts.begin.size() != requests.size() + 1) {
        fail({path, 0, ""}, "requests without hash_ids", "hash_ids of all requests, or of none");
    }
    return requests;
}

}  // namespace

std::vector<Field<RequestSource>> const& fields_of(RequestSource const*) {
    static std::vector<Field<RequestSource>> const fields{
        optional("clients", &RequestSource::clients, "",
                 "who send one request after the other and all begin at once"),
        optional("rate", &RequestSource::rate, "",
                 "requests a second (Poisson); the mean where there is a shape"),
        optional("trace", &RequestSource::trace, "", "file of arrivals: Azure's CSV or Mooncake's"),
        optional(
            "count", &RequestSource::count, "",
            "requests (of several samples: questions) in all; default: ten of each client, 1000, "
            "or the trace's"),
        optional(
            "input", &RequestSource::input, "1024",
            "tokens of a prompt beside its layers and history: at most, of lognormal the mean"),
        optional("output", &RequestSource::output, "1024",
                 "tokens of an answer: at most, of lognormal the mean"),
        optional("least", &RequestSource::least, "1",
                 "lengths are spread evenly from this share of the most"),
        optional("lengths", &RequestSource::lengths, "even", "how lengths are spread"),
        optional("input_sigma", &RequestSource::input_sigma, "0",
                 "standard deviation of the logarithm of prompts' lengths (lognormal)"),
        optional("output_sigma", &RequestSource::output_sigma, "0", "the same of answers' lengths"),
        optional("longest", &RequestSource::longest, "",
                 "tokens that neither prompt nor answer exceeds (lognormal)"),
        optional("shape", &RequestSource::shape, "",
                 "the rate hour by hour over its mean, over and over"),
        optional("start", &RequestSource::start, "", "of the shape's hours, where arrivals begin"),
        optional("burst", &RequestSource::burst, "0",
                 "requests that arrive at once at the beginning, besides the rate"),
        optional("think", &RequestSource::think, "0 s",
                 "mean rest of a client before its next request (exponential)"),
        optional("stagger", &RequestSource::stagger, "0 s", "clients begin evenly over this time"),
        optional("turns", &RequestSource::turns, "1",
                 "of a conversation, each with all before it in its prompt"),
        optional("gap", &RequestSource::gap, "0 s", "from one turn to the next"),
        optional("users", &RequestSource::users, "1", "who ask, with layers of their own"),
        optional("samples", &RequestSource::samples, "1",
                 "answers to each question, all asked for at once (best of N)"),
        optional("layers", &RequestSource::layers, "",
                 "of every prompt, in this order, before its own tokens"),
        optional("tools", &RequestSource::tools, "", "what an answer asks and waits for"),
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

namespace {

constexpr double seconds_of_hour = 3600;

void expect(RequestSource const& source,
            bool holds,
            char const* key,
            std::string const& found,
            char const* expected) {
    if (holds) return;
    Place place = source.place;
    place.key = place.key.empty() ? key : place.key + "." + key;
    fail(place, found, expected);
}

void check_layers(RequestSource const& source) {
    for (PromptLayer const& layer : source.layers) {
        auto const at = [&](char const* key) {
            Place place = layer.place;
            place.key = place.key.empty() ? key : place.key + "." + key;
            return place;
        };
        if (layer.tokens < 1) fail(at("tokens"), std::to_string(layer.tokens), "1 or more");
        if (layer.groups < 1) fail(at("groups"), std::to_string(layer.groups), "1 or more");
        if (layer.adoption < 0 || layer.adoption > 1)
            fail(at("adoption"), fmt::format("{:g}", layer.adoption), "0 to 1");
    }
}

void check(RequestSource const& source) {
    int const kinds = int{source.clients.has_value()} + int{source.rate.has_value()} +
                      int{source.trace.has_value()};
    if (kinds != 1) {
        fail(source.place, fmt::format("{} sources", kinds), "one of clients, rate and trace");
    }
    if (source.clients) expect_positive(source, "clients", static_cast<double>(*source.clients));
    if (source.rate) expect_positive(source, "rate", *source.rate);
    expect_positive(source, "input", static_cast<double>(source.input));
    expect_positive(source, "output", static_cast<double>(source.output));
    expect_positive(source, "least", source.least);
    if (source.least > 1) fail(source.place, fmt::format("least {:g}", source.least), "at most 1");
    expect_positive(source, "turns", static_cast<double>(source.turns));
    expect_positive(source, "samples", static_cast<double>(source.samples));
    expect_positive(source, "users", static_cast<double>(source.users));
    if (source.longest) expect_positive(source, "longest", static_cast<double>(*source.longest));
    auto const given = [&](bool is, char const* key, char const* needs) {
        expect(source, !is, key, "given", needs);
    };
    bool const even = source.lengths == Lengths::even;
    expect(source, source.input_sigma >= 0, "input_sigma", fmt::format("{:g}", source.input_sigma),
           "0 or more");
    expect(source, source.output_sigma >= 0, "output_sigma",
           fmt::format("{:g}", source.output_sigma), "0 or more");
    given(even && source.input_sigma > 0, "input_sigma", "lengths: lognormal beside it");
    given(even && source.output_sigma > 0, "output_sigma", "lengths: lognormal beside it");
    given(even && source.longest.has_value(), "longest", "lengths: lognormal beside it");
    given(!source.rate && !source.shape.empty(), "shape", "a rate beside it");
    given(source.shape.empty() && source.start.has_value(), "start", "a shape beside it");
    expect(source, source.burst >= 0, "burst", std::to_string(source.burst), "0 or more");
    given(!source.rate && source.burst > 0, "burst",
          "a rate beside it: clients begin at once anyway");
    given(!source.clients && source.think.count > 0, "think", "clients beside it");
    given(!source.clients && source.stagger.count > 0, "stagger", "clients beside it");
    given(!source.rate && source.turns > 1, "turns", "a rate beside it");
    given(!source.rate && source.samples > 1, "samples", "a rate of questions beside it");
    given(source.turns > 1 && source.samples > 1, "samples", "one turn");
    given(source.trace && !source.layers.empty(), "layers", "a rate or clients beside them");
    double whole = 0;
    for (double const share : source.shape) {
        expect(source, share >= 0, "shape", fmt::format("{:g}", share), "0 or more");
        whole += share;
    }
    expect(source, source.shape.empty() || whole > 0, "shape", "no hour with a rate",
           "one above 0");
    check_layers(source);
}

/// Lengths of one kind, drawn one after the other.
class LengthDraws {
public:
    LengthDraws(RequestSource const& source, std::int64_t tokens, double sigma, RandomStream random)
        : source_(source), tokens_(tokens), sigma_(sigma), random_(random) {}

    std::int32_t next() {
        if (source_.lengths == Lengths::even) return spread(tokens_, source_.least, random_);
        double const middle = static_cast<double>(tokens_) * std::exp(-sigma_ * sigma_ / 2);
        double const drawn = middle * std::exp(sigma_ * random_.normal(0, 1));
        double const most = static_cast<double>(source_.longest.value_or(1'000'000));
        return static_cast<std::int32_t>(std::max(1.0, std::min(std::round(drawn), most)));
    }

private:
    RequestSource const& source_;
    std::int64_t tokens_;
    double sigma_;
    RandomStream random_;
};

/// Poisson arrivals whose rate follows the shape: exponential steps of the expected count.
class Arrivals {
public:
    Arrivals(RequestSource const& source, double rate, RandomStream random)
        : shape_(source.shape), rate_(rate), random_(random) {
        if (source.start) start_ = to_seconds(*source.start);
        double sum = 0;
        for (double const share : shape_) sum += share;
        if (!shape_.empty()) mean_ = sum / static_cast<double>(shape_.size());
    }

    double next() {
        double left = random_.exponential(1 / rate_);
        if (shape_.empty()) return at_ += left;
        while (true) {
            double const clock = start_ + at_;
            auto const hour = static_cast<std::size_t>(clock / seconds_of_hour);
            double const to_end = static_cast<double>(hour + 1) * seconds_of_hour - clock;
            double const share = shape_[hour % shape_.size()] / mean_;
            if (left <= to_end * share) return at_ += left / share;
            left -= to_end * share;
            at_ = static_cast<double>(hour + 1) * seconds_of_hour - start_;
        }
    }

private:
    std::vector<double> const& shape_;
    double rate_ = 0, start_ = 0, mean_ = 1, at_ = 0;
    RandomStream random_;
};

/// One request before they are sorted by arrival.
struct Asked {
    double at = -1;
    std::int64_t conversation = 0;
    std::int64_t turn = 0;
    std::int32_t message = 0, answer = 0;
};

std::vector<Asked> ask(RequestSource const& source, std::int64_t count, std::uint64_t seed) {
    LengthDraws inputs(source, source.input, source.input_sigma,
                       RandomStream(seed, "serving input lengths"));
    LengthDraws outputs(source, source.output, source.output_sigma,
                        RandomStream(seed, "serving output lengths"));
    auto const turns = static_cast<double>(source.turns);
    Arrivals arrivals(source, source.rate.value_or(1) / turns,
                      RandomStream(seed, "serving arrivals"));
    std::vector<Asked> all;
    for (std::int64_t conversation = 0; std::ssize(all) < count; ++conversation) {
        double const begin = !source.rate ? -1 : conversation < source.burst ? 0 : arrivals.next();
        for (std::int64_t turn = 0; turn < source.turns * source.samples; ++turn) {
            if (source.samples == 1 && std::ssize(all) >= count) break;
            if (source.samples > 1) {
                auto const message = turn == 0 ? inputs.next() : all.back().message;
                all.push_back({begin, conversation, 0, message, outputs.next()});
                continue;
            }
            double const at =
                begin < 0 ? -1 : begin + static_cast<double>(turn) * to_seconds(source.gap);
            all.push_back({at, conversation, turn, inputs.next(), outputs.next()});
        }
    }
    return all;
}

/// The shared parts of one request's prompt, and their tokens.
class PartsWriter {
public:
    PartsWriter(RequestSource const& source, std::uint64_t seed, PromptParts& parts)
        : source_(source), seed_(seed), parts_(parts) {
        parts_.begin.push_back(0);
        for (auto const& layer : source.layers) parts_.names.push_back(layer.name);
        parts_.names.emplace_back("history");
        parts_.names.emplace_back("message");
    }

    /// Returns the tokens before the message.
    std::int64_t add(Asked const& asked, std::vector<std::int32_t> const& turns) {
        auto const user = static_cast<std::uint64_t>(asked.conversation) % users();
        std::uint64_t key = chained(seed_, 0);
        std::int64_t tokens = 0;
        for (std::size_t i = 0; i < source_.layers.size(); ++i) {
            PromptLayer const& layer = source_.layers[i];
            if (share_of(chained(user, i)) >= layer.adoption) continue;
            std::uint64_t who = 0;
            if (layer.scope == PrefixScope::user) who = user + 1;
            if (layer.scope == PrefixScope::group)
                who = chained(user, 77 + i) % static_cast<std::uint64_t>(layer.groups) + 1;
            key = chained(key, chained(i, who));
            put(key, static_cast<std::int32_t>(layer.tokens), i, false);
            tokens += layer.tokens;
        }
        if (source_.samples > 1) {  // all of a question have its message
            put(chained(key, static_cast<std::uint64_t>(asked.conversation) + 1), asked.message,
                source_.layers.size() + 1, false);
            parts_.begin.push_back(static_cast<std::uint32_t>(parts_.key.size()));
            return tokens;
        }
        for (std::size_t turn = 0; turn <= static_cast<std::size_t>(asked.turn); ++turn) {
            key = chained(key, chained(static_cast<std::uint64_t>(asked.conversation) + 1, turn));
            bool const own = turn == static_cast<std::size_t>(asked.turn);
            put(key, own ? asked.message + asked.answer : turns[turn],
                source_.layers.size() + (own ? 1 : 0), own);
            if (!own) tokens += turns[turn];
        }
        parts_.begin.push_back(static_cast<std::uint32_t>(parts_.key.size()));
        return tokens;
    }

private:
    [[nodiscard]] std::uint64_t users() const { return static_cast<std::uint64_t>(source_.users); }
    static double share_of(std::uint64_t bits) {
        return static_cast<double>(bits >> 11) * 0x1.0p-53;
    }
    void put(std::uint64_t key, std::int32_t tokens, std::size_t layer, bool own) {
        parts_.key.push_back(key);
        parts_.tokens.push_back(tokens);
        parts_.layer.push_back(static_cast<std::uint8_t>(layer));
        parts_.own.push_back(own ? 1 : 0);
    }

    RequestSource const& source_;
    std::uint64_t seed_;
    PromptParts& parts_;
};

void first_so_many(Requests& requests, std::size_t count) {
    requests.arrival.resize(count);
    requests.input.resize(count);
    requests.output.resize(count);
    if (!requests.parts.empty()) requests.parts.begin.resize(count + 1);
}

/// When the clients of a closed loop send: the first of each evenly over `stagger`.
void add_thinking(Requests& requests, RequestSource const& source, std::uint64_t seed) {
    if (!source.clients || (source.think.count == 0 && source.stagger.count == 0)) return;
    RandomStream rests(seed, "serving thinking");
    auto const clients = static_cast<double>(*source.clients);
    for (std::size_t i = 0; i < requests.size(); ++i) {
        auto const place = static_cast<double>(i);
        requests.think.push_back(from_seconds(
            place < clients
                ? to_seconds(source.stagger) * place / clients
                : (source.think.count > 0 ? rests.exponential(to_seconds(source.think)) : 0)));
    }
}

}  // namespace

Requests requests_of(RequestSource const& source, std::uint64_t seed) {
    check(source);
    Requests requests;
    if (source.trace) {
        requests = read_request_trace(*source.trace);
        if (source.count && *source.count < std::ssize(requests.input)) {
            expect_positive(source, "count", static_cast<double>(*source.count));
            first_so_many(requests, static_cast<std::size_t>(*source.count));
        }
        if (source.tools) requests.tools = tool_calls(*source.tools, requests.size(), seed);
        return requests;
    }
    std::int64_t const count =
        source.samples *
        source.count.value_or(source.clients ? *source.clients * requests_of_a_client : 1000);
    expect_positive(source, "count", static_cast<double>(count));
    auto asked = ask(source, count, seed);
    std::vector<std::vector<std::int32_t>>
        said;  // by conversation, message and answer of each turn
    if (source.turns > 1) {
        for (Asked const& each : asked) {
            said.resize(static_cast<std::size_t>(each.conversation) + 1);
            said.back().push_back(each.message + each.answer);
        }
    }
    std::ranges::stable_sort(asked, {}, &Asked::at);
    requests.samples = source.samples;
    bool const shared = !source.layers.empty() || source.turns > 1 || source.samples > 1;
    std::optional<PartsWriter> writer;
    if (shared) writer.emplace(source, seed, requests.parts);
    static std::vector<std::int32_t> const none;
    for (Asked const& each : asked) {
        std::int64_t before = 0;
        if (shared) {
            before = writer->add(
                each, said.empty() ? none : said[static_cast<std::size_t>(each.conversation)]);
        }
        requests.input.push_back(static_cast<std::int32_t>(each.message + before));
        requests.output.push_back(each.answer);
        requests.arrival.push_back(each.at < 0 ? Picoseconds{-1} : from_seconds(each.at));
    }
    add_thinking(requests, source, seed);
    if (source.tools) requests.tools = tool_calls(*source.tools, requests.size(), seed);
    return requests;
}

}  // namespace nvl72
