#include "sim/base/text.hpp"
#include "sim/interchange/megatron_arguments.hpp"

#include <algorithm>
#include <cctype>
#include <optional>

namespace nvl72 {

namespace {

constexpr std::string_view begin_mark = "- arguments -";
constexpr std::string_view end_mark = "- end of arguments -";

bool is_name(std::string_view word) {
    return !word.empty() && std::ranges::all_of(word, [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    });
}

struct Row {
    std::string name, value;
};

/// "  num_layers ....... 28". Megatron fills a name up to 48 characters with dots, so that the
/// longest have none: `inside` its marks, a name and a value two blanks apart are a row too.
std::optional<Row> row_of(std::string_view line, bool inside) {
    auto const text = trimmed(line);
    auto const blank = text.find(' ');
    auto const name = text.substr(0, blank);
    if (!is_name(name)) return std::nullopt;
    constexpr std::size_t name_max = 46;  // of names with two dots
    auto rest = blank == std::string_view::npos ? std::string_view() : text.substr(blank + 1);
    std::size_t dots = 0;
    while (dots < rest.size() && rest[dots] == '.') ++dots;
    bool const dotted = dots >= (inside ? 1 : 3) && (dots == rest.size() || rest[dots] == ' ');
    if (!dotted && !(inside && name.size() > name_max)) return std::nullopt;
    return Row{std::string(name), std::string(trimmed(rest.substr(dotted ? dots : 0)))};
}

/// " > padded vocab (size: 50257) with 431 dummy tokens (new size: 50688)"
std::string padded_vocabulary(std::string_view line) {
    constexpr std::string_view label = "(new size: ";
    auto const at = line.find(label);
    if (at == std::string_view::npos || line.find("padded vocab") == std::string_view::npos)
        return "";
    auto const rest = line.substr(at + label.size());
    return std::string(rest.substr(0, rest.find(')')));
}

}  // namespace

bool has_megatron_dump(std::string_view text) {
    int rows = 0;
    for (auto const& line : split(text, '\n')) {
        if (row_of(plain_line(line), false)) ++rows;
    }
    constexpr int rows_least = 4;
    return rows >= rows_least;
}

ForeignJob read_megatron_dump(std::string_view text, std::string const& file) {
    ForeignJob job;
    job.file = file;
    job.kind = JobFileKind::megatron_dump;
    job.absent_is_off = true;
    bool const marked = text.find(end_mark) != std::string_view::npos &&
                        text.find(begin_mark) != std::string_view::npos;
    bool inside = false;
    bool over = false;
    int number = 0;
    for (auto const& written : split(text, '\n')) {
        ++number;
        auto const line = plain_line(written);
        if (line.find(end_mark) != std::string::npos) {
            over = true;  // a second run in the same log is another job
        } else if (line.find(begin_mark) != std::string::npos) {
            inside = true;
        } else if (auto const vocabulary = padded_vocabulary(line); !vocabulary.empty()) {
            job.set({"padded_vocab_size", vocabulary, {file, number, "padded vocab"}});
        } else if (!over && (inside || !marked)) {
            auto const row = row_of(line, inside);
            if (row && job.find(row->name) == nullptr)
                job.set({row->name, row->value, {file, number, row->name}});
        }
    }
    job.steps_s = logged_steps(text);
    drop_warm_up(job.steps_s);
    return job;
}

}  // namespace nvl72
