#include "sim/interchange/setting_reader.hpp"

#include "sim/base/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>

namespace nvl72 {

namespace {

std::string lower(std::string_view text) {
    std::string small;
    for (char const c : trimmed(text))
        small += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return small;
}

bool nothing(ForeignSetting const& setting) {
    auto const text = lower(setting.value);
    return text == "none" || text == "null";
}

}  // namespace

bool is_off(ForeignSetting const& setting, JobFileKind kind) {
    constexpr std::array<std::string_view, 6> words{"false", "none", "null", "0", "[]", "0.0"};
    auto const text = lower(setting.value);
    // A bare switch of a command line is on; a dump prints nothing for an empty text.
    if (text.empty()) return kind != JobFileKind::megatron;
    return std::ranges::find(words, text) != words.end();
}

std::int64_t whole_of(ForeignSetting const& setting, std::int64_t least) {
    std::string const expected = fmt::format("a whole number, {} or more", least);
    auto const text = trimmed(setting.value);
    if (text.starts_with('$')) {
        auto const name = text.substr(text.find_first_not_of("${("));
        fail(setting.place, fmt::format("{}, which is set nowhere", text),
             fmt::format("{}; nvl72sim import FILE {}=N gives one", expected,
                         name.substr(0, name.find_first_of(":-}) "))));
    }
    std::int64_t value = 0;
    auto const [next, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    constexpr std::int64_t most = 1'000'000'000'000;
    bool const whole = error == std::errc{} && next == text.data() + text.size();
    if (!whole || value < least || value > most)
        fail(setting.place, text.empty() ? "nothing" : fmt::format("'{}'", text), expected);
    return value;
}

ForeignSetting const* SettingReader::told(std::string_view name) {
    auto const* setting = job_.find(name);
    if (setting == nullptr) return nullptr;
    read_.insert(setting->name);
    if (nothing(*setting)) return nullptr;
    last_ = setting;
    return setting;
}

ForeignSetting const* SettingReader::told(std::initializer_list<std::string_view> names) {
    ForeignSetting const* first = nullptr;
    for (auto const name : names) {
        auto const* setting = told(name);
        if (first == nullptr) first = setting;
    }
    last_ = first;
    return first;
}

std::optional<std::int64_t> SettingReader::count(std::initializer_list<std::string_view> names,
                                                 std::string const& ours,
                                                 std::int64_t least) {
    auto const* setting = told(names);
    if (setting == nullptr) return std::nullopt;
    auto const value = whole_of(*setting, least);
    if (!ours.empty()) take(*setting, ours, std::to_string(value));
    return value;
}

std::optional<bool> SettingReader::flag(std::initializer_list<std::string_view> names,
                                        std::string const& ours) {
    auto const* setting = told(names);
    if (setting == nullptr) return job_.absent_is_off ? std::optional(false) : std::nullopt;
    constexpr std::array<std::string_view, 3> on{"true", "1", ""};
    constexpr std::array<std::string_view, 2> off{"false", "0"};
    auto const text = lower(setting->value);
    bool const holds = std::ranges::find(on, text) != on.end();
    if (!holds && std::ranges::find(off, text) == off.end())
        fail(setting->place, fmt::format("'{}'", setting->value), "true or false");
    if (!ours.empty()) take(*setting, ours, holds ? "true" : "false");
    return holds;
}

std::string SettingReader::word(std::initializer_list<std::string_view> names,
                                std::string const& ours) {
    auto const* setting = told(names);
    if (setting == nullptr) return "";
    auto const text = lower(setting->value);
    if (!ours.empty()) take(*setting, ours, text);
    return text;
}

void SettingReader::take(ForeignSetting const& setting,
                         std::string const& ours,
                         std::string const& value) {
    facts_.taken.push_back({setting, ours, value});
}

void SettingReader::open(ForeignSetting const& setting, std::string const& reason) {
    facts_.open.push_back({setting, reason});
}

std::string SettingReader::where(ForeignSetting const& setting) const {
    if (setting.place.line == 0)
        return fmt::format("{}, {}", setting.place.key, setting.place.file);
    // A file beside the one that was named says which.
    auto const name = std::filesystem::path(setting.place.file).filename().string();
    bool const other = setting.place.file != job_.file;
    return fmt::format("{}, {}line {}", setting.place.key, other ? name + " " : "",
                       setting.place.line);
}

JobFacts job_facts(ForeignJob const& job) {
    JobFacts facts;
    SettingReader reader(job, facts);
    read_run(reader);
    read_model(reader);
    read_switches(reader);
    for (auto const& setting : job.settings) {
        if (reader.was_read(setting.name)) continue;
        auto const why = pass_reason(setting, job.kind);
        if (why.open) {
            facts.open.push_back({setting, why.reason});
        } else {
            facts.passed_over[why.reason].push_back(setting.place.key);
        }
    }
    return facts;
}

}  // namespace nvl72
