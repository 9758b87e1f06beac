#include "sim/config/library.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>

namespace nvl72 {

namespace fs = std::filesystem;

Library Library::standard(std::string const& program_path, std::string const& build_folder) {
    if (char const* chosen = std::getenv("NVL72SIM_CONFIGS")) {  // NOLINT(concurrency-mt-unsafe)
        if (!fs::is_directory(chosen)) {
            throw ConfigError(fmt::format("NVL72SIM_CONFIGS: {} is no folder", chosen));
        }
        return Library(chosen);
    }
    std::error_code ignored;
    fs::path const program = fs::weakly_canonical(program_path, ignored);
    fs::path const installed = program.parent_path().parent_path() / "share/nvl72sim/configs";
    if (fs::is_directory(installed, ignored)) return Library(installed.string());
    return Library(build_folder);
}

std::vector<std::string> Library::names(std::string const& kind) const {
    std::vector<std::string> found;
    std::error_code error;
    for (auto const& entry : fs::directory_iterator(fs::path(folder_) / kind, error)) {
        auto const extension = entry.path().extension();
        if (extension == ".yaml" || extension == ".json")
            found.push_back(entry.path().stem().string());
    }
    std::ranges::sort(found);
    auto const repeated = std::ranges::unique(found);
    found.erase(repeated.begin(), repeated.end());
    return found;
}

std::string Library::path(std::string const& kind,
                          std::string const& name,
                          Place const& asked) const {
    auto const listing = kind == "calibration" ? "calibrations" : kind;  // else as the folder
    fs::path const given(name);
    std::error_code ignored;
    if (given.extension() == ".yaml" || given.extension() == ".json") {
        // A path is taken beside the file that names it, then from where the program runs.
        fs::path const beside = fs::path(asked.file).parent_path() / given;
        if (given.is_relative() && fs::exists(beside, ignored)) return beside.string();
        if (fs::exists(given, ignored)) return given.string();
        fail(asked, fmt::format("no file '{}'", name),
             "a file, or a name from nvl72sim list " + listing);
    }
    for (char const* extension : {".yaml", ".json"}) {
        fs::path const file = fs::path(folder_) / kind / (name + extension);
        if (fs::exists(file, ignored)) return file.string();
    }
    auto const near = nearest_name(name, names(kind));
    throw ConfigError(fmt::format("{}: unknown '{}' ({}see nvl72sim list {})", asked.text(), name,
                                  near.empty() ? "" : fmt::format("did you mean {}? ", near),
                                  listing));
}

}  // namespace nvl72
