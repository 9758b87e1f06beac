#pragma once

#include "sim/interchange/job_facts.hpp"

#include <set>

namespace nvl72 {

/// Reads settings as values, notes what became of them, and hands back what nobody asked for.
class SettingReader {
public:
    SettingReader(ForeignJob const& job, JobFacts& facts) : job_(job), facts_(facts) {}

    [[nodiscard]] ForeignJob const& job() const { return job_; }
    [[nodiscard]] JobFacts& facts() const { return facts_; }

    /// The setting if it says something (not None), and marks it as read.
    ForeignSetting const* told(std::string_view name);
    /// The first of several names that says something.
    ForeignSetting const* told(std::initializer_list<std::string_view> names);

    std::optional<std::int64_t> count(std::initializer_list<std::string_view> names,
                                      std::string const& ours,
                                      std::int64_t least = 1);
    /// A switch; none where it is not there and its absence tells nothing.
    std::optional<bool> flag(std::initializer_list<std::string_view> names,
                             std::string const& ours);
    std::string word(std::initializer_list<std::string_view> names, std::string const& ours);

    void take(ForeignSetting const& setting, std::string const& ours, std::string const& value);
    void open(ForeignSetting const& setting, std::string const& reason);

    /// "--tp-comm-overlap, line 12"
    [[nodiscard]] std::string where(ForeignSetting const& setting) const;
    /// The last setting that was asked for and said something.
    [[nodiscard]] ForeignSetting const* last() const { return last_; }

    [[nodiscard]] bool was_read(std::string const& name) const { return read_.contains(name); }

private:
    ForeignJob const& job_;
    JobFacts& facts_;
    ForeignSetting const* last_ = nullptr;
    std::set<std::string> read_;
};

bool is_off(ForeignSetting const& setting, JobFileKind kind);
std::int64_t whole_of(ForeignSetting const& setting, std::int64_t least);

/// Parts of job_facts.
void read_run(SettingReader& reader);
void read_model(SettingReader& reader);
void read_switches(SettingReader& reader);

}  // namespace nvl72
