#include "sim/study/measured_files.hpp"

#include "sim/base/error.hpp"
#include "sim/interchange/collective_table.hpp"
#include "sim/interchange/kernel_table.hpp"
#include "sim/interchange/log_folder.hpp"
#include "sim/interchange/moe_table.hpp"
#include "sim/interchange/power_table.hpp"
#include "sim/interchange/samples.hpp"
#include "sim/interchange/serving_table.hpp"
#include "sim/interchange/training_table.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <optional>
#include <set>
#include <string_view>

namespace nvl72 {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view expected_content =
    "a table of kernels or collectives (CSV), an nccl-tests log, samples of nvl72-measure, an "
    "experiment (YAML), or a folder of these";

bool is_yaml(fs::path const& file) { return file.extension() == ".yaml"; }

/// Other files of a folder, a README say, may quote logs.
bool may_be_log(fs::path const& file) {
    static std::set<fs::path> const endings{".log", ".txt", ".out", ".json"};
    return fs::is_regular_file(file) && endings.contains(file.extension());
}

/// Holds experiments; a folder's other YAML files are no input of their own.
bool holds_runs(fs::path const& file) {
    Value const root = load_yaml(file.string());
    return root.find("systems") != nullptr || root.find("experiments") != nullptr;
}

std::optional<MeasuredFileKind> kind_of_table(CsvTable const& table) {
    if (is_collective_table(table)) return MeasuredFileKind::collectives;
    if (is_moe_table(table)) return MeasuredFileKind::moe;
    if (is_serving_table(table)) return MeasuredFileKind::serving;  // has a training run's columns
    if (is_training_table(table)) return MeasuredFileKind::training;
    if (is_power_table(table)) return MeasuredFileKind::power;
    if (is_kernel_table(table)) return MeasuredFileKind::kernels;
    return std::nullopt;
}

/// Fails for what cannot be a table or a log, whatever its name, with what to do about it.
void expect_text(std::string const& path) {
    struct Kind {
        std::string_view begin, found, remedy;
    };
    static constexpr std::array<Kind, 6> kinds{
        {{"\x1F\x8B", "compressed by gzip", "the file unpacked: gunzip -k FILE"},
         {"\x28\xB5\x2F\xFD", "compressed by zstd", "the file unpacked: unzstd FILE"},
         {"\xFD"
          "7zXZ",
          "compressed by xz", "the file unpacked: unxz -k FILE"},
         {"PK\x03\x04", "a zip file", "the files in it, unpacked"},
         {"\xFF\xFE", "text in UTF-16", "UTF-8: iconv -f UTF-16 -t UTF-8 FILE"},
         {"\xFE\xFF", "text in UTF-16", "UTF-8: iconv -f UTF-16 -t UTF-8 FILE"}}};
    std::ifstream in(path, std::ios::binary);
    std::string head(4096, '\0');
    in.read(head.data(), static_cast<std::streamsize>(head.size()));
    head.resize(static_cast<std::size_t>(in.gcount()));
    if (head.empty()) fail({path, 0, ""}, "empty", std::string(expected_content));
    for (auto const& kind : kinds) {
        if (head.starts_with(kind.begin)) {
            fail({path, 0, ""}, std::string(kind.found), std::string(kind.remedy));
        }
    }
    if (head.find('\0') != std::string::npos) {
        fail({path, 0, ""}, "a binary file", std::string(expected_content));
    }
}

/// What a table lacks that seems to be meant as one of ours.
std::string expected_of(CsvTable const& table) {
    if (table.has("collective") || table.has("algbw") || table.has("busbw")) {
        return "of collectives the columns gpu, collective, gpus, type, bytes, time_us";
    }
    if (table.has("file") && table.has("gpu")) {
        return "of an INDEX.csv the columns file, gpu, ngpus, nvlink_domain";
    }
    if (table.header().size() == 1 && table.header()[0].find_first_of(";\t") != std::string::npos) {
        return "columns parted by commas";
    }
    return std::string(expected_content);
}

MeasuredFile given_file(std::string const& path) {
    std::error_code ignored;
    if (path.empty()) throw ConfigError("an empty path (expected a file or folder)");
    if (!fs::exists(path, ignored)) throw ConfigError(path + ": no such file");
    if (is_samples_file(path)) return {path, MeasuredFileKind::samples};
    if (is_yaml(path)) return {path, MeasuredFileKind::experiments};
    if (fs::is_regular_file(path, ignored)) expect_text(path);
    if (is_nccl_log(path)) return {path, MeasuredFileKind::log};
    auto const table = CsvTable::load(path);
    if (auto const kind = kind_of_table(table)) return {path, *kind};
    if (is_log_index(table)) {
        return {fs::path(path).parent_path().string(), MeasuredFileKind::log_folder};
    }
    fail({path, 1, ""}, "no measurements that we read", expected_of(table));
}

class FolderWalk {
public:
    explicit FolderWalk(std::vector<std::string>& notes) : notes_(notes) {}

    void enter(fs::path const& folder) {
        auto const index = folder / "INDEX.csv";
        std::error_code denied;
        fs::directory_iterator const entries(folder, denied);
        if (denied) {
            throw ConfigError(fmt::format("{}: {} (expected a folder that can be read)",
                                          folder.string(), denied.message()));
        }
        if (fs::exists(index) && is_log_index(CsvTable::load(index.string()))) {
            found_.push_back({folder.string(), MeasuredFileKind::log_folder});
            return;
        }
        std::vector<fs::path> inside;
        for (auto const& entry : entries) inside.push_back(entry.path());
        std::ranges::sort(inside);
        for (auto const& path : inside) {
            if (fs::is_directory(path)) {
                enter(path);
            } else if (path.extension() == ".csv") {
                add_table(path.string());
            } else if (is_samples_file(path.string())) {
                found_.push_back({path.string(), MeasuredFileKind::samples});
            } else if (is_yaml(path) && holds_runs(path)) {
                found_.push_back({path.string(), MeasuredFileKind::experiments});
            } else if (may_be_log(path) && is_nccl_log(path.string())) {
                found_.push_back({path.string(), MeasuredFileKind::log});
            }
        }
    }

    [[nodiscard]] std::vector<MeasuredFile> const& found() const { return found_; }

private:
    void add_table(std::string const& path) {
        std::error_code ignored;
        bool const empty = fs::file_size(path, ignored) == 0;
        auto const kind = empty ? std::nullopt : kind_of_table(CsvTable::load(path));
        if (kind) {
            found_.push_back({path, *kind});
        } else {
            notes_.push_back(path + ": no table of measurements that we read, left aside");
        }
    }

    std::vector<std::string>& notes_;
    std::vector<MeasuredFile> found_;
};

}  // namespace

std::vector<MeasuredFile> measured_files(std::vector<std::string> const& paths,
                                         std::vector<std::string>& notes) {
    std::vector<MeasuredFile> files;
    for (auto const& path : paths) {
        std::error_code ignored;
        if (!fs::is_directory(path, ignored)) {
            files.push_back(given_file(path));
            continue;
        }
        FolderWalk walk(notes);
        walk.enter(path);
        if (walk.found().empty()) {
            throw ConfigError(fmt::format("{}: nothing measured in this folder (expected {})", path,
                                          expected_content));
        }
        files.insert(files.end(), walk.found().begin(), walk.found().end());
    }
    return files;
}

std::vector<std::string> experiments_named_in(std::string const& path, Library const& library) {
    Value const root = load_yaml(path);
    Value const* named = root.find("experiments");
    if (named == nullptr) return {path};
    if (!named->is_list()) fail(named->place, "no list", "names of experiments");
    std::vector<std::string> paths;
    for (auto const& name : named->items) {
        paths.push_back(library.path("experiments", name.scalar, name.place));
    }
    return paths;
}

}  // namespace nvl72
