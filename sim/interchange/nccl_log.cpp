#include "sim/interchange/nccl_log.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/config/value.hpp"
#include "sim/interchange/nccl_log_parts.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sstream>

namespace nvl72 {

namespace nccl_log {

void add_note(NcclLog& log, int line, std::string const& note) {
    log.notes.push_back(fmt::format("{}:{}: {}", log.file, line, note));
}

std::string op_of_program(std::string_view word) {
    constexpr std::string_view ending = "_perf";
    word = word.substr(word.rfind('/') + 1);  // npos + 1 is 0
    if (!word.ends_with(ending)) return "";
    word.remove_suffix(ending.size());
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz_2";  // alltoallv2
    return word.find_first_not_of(letters) == std::string_view::npos ? std::string(word) : "";
}

std::string nccl_of_code(std::int64_t code) {
    if (code < 10000) return fmt::format("{}.{}.{}", code / 1000, code / 100 % 10, code % 100);
    return fmt::format("{}.{}.{}", code / 10000, code / 100 % 100, code % 100);
}

void add_device(NcclLog& log, std::string_view name) {
    name = trimmed(name);
    if (name.empty() || std::ranges::find(log.devices, name) != log.devices.end()) return;
    log.devices.emplace_back(name);
}

void take_time(NcclRow& row, NcclTime const& time, bool in_place) {
    if (time.wrong.value_or(0) == 0) {
        (in_place ? row.in_place : row.out_of_place) = time;
        return;
    }
    if (!row.dropped.empty()) row.dropped += "; ";
    row.dropped +=
        fmt::format("{} wrong values {}", *time.wrong, in_place ? "in place" : "out of place");
}

namespace {

/// Within 2 %, beyond what the digits of the bandwidth and of the time leave open.
bool agrees(Printed const& printed, double expected, Printed const& time) {
    double const rounding = printed.half_unit + expected * time.half_unit / time.value;
    return std::abs(printed.value - expected) <= 0.02 * expected + rounding;
}

std::string inconsistency_of(NcclRow const& row, NcclTime const& time) {
    double const algbw = static_cast<double>(row.bytes) / time.time_us.value * 1e-3;
    bool const folded = row.op == "hypercube";  // its algbw holds a factor of the ranks
    if (!folded && !agrees(time.algbw, algbw, time.time_us)) {
        return fmt::format("algbw {} (expected {:.2f}: {} bytes in {} us)", time.algbw.value, algbw,
                           row.bytes, time.time_us.value);
    }
    auto const factor = bus_factor(row.op, row.ranks);
    if (factor && !agrees(time.busbw, algbw * *factor, time.time_us)) {
        return fmt::format("busbw {} (expected {:.2f}: {} of {} bytes over {} ranks in {} us)",
                           time.busbw.value, algbw * *factor, row.op, row.bytes, row.ranks,
                           time.time_us.value);
    }
    return "";
}

/// What is known from elsewhere goes before the log's own word, which may be cut.
void apply_hints(NcclLog& log, LogHints const& hints) {
    bool told = false;
    for (auto& row : log.rows) {
        if (!hints.op.empty()) {
            if (!row.op.empty() && row.op != hints.op && !told) {
                add_note(log, row.line, fmt::format("rows of {} (expected {})", row.op, hints.op));
                told = true;
            }
            row.op = hints.op;
        }
        if (hints.ranks > 0) {
            if (row.ranks > hints.ranks && !told) {
                add_note(log, row.line,
                         fmt::format("rows of {} ranks (expected {})", row.ranks, hints.ranks));
                told = true;
            }
            row.ranks = hints.ranks;
        }
    }
}

bool is_good(NcclRow const& row) { return row.bytes > 0 && (row.out_of_place || row.in_place); }

void expect_a_row(NcclLog const& log, std::string_view text) {
    if (std::ranges::any_of(log.rows, is_good)) return;
    if (!log.notes.empty()) throw ConfigError(log.notes.front() + "; no row is whole");
    if (!log.rows.empty()) {
        auto const& row = log.rows.front();
        fail({log.file, row.line, ""}, row.dropped.empty() ? "rows of 0 bytes" : row.dropped,
             "one row with right results");
    }
    auto const lines = std::max<std::ptrdiff_t>(1, std::ranges::count(text, '\n'));
    fail({log.file, static_cast<int>(lines), ""}, "the end, without a row of measurements",
         "nccl-tests' table: size count type redop root time algbw busbw #wrong ...");
}

bool is_json(std::string_view text) {
    auto const begin = text.find_first_not_of("\xEF\xBB\xBF \t\r\n");
    return begin != std::string_view::npos && text[begin] == '{';
}

std::string text_of(std::string const& path) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) throw ConfigError(path + ": no such file");
    if (!std::filesystem::is_regular_file(path, ignored)) {
        throw ConfigError(path + ": not a file (expected nccl-tests' output)");
    }
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in) throw ConfigError(path + ": cannot be read");
    return text.str();
}

}  // namespace

std::string inconsistency(NcclRow const& row) {
    if (row.bytes == 0) return "";
    for (auto const& time : {row.out_of_place, row.in_place}) {
        if (!time) continue;
        auto const found = inconsistency_of(row, *time);
        if (!found.empty()) return found;
    }
    return "";
}

}  // namespace nccl_log

std::optional<double> bus_factor(std::string_view op, std::int64_t ranks) {
    constexpr std::array<std::string_view, 5> partly{"all_gather", "reduce_scatter", "alltoall",
                                                     "gather", "scatter"};
    constexpr std::array<std::string_view, 3> wholly{"broadcast", "reduce", "sendrecv"};
    if (std::ranges::find(wholly, op) != wholly.end()) return 1;
    if (ranks < 2) return std::nullopt;
    auto const n = static_cast<double>(ranks);
    if (op == "all_reduce") return 2 * (n - 1) / n;
    if (std::ranges::find(partly, op) != partly.end()) return (n - 1) / n;
    return std::nullopt;
}

NcclLog parse_nccl_log(std::string const& text, std::string const& file, LogHints const& hints) {
    NcclLog log;
    log.file = file;
    if (nccl_log::is_json(text)) {
        nccl_log::read_json(log, text);
    } else {
        nccl_log::read_text(log, text);
    }
    nccl_log::apply_hints(log, hints);
    nccl_log::expect_a_row(log, text);
    for (auto const& row : log.rows) {
        auto const found = nccl_log::inconsistency(row);
        if (!found.empty()) nccl_log::add_note(log, row.line, found);
    }
    log.op = log.rows.front().op;
    return log;
}

NcclLog read_nccl_log(std::string const& path, LogHints const& hints) {
    return parse_nccl_log(nccl_log::text_of(path), path, hints);
}

bool is_nccl_log_text(std::string const& text) {
    if (nccl_log::is_json(text)) {
        return text.find("\"results\"") != std::string::npos &&
               text.find("\"nccl_version\"") != std::string::npos;
    }
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        auto const words = nccl_log::words_of(nccl_log::without_launcher(line));
        if (words.size() < 6) continue;
        if (!nccl_log::columns_of(words).empty()) return true;
        if (words[0] == "#" && words[1] == "nThread") return true;
        auto const begin = nccl_log::row_begin(words, false);
        if (!begin) continue;
        std::vector<std::string_view> const row(words.begin() + static_cast<std::ptrdiff_t>(*begin),
                                                words.end());
        auto const columns = nccl_log::columns_by_count(row);
        if (!columns.empty() && nccl_log::read_row(row, columns).damage.empty()) return true;
    }
    return false;
}

bool is_nccl_log(std::string const& path) { return is_nccl_log_text(nccl_log::text_of(path)); }

}  // namespace nvl72
