#include "sim/study/census.hpp"

#include "sim/base/text.hpp"
#include "sim/config/value.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <set>

namespace nvl72 {

namespace {

namespace fs = std::filesystem;

/// Numbers of one fit stand in the profiles of all its GPUs: the same path, value and source.
using Known = std::set<std::string>;

/// Counts numbers under `value`; a list counts each of its items.
void count(FittedCount& counts,
           std::string const& section,
           std::string const& path,
           Value const& value,
           Known& known) {
    for (auto const& entry : value.entries) {
        count(counts, section, path + "." + entry.name, entry.value, known);
    }
    for (std::size_t i = 0; i < value.items.size(); ++i) {
        count(counts, section, fmt::format("{}[{}]", path, i), value.items[i], known);
    }
    bool const number = !value.scalar.empty() && value.scalar.find_first_of("0123456789") == 0;
    if (!value.is_scalar() || !number || !value.source.starts_with("fitted")) return;
    if (!known.insert(path + "\n" + value.scalar + "\n" + value.source).second) {
        ++counts.shared;
        return;
    }
    ++counts.sections[section];
    ++(value.source.find("so not determined") == std::string::npos ? counts.determined
                                                                   : counts.at_bound);
}

FittedCount count_of(std::string const& path, std::string name, Known& known) {
    FittedCount counts;
    counts.file = std::move(name);
    for (auto const& entry : load_yaml(path).entries) {
        bool const by_gpu = entry.name == "gpus" && entry.value.is_map();
        if (!by_gpu) count(counts, entry.name, entry.name, entry.value, known);
        for (auto const& gpu : entry.value.entries) {
            if (by_gpu) count(counts, gpu.name, gpu.name, gpu.value, known);
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
    Known known;
    for (auto const& path : paths) {
        census.push_back(
            count_of(path.string(), path.lexically_relative(library.folder()).string(), known));
    }
    for (auto const& file : files) {
        Known own;
        if (fs::is_regular_file(file)) census.push_back(count_of(file, file, own));
    }
    std::erase_if(census,
                  [](auto const& counts) { return counts.sections.empty() && counts.shared == 0; });
    return census;
}

Table census_table(std::vector<FittedCount> const& census) {
    Table table({{"file", "fitted numbers in"},
                 {"fitted", "fitted"},
                 {"not_determined", "not determined"},
                 {"sections", "by section"},
                 {"shared", "counted above"}});
    auto const whole = [](std::size_t number) { return static_cast<std::int64_t>(number); };
    std::size_t determined = 0, at_bound = 0, shared = 0;
    for (auto const& counts : census) {
        std::vector<std::string> sections;
        for (auto const& [name, number] : counts.sections) {
            sections.push_back(fmt::format("{} {}", name, number));
        }
        table.add({counts.file, whole(counts.determined + counts.at_bound), whole(counts.at_bound),
                   join(sections), whole(counts.shared)});
        determined += counts.determined;
        at_bound += counts.at_bound;
        shared += counts.shared;
    }
    table.add({"all", whole(determined + at_bound), whole(at_bound), "", whole(shared)});
    return table;
}

}  // namespace nvl72
