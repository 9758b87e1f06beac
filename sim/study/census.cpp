#include "sim/study/census.hpp"

#include "sim/base/text.hpp"
#include "sim/config/value.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

namespace nvl72 {

namespace {

namespace fs = std::filesystem;

/// Counts numbers under `value`; a list counts each of its items.
void count(FittedCount& counts, std::string const& section, Value const& value) {
    for (auto const& entry : value.entries) count(counts, section, entry.value);
    for (auto const& item : value.items) count(counts, section, item);
    bool const number = !value.scalar.empty() && value.scalar.find_first_of("0123456789") == 0;
    if (!value.is_scalar() || !number || !value.source.starts_with("fitted")) return;
    ++counts.sections[section];
    ++(value.source.find("so not determined") == std::string::npos ? counts.determined
                                                                   : counts.at_bound);
}

FittedCount count_of(std::string const& path, std::string name) {
    FittedCount counts;
    counts.file = std::move(name);
    for (auto const& entry : load_yaml(path).entries) {
        bool const by_gpu = entry.name == "gpus" && entry.value.is_map();
        if (!by_gpu) count(counts, entry.name, entry.value);
        for (auto const& gpu : entry.value.entries) {
            if (by_gpu) count(counts, gpu.name, gpu.value);
        }
    }
    return counts;
}

}  // namespace

std::vector<FittedCount> fitted_census(Library const& library,
                                       std::vector<std::string> const& files) {
    std::vector<fs::path> paths;
    for (auto const& entry : fs::recursive_directory_iterator(library.folder())) {
        if (entry.path().extension() == ".yaml") paths.push_back(entry.path());
    }
    std::ranges::sort(paths);
    std::vector<FittedCount> census;
    for (auto const& path : paths) {
        census.push_back(
            count_of(path.string(), path.lexically_relative(library.folder()).string()));
    }
    for (auto const& file : files) {
        if (fs::is_regular_file(file)) census.push_back(count_of(file, file));
    }
    std::erase_if(census, [](auto const& counts) { return counts.sections.empty(); });
    return census;
}

Table census_table(std::vector<FittedCount> const& census) {
    Table table({{"file", "fitted numbers in"},
                 {"fitted", "fitted"},
                 {"not_determined", "not determined"},
                 {"sections", "by section"}});
    auto const whole = [](std::size_t number) { return static_cast<std::int64_t>(number); };
    std::size_t determined = 0, at_bound = 0;
    for (auto const& counts : census) {
        std::vector<std::string> sections;
        for (auto const& [name, number] : counts.sections) {
            sections.push_back(fmt::format("{} {}", name, number));
        }
        table.add({counts.file, whole(counts.determined + counts.at_bound), whole(counts.at_bound),
                   join(sections)});
        determined += counts.determined;
        at_bound += counts.at_bound;
    }
    table.add({"all", whole(determined + at_bound), whole(at_bound), ""});
    return table;
}

}  // namespace nvl72
