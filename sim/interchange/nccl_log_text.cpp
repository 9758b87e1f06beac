#include "sim/base/text.hpp"
#include "sim/interchange/measured_collective.hpp"
#include "sim/interchange/nccl_log_parts.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace nvl72::nccl_log {

namespace {

constexpr std::string_view blanks = " \t\r\v\f";

/// The last word of `text`, which may be empty.
std::string_view last_word(std::string_view text) {
    auto const end = text.find_last_not_of(blanks);
    if (end == std::string_view::npos) return {};
    auto const before = text.find_last_of(blanks, end);
    return text.substr(before + 1, end - before);  // npos + 1 is 0
}

/// Of "host:pid:tid" the host; empty for another word.
std::string_view host_of_process(std::string_view word) {
    for (int part = 0; part < 2; ++part) {
        auto const colon = word.rfind(':');
        if (colon == std::string_view::npos || !whole_number(word.substr(colon + 1))) return {};
        word = word.substr(0, colon);
    }
    return word;
}

/// NCCL's own message in a line: what stands before "host:pid:tid", and the word of the host, to
/// which the end of that may be glued.
struct Message {
    std::string_view before, host;
};
std::optional<Message> message_in(std::string_view line) {
    constexpr std::array<std::string_view, 4> kinds{" NCCL INFO", " NCCL WARN", " NCCL TRACE",
                                                    " NCCL CALL"};
    for (auto const kind : kinds) {
        auto const at = line.find(kind);
        if (at == std::string_view::npos) continue;
        // "host:12:34 [0] NCCL INFO", "host:12:34 [0] misc/socket.cc:55 NCCL WARN"
        std::string_view left = line.substr(0, at);
        for (int word = 0; word < 3; ++word) {
            auto const last = last_word(left);
            if (last.empty()) break;
            left = line.substr(0, static_cast<std::size_t>(last.data() - line.data()));
            auto const host = host_of_process(last);
            if (!host.empty()) return Message{left, host};
        }
    }
    return std::nullopt;
}

/// "-138dcf168f605" -> "-1": what of a row stands before the host's name.
std::string_view unglued(std::string_view word, Hosts const& hosts) {
    if (hosts.contains(word)) return {};
    std::string_view best = word;
    bool known = false;
    for (auto const& host : hosts) {
        if (!word.ends_with(host)) continue;
        auto const rest = word.substr(0, word.size() - host.size());
        if (rest.size() < best.size()) best = rest;
        known = true;
    }
    if (known) return best;
    constexpr std::array<std::string_view, 3> ends{"-1", "N/A", "0"};
    for (auto const end : ends) {
        if (word.starts_with(end)) return end;
    }
    return {};
}

/// The whole number behind `label`, such as "iters:"; -1 where there is none.
int number_behind(std::string_view text, std::string_view label) {
    auto const at = text.find(label);
    if (at == std::string_view::npos) return -1;
    auto const words = words_of(text.substr(at + label.size()));
    auto const number = words.empty() ? std::nullopt : whole_number(words.front());
    return number && *number <= 1'000'000'000 ? static_cast<int>(*number) : -1;
}

/// Reads a log line by line.
class TextReader {
public:
    explicit TextReader(NcclLog& log) : log_(log) {}

    void read(std::string_view text) {
        auto const lines = split(text, '\n');
        for (auto const& line : lines) note_host(without_launcher(line), hosts_);
        for (auto const& line : lines) {
            ++line_;
            take(line);
        }
        end_pending();
    }

private:
    void take(std::string_view line) {
        auto const unmixed = without_message(without_launcher(line), hosts_);
        auto const words = words_of(unmixed.text);
        if (words.empty()) return;
        auto const hash = unmixed.text.find('#');
        if (hash != std::string::npos && !row_begin(words, false)) {
            end_pending();
            take_header(std::string_view(unmixed.text).substr(hash));
            return;
        }
        auto const begin = row_begin(words, false);
        if (!begin && continues_pending(words)) {
            pending_.insert(pending_.end(), words.begin(), words.end());
            if (pending_.size() >= columns_.size() || !unmixed.had_message) end_pending();
            return;
        }
        auto const at = begin ? begin : row_begin(words, in_table_);
        if (!at) {
            take_fact(unmixed.text, words);
            return;
        }
        end_pending();
        pending_.assign(words.begin() + static_cast<std::ptrdiff_t>(*at), words.end());
        pending_line_ = line_;
        bool const cut = unmixed.had_message && pending_.size() < columns_.size();
        bool const whole = columns_.empty() || ends_row(pending_.size(), columns_);
        if (whole && !cut) end_pending();
    }

    /// A row that NCCL's messages or the launcher cut goes on with numbers alone.
    [[nodiscard]] bool continues_pending(std::vector<std::string_view> const& words) const {
        return !pending_.empty() && std::ranges::all_of(words, [](std::string_view word) {
            return word == "N/A" || printed_number(word).has_value();
        });
    }

    void end_pending() {
        if (pending_.empty()) return;
        std::vector<std::string_view> const words(pending_.begin(), pending_.end());
        auto columns = columns_.empty() ? columns_by_count(words) : columns_;
        auto found = columns.empty()
                         ? RowOrDamage{{},
                                       fmt::format("a row of {} columns, and no header "
                                                   "(expected 13, 9 ... as nccl-tests prints)",
                                                   words.size())}
                         : read_row(words, columns);
        if (found.damage.empty()) {
            found.row.line = pending_line_;
            found.row.op = op_;
            found.row.ranks = ranks_;
            found.row.hosts = static_cast<std::int64_t>(ranked_hosts_.size());
            log_.rows.push_back(std::move(found.row));
        } else {
            add_note(log_, pending_line_, found.damage);
        }
        pending_.clear();
    }

    void take_header(std::string_view header) {
        auto const words = words_of(header);
        auto columns = columns_of(words);
        if (!columns.empty()) {
            columns_ = std::move(columns);
            in_table_ = true;
        } else if (header.find("nThread") != std::string_view::npos) {
            begin_test(header);
        } else if (words.size() > 2 && words[1] == "Rank") {
            take_rank(header, words);
        } else if (header.find("Collective test starting:") != std::string_view::npos) {
            op_ = op_of_program(words.back());
        } else if (header.find("Collective test concluded:") != std::string_view::npos) {
            end_test(op_of_program(words.back()));
        } else if (header.find("Out of bounds") != std::string_view::npos ||
                   header.find("Avg bus bandwidth") != std::string_view::npos) {
            in_table_ = false;
        } else if (log_.nccl.empty()) {
            int const code = number_behind(header, "nccl-library=");
            if (code > 0) log_.nccl = nccl_of_code(code);
        }
    }

    void begin_test(std::string_view header) {
        in_table_ = false;
        ranks_ = 0;
        ranked_hosts_.clear();
        constexpr std::string_view warmup = "warmup iters:";
        log_.warmup = number_behind(header, warmup);
        auto const at = header.find(warmup);
        log_.iterations = number_behind(
            at == std::string_view::npos ? header : header.substr(at + warmup.size()), "iters:");
        log_.graph = number_behind(header, "graph:");
        log_.gpus_per_thread = number_behind(header, "nGpus");
    }

    /// "#  Rank  0 Group  0 Pid  65515 on host device  0 [0x07] NVIDIA A100-SXM4-40GB"
    void take_rank(std::string_view header, std::vector<std::string_view> const& words) {
        auto const rank = whole_number(words[2]);
        if (!rank || *rank >= ranks_max) return;
        ranks_ = std::max(ranks_, *rank + 1);
        log_.ranks = std::max(log_.ranks, ranks_);
        auto const on = std::ranges::find(words, "on");
        if (on != words.end() && on + 1 != words.end()) ranked_hosts_.emplace(*(on + 1));
        log_.hosts = std::max(log_.hosts, static_cast<std::int64_t>(ranked_hosts_.size()));
        auto const bracket = header.find(']');
        if (bracket != std::string_view::npos) add_device(log_, header.substr(bracket + 1));
    }

    /// Logs that were cut at the head may name their test only at its end.
    void end_test(std::string const& op) {
        for (std::size_t i = test_begin_; i < log_.rows.size(); ++i) {
            if (log_.rows[i].op.empty()) log_.rows[i].op = op;
        }
        test_begin_ = log_.rows.size();
        op_.clear();
        in_table_ = false;
    }

    void take_fact(std::string_view text, std::vector<std::string_view> const& words) {
        constexpr std::string_view version = "NCCL version ";
        auto const at = text.find(version);
        if (at != std::string_view::npos) {
            auto const behind = words_of(text.substr(at + version.size()));
            if (!behind.empty()) log_.nccl = behind.front().substr(0, behind.front().find('+'));
            return;
        }
        if (in_table_) return;
        for (auto const word : words) {
            auto const op = op_of_program(word);
            if (!op.empty()) op_ = op;
        }
    }

    NcclLog& log_;
    Hosts hosts_;         ///< whose names may be glued to a row
    Hosts ranked_hosts_;  ///< of the ranks
    std::vector<std::string> columns_;
    std::string op_;
    std::int64_t ranks_ = 0;
    bool in_table_ = false;
    std::vector<std::string> pending_;  ///< words of a row that is not whole yet
    int pending_line_ = 0, line_ = 0;
    std::size_t test_begin_ = 0;
};

}  // namespace

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    std::size_t begin = 0;
    while ((begin = line.find_first_not_of(blanks, begin)) != std::string_view::npos) {
        auto const end = std::min(line.find_first_of(blanks, begin), line.size());
        words.push_back(line.substr(begin, end - begin));
        begin = end;
    }
    return words;
}

std::string_view without_launcher(std::string_view line) {
    for (std::string_view const tag : {"<stdout>:", "<stderr>:", "<stdout>", "<stderr>"}) {
        auto const at = line.find(tag);
        if (at != std::string_view::npos) return line.substr(at + tag.size());
    }
    auto const words = words_of(line);
    if (words.size() < 2) return line;
    auto const first = words.front();
    bool const prefix = (first.ends_with(':') && first.find('#') == std::string_view::npos) ||
                        first == "|" || (first.starts_with('[') && first.ends_with(']'));
    if (!prefix) return line;
    return line.substr(static_cast<std::size_t>(first.data() - line.data()) + first.size());
}

Unmixed without_message(std::string_view line, Hosts const& hosts) {
    auto const message = message_in(line);
    if (!message) return {std::string(line), false};
    auto before = message->before;
    auto const last = last_word(before);
    auto const bracket = before.rfind('[');
    bool const stamped = last.ends_with(']') && bracket != std::string_view::npos;
    if (stamped) return {std::string(before.substr(0, bracket)), true};  // "[2025-01-01 10:00:00]"
    if (before.empty()) return {"", true};
    return {std::string(before) + std::string(unglued(message->host, hosts)), true};
}

void note_host(std::string_view line, Hosts& hosts) {
    if (auto const message = message_in(line)) {
        if (trimmed(message->before).empty() && !message->host.empty()) {
            hosts.emplace(message->host);
        }
        return;
    }
    auto const words = words_of(line);
    auto const on = std::ranges::find(words, "on");
    bool const rank = words.size() > 4 && words[0] == "#" && words[1] == "Rank";
    if (rank && on != words.end() && on + 1 != words.end()) hosts.emplace(*(on + 1));
}

void read_text(NcclLog& log, std::string_view text) { TextReader(log).read(text); }

}  // namespace nvl72::nccl_log
