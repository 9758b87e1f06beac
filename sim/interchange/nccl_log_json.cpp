#include "sim/interchange/measured_collective.hpp"
#include "sim/interchange/nccl_log_parts.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <set>

namespace nvl72::nccl_log {

namespace {

using Json = nlohmann::json;

constexpr std::int64_t bytes_max = std::int64_t{1} << 62;

/// An iterator over the text that counts the lines it has passed, for the parser tells no lines.
class CountingIterator {
public:
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = char const*;
    using reference = char const&;

    CountingIterator(char const* at, int* line) : at_(at), line_(line) {}
    reference operator*() const { return *at_; }
    CountingIterator& operator++() {
        if (*at_ == '\n') ++*line_;
        ++at_;
        return *this;
    }
    CountingIterator operator++(int) {
        auto const before = *this;
        ++*this;
        return before;
    }
    friend bool operator==(CountingIterator const& a, CountingIterator const& b) {
        return a.at_ == b.at_;
    }

private:
    char const* at_;
    int* line_;
};

std::string text_at(Json const& map, char const* key) {
    auto const found = map.find(key);
    return found != map.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::int64_t whole_at(Json const& map,
                      char const* key,
                      std::int64_t otherwise,
                      std::int64_t most = 1 << 24) {
    auto const found = map.find(key);
    if (found == map.end() || !found->is_number_integer()) return otherwise;
    auto const value = found->get<std::int64_t>();
    return value >= 0 && value <= most ? value : otherwise;
}

/// nccl-tests writes "%lf", six digits behind the point; and "nan" as text.
std::optional<Printed> number_at(Json const& map, char const* key) {
    constexpr double half_unit = 0.5e-6;
    auto const found = map.find(key);
    if (found == map.end() || !found->is_number()) return std::nullopt;
    return Printed{found->get<double>(), half_unit};
}

/// Puts one of the two times of a result into the row; says what is wrong with it.
std::string take_time_of(NcclRow& row, Json const& result, bool in_place) {
    char const* key = in_place ? "in_place" : "out_of_place";
    auto const found = result.find(key);
    if (found == result.end() || found->is_null()) return "";
    if (!found->is_object()) return fmt::format("{} is no map (expected time, alg_bw ...)", key);
    auto const time =
        found->contains("cpu_time") ? number_at(*found, "cpu_time") : number_at(*found, "time");
    if (!time || !(time->value > 0)) {
        return fmt::format("{} without a time (expected a number above 0)", key);
    }
    auto const algbw = number_at(*found, "alg_bw"), busbw = number_at(*found, "bus_bw");
    if (!algbw || !busbw)
        return fmt::format("{} without bandwidths (expected alg_bw, bus_bw)", key);
    NcclTime taken{*time, *algbw, *busbw, std::nullopt};
    if (auto const wrong = number_at(*found, "nwrong")) taken.wrong = wrong->value;
    take_time(row, taken, in_place);
    return "";
}

/// Gathers what the document holds, value by value, so that a file cut short still gives the
/// results that it closed.
class JsonReader {
public:
    explicit JsonReader(NcclLog& log) : log_(log) {}

    void read(std::string const& text) {
        int line = 1;
        auto const gather = [&](int depth, Json::parse_event_t event, Json& parsed) {
            take(depth, event, parsed, line);
            return true;
        };
        char const* begin = text.data();
        try {
            [[maybe_unused]] auto const document =
                Json::parse(CountingIterator(begin, &line),
                            CountingIterator(begin + text.size(), &line), gather);
        } catch (Json::exception const&) {
            add_note(log_, line, "JSON that breaks off here (expected all of -J's file)");
        }
        finish();
    }

private:
    void take(int depth, Json::parse_event_t event, Json const& parsed, int line) {
        using Event = Json::parse_event_t;
        if (event == Event::key && depth == 1) key_ = parsed.get<std::string>();
        bool const begins =
            event == Event::value || event == Event::object_start || event == Event::array_start;
        if (begins && depth == 2) line_ = line;
        bool const ends =
            event == Event::value || event == Event::object_end || event == Event::array_end;
        if (!ends) return;
        if (depth == 2 && key_ == "results") take_result(parsed);
        if (depth == 1) take_member(parsed);
    }

    void take_member(Json const& value) {
        if (key_ == "args" && value.is_array() && !value.empty() && value.front().is_string()) {
            op_ = op_of_program(value.front().get<std::string>());
        } else if (key_ == "nccl_version" && value.is_number_integer()) {
            log_.nccl = nccl_of_code(value.get<std::int64_t>());
        } else if (key_ == "config" && value.is_object()) {
            config_ = value;
            if (value.contains("devices")) devices_ = value.at("devices");
        } else if (key_ == "devices") {
            devices_ = value;
        }
    }

    void take_result(Json const& result) {
        auto const damaged = [&](std::string const& what) { add_note(log_, line_, what); };
        if (!result.is_object()) return damaged("a result that is no map");
        NcclRow row;
        row.line = line_;
        row.bytes = whole_at(result, "size", -1, bytes_max);
        row.count = whole_at(result, "count", 0, bytes_max);
        row.type = text_at(result, "type");
        row.redop = text_at(result, "redop");
        if (row.bytes < 0) return damaged("a result without its size (expected bytes)");
        if (element_type(row.type) == nullptr) {
            return damaged(fmt::format("type '{}' (expected float, half ...)", row.type));
        }
        for (bool const in_place : {false, true}) {
            auto const damage = take_time_of(row, result, in_place);
            if (!damage.empty()) return damaged(damage);
        }
        log_.rows.push_back(std::move(row));
    }

    /// nccl-tests lists one device of each process.
    void finish() {
        log_.warmup = static_cast<int>(whole_at(config_, "warmup_iters", -1));
        log_.iterations = static_cast<int>(whole_at(config_, "iterations", -1));
        log_.graph = static_cast<int>(whole_at(config_, "graph", -1));
        log_.gpus_per_thread = static_cast<int>(whole_at(config_, "ngpus", -1));
        std::set<std::string> hosts;
        std::int64_t ranks = 0;
        if (devices_.is_array()) {
            for (auto const& device : devices_) {
                if (!device.is_object()) continue;
                ranks = std::max(ranks, whole_at(device, "rank", 0) + 1);
                add_device(log_, text_at(device, "device_info"));
                auto const host = text_at(device, "hostname");
                if (!host.empty()) hosts.insert(host);
            }
            auto const own = whole_at(config_, "nthreads", 1) * whole_at(config_, "ngpus", 1);
            ranks = std::max(ranks, own * static_cast<std::int64_t>(devices_.size()));
        }
        log_.ranks = ranks;
        log_.hosts = static_cast<std::int64_t>(hosts.size());
        for (auto& row : log_.rows) {
            row.op = op_;
            row.ranks = ranks;
            row.hosts = log_.hosts;
        }
    }

    NcclLog& log_;
    std::string key_, op_;  ///< the member being read; the test program
    int line_ = 0;          ///< where the last result began
    Json config_ = Json::object();
    Json devices_;
};

}  // namespace

void read_json(NcclLog& log, std::string const& text) { JsonReader(log).read(text); }

}  // namespace nvl72::nccl_log
