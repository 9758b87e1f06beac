#include "sim/interchange/foreign_job.hpp"

#include "sim/base/text.hpp"
#include "sim/interchange/measured_collective.hpp"
#include "sim/interchange/nccl_log_parts.hpp"

#include <algorithm>
#include <cctype>
#include <set>

namespace nvl72 {

namespace {

constexpr std::string_view blanks = " \t";

/// `line` without "\x1b[0;32m" and its like.
std::string without_colours(std::string_view line) {
    std::string plain;
    for (std::size_t at = 0; at < line.size(); ++at) {
        bool const code = line[at] == '\x1b' && at + 1 < line.size() && line[at + 1] == '[';
        if (code) {
            at += 2;
            while (at < line.size() && std::isalpha(static_cast<unsigned char>(line[at])) == 0)
                ++at;
        } else if (line[at] != '\r') {
            plain += line[at];
        }
    }
    return plain;
}

/// True for "2025-01-31T10:00:00.123Z", "10:00:00,123", "2025/01/31".
bool is_time(std::string_view word) {
    int digits = 0;
    for (char const c : word) {
        if (std::isdigit(static_cast<unsigned char>(c)) != 0) {
            ++digits;
        } else if (std::string_view("-:.,/TZ+").find(c) == std::string_view::npos) {
            return false;
        }
    }
    return digits >= 6 && word.find_first_of(":-/") != std::string_view::npos;
}

/// `line` behind its first word where that is a time or a logger's word in brackets.
std::string_view without_stamp(std::string_view line) {
    auto const from = line.find_first_not_of(blanks);
    if (from == std::string_view::npos) return line;
    auto const text = line.substr(from);
    if (text.front() == '[') {
        auto const end = text.find(']');
        if (end == std::string_view::npos) return line;
        auto rest = text.substr(end + 1);
        if (rest.starts_with(':')) rest.remove_prefix(1);
        bool const more = rest.find_first_not_of(blanks) != std::string_view::npos;
        return more ? rest : line;
    }
    auto const end = text.find_first_of(blanks);
    if (end == std::string_view::npos || !is_time(text.substr(0, end))) return line;
    return text.substr(end);
}

}  // namespace

ForeignSetting const* ForeignJob::find(std::string_view name) const {
    auto const found = std::ranges::find(settings, name, &ForeignSetting::name);
    return found == settings.end() ? nullptr : &*found;
}

void ForeignJob::set(ForeignSetting setting) {
    // A message, and a comment, is one line whatever a file holds.
    for (auto* text : {&setting.value, &setting.place.key}) {
        for (char& c : *text) c = static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
    auto const old = std::ranges::find(settings, setting.name, &ForeignSetting::name);
    if (old == settings.end()) {
        settings.push_back(std::move(setting));
    } else {
        *old = std::move(setting);
    }
}

std::string plain_line(std::string_view line) {
    std::string const coloured = without_colours(line);
    std::string_view plain = coloured;
    constexpr int prefixes_max = 4;
    for (int i = 0; i < prefixes_max; ++i) {
        auto const stamped =
            plain.find("<std") == std::string_view::npos ? without_stamp(plain) : plain;
        // A key of YAML ends in a colon as a launcher's prefix does, but does not begin with a
        // digit.
        auto const first = stamped.find_first_not_of(blanks);
        bool const digit = first != std::string_view::npos &&
                           std::isdigit(static_cast<unsigned char>(stamped[first])) != 0;
        bool const tagged = stamped.find("<std") != std::string_view::npos;
        auto rest = digit || tagged ? nccl_log::without_launcher(stamped) : stamped;
        if (rest.size() == plain.size()) break;
        // One blank belongs to the prefix, but for mpirun's; the others are the line's own.
        if (!tagged && rest.starts_with(' ')) rest.remove_prefix(1);
        plain = rest;
    }
    return std::string(plain);
}

std::string megatron_name(std::string_view word) {
    while (word.starts_with('-')) word.remove_prefix(1);
    std::string name;
    for (char const c : word) {
        name += c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return name;
}

NamedGpu named_gpu(std::string_view text) {
    std::set<std::string> names;
    NamedGpu first;
    int line = 0;
    for (auto const& row : split(text, '\n')) {
        ++line;
        std::string words;
        for (char const c : row) {
            words += std::isalnum(static_cast<unsigned char>(c)) != 0
                         ? static_cast<char>(std::tolower(static_cast<unsigned char>(c)))
                         : ' ';
        }
        std::string spread;
        for (auto const& word : split(words, ' ')) {
            bool const boxed = word.starts_with("dgx") || word.starts_with("hgx");
            spread += (boxed ? word.substr(3) : word) + ' ';
        }
        // With one word more, what is no GPU comes back as several words.
        auto const gpu = gpu_name(spread + "row");
        if (gpu.find(' ') != std::string::npos || gpu == "row") continue;
        if (names.empty()) first = {gpu, line};
        names.insert(gpu);
    }
    return names.size() == 1 ? first : NamedGpu{};
}

std::vector<double> logged_steps(std::string_view text) {
    constexpr std::string_view label = "elapsed time per iteration (ms):";
    std::vector<double> steps;
    for (auto at = text.find(label); at != std::string_view::npos; at = text.find(label, at + 1)) {
        auto const words = nccl_log::words_of(text.substr(at + label.size(), 32));
        auto const number = words.empty() ? std::nullopt : nccl_log::printed_number(words.front());
        if (number && number->value > 0) steps.push_back(number->value / 1e3);
    }
    return steps;
}

void drop_warm_up(std::vector<double>& steps) {
    if (steps.size() > 1) steps.erase(steps.begin());
}

}  // namespace nvl72
