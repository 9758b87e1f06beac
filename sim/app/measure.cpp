#include "sim/app/measure.hpp"

#include "sim/app/child.hpp"
#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <unistd.h>
#include <vector>

namespace nvl72 {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view program_name = "nvl72-measure";

bool is_program(fs::path const& path) {
    std::error_code ignored;
    return fs::is_regular_file(path, ignored) && access(path.c_str(), X_OK) == 0;
}

fs::path find_program() {
    if (char const* given = std::getenv("NVL72_MEASURE"); given != nullptr && *given != '\0') {
        if (is_program(given)) return given;
        throw ConfigError(
            fmt::format("NVL72_MEASURE: '{}' is no program (expected {})", given, program_name));
    }
    std::error_code ignored;
    auto beside = fs::canonical("/proc/self/exe", ignored).parent_path() / program_name;
    if (is_program(beside)) return beside;
    char const* path = std::getenv("PATH");
    for (auto const& folder : split(path == nullptr ? "" : path, ':')) {
        auto const found = fs::path(folder) / program_name;
        if (!folder.empty() && is_program(found)) return found;
    }
    throw ConfigError(
        fmt::format("--device: no {0} beside this program or in PATH (expected cmake --build "
                    "--preset release --target {0}, or NVL72_MEASURE=PATH)",
                    program_name));
}

}  // namespace

int measure_machine(std::string const& device,
                    std::string const& arguments,
                    std::string const& samples) {
    std::vector<std::string> words{find_program().string(), "--device", device};
    for (auto const& word : split(arguments, ' ')) {
        if (!word.empty()) words.push_back(word);
    }
    words.insert(words.end(), {"-o", samples});
    auto const name = words.front();
    int const code = run_program(words, ChildOutput::none);  // its table; stderr says how far it is
    if (code == 127) {
        throw ConfigError(fmt::format("{}: does not start (expected {})", name, program_name));
    }
    return code;
}

}  // namespace nvl72
