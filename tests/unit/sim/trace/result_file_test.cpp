#include "sim/trace/result_file.hpp"

#include "sim/base/error.hpp"

#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <limits>
#include <sstream>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nvl72 {
namespace {

namespace fs = std::filesystem;

constexpr double none = std::numeric_limits<double>::quiet_NaN();

/// A folder of its own per test, removed with everything in it.
class Folder {
public:
    Folder() {
        auto pattern = (fs::temp_directory_path() / "nvl72-trace-XXXXXX").string();
        path_ = ::mkdtemp(pattern.data());
    }
    Folder(Folder const&) = delete;
    Folder& operator=(Folder const&) = delete;
    ~Folder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    [[nodiscard]] std::string operator/(std::string const& name) const {
        return (path_ / name).string();
    }
    [[nodiscard]] int entries() const {
        int count = 0;
        for (auto const& entry : fs::directory_iterator(path_)) count += entry.exists() ? 1 : 0;
        return count;
    }

private:
    fs::path path_;
};

ResultFile small() {
    ResultFile file;
    file.config = "name: two points\nseed: 7\n";
    file.seed = 18446744073709551615ULL;  // the largest: attributes hold it whole
    file.calibrations = {"h100-published", "gb200-published"};
    file.program_version = "0.1.0";
    ResultTable sweep{"sweep", {}};
    sweep.columns.push_back({"point", "", "row number", std::vector<std::int64_t>{0, -1}});
    sweep.columns.push_back({"step_s", "s", "one step", std::vector<double>{37.8092, 58.25}});
    sweep.columns.push_back({"system", "", "label", std::vector<std::string>{"Hopper ü", ""}});
    sweep.columns.push_back(
        {"published_step_s", "s", "NaN: none", std::vector<double>{none, 58.1}, true});
    file.tables.push_back(sweep);
    ResultTable alpha{"alpha", {}};
    alpha.columns.push_back({"z", "s", "last name first", std::vector<double>{1}});
    alpha.columns.push_back({"a", "", "", std::vector<std::string>{"Hopper ü"}});
    file.tables.push_back(alpha);
    return file;
}

std::string bytes_of(std::string const& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

void spoil(std::string const& path, std::string const& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

template <class Act>
std::string error_of(Act const& act, ExitCode expected = ExitCode::bad_input) {
    try {
        act();
    } catch (Error const& error) {
        EXPECT_EQ(error.code(), expected) << error.what();
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
        return error.what();
    }
    return "";
}

std::string read_error(std::string const& path) {
    return error_of([&path] { read_result(path); });
}

std::string write_error(ResultFile const& file, std::string const& path) {
    return error_of([&file, &path] { write_result(file, path); });
}

std::string internal_error(ResultFile const& file) {
    Folder const folder;
    auto const path = folder / "x.h5";
    auto const text =
        error_of([&file, &path] { write_result(file, path); }, ExitCode::internal_error);
    EXPECT_EQ(folder.entries(), 0);
    return text;
}

bool holds(std::string const& text, std::string const& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST(ResultFile, ComesBackAsWrittenInTheSameOrder) {
    Folder const folder;
    auto const path = folder / "run.h5";
    auto const written = small();
    write_result(written, path);
    auto const read = read_result(path);
    EXPECT_EQ(read.config, written.config);
    EXPECT_EQ(read.seed, written.seed);
    EXPECT_EQ(read.calibrations, written.calibrations);
    EXPECT_TRUE(read.recipes.empty());
    EXPECT_EQ(read.program_version, "0.1.0");
    ASSERT_EQ(read.tables.size(), 2U);
    EXPECT_EQ(read.tables[0].name, "sweep");
    EXPECT_EQ(read.tables[1].name, "alpha");
    EXPECT_EQ(read.tables[1].columns[0].name, "z");
    auto const& columns = read.tables[0].columns;
    ASSERT_EQ(columns.size(), 4U);
    EXPECT_EQ(columns[0].values, written.tables[0].columns[0].values);
    EXPECT_EQ(columns[1].values, written.tables[0].columns[1].values);
    EXPECT_EQ(columns[1].unit, "s");
    EXPECT_EQ(columns[1].help, "one step");
    EXPECT_EQ(columns[2].values, written.tables[0].columns[2].values);
    EXPECT_FALSE(columns[1].optional);
    EXPECT_TRUE(columns[3].optional);
    EXPECT_TRUE(std::isnan(std::get<std::vector<double>>(columns[3].values)[0]));
    EXPECT_EQ(read.digest(), written.digest());
    EXPECT_EQ(folder.entries(), 1);
}

TEST(ResultFile, SameContentGivesTheSameBytesEvenSecondsApart) {
    Folder const folder;
    write_result(small(), folder / "a.h5");
    ::usleep(1'100'000);  // HDF5's own object times count seconds
    write_result(small(), folder / "b.h5");
    EXPECT_EQ(bytes_of(folder / "a.h5"), bytes_of(folder / "b.h5"));
    EXPECT_GT(bytes_of(folder / "a.h5").size(), 1000U);
}

TEST(ResultFile, DigestFollowsDataAndConfigButNotWordingOrOrder) {
    auto const digest = small().digest();
    EXPECT_EQ(digest.size(), 16U);
    auto changed = small();
    std::get<std::vector<double>>(changed.tables[0].columns[1].values)[1] = 58.250001;
    EXPECT_NE(changed.digest(), digest);
    changed = small();
    std::get<std::vector<std::string>>(changed.tables[0].columns[2].values)[1] = "x";
    EXPECT_NE(changed.digest(), digest);
    changed = small();
    changed.config += " ";
    EXPECT_NE(changed.digest(), digest);
    changed = small();
    changed.seed = 8;
    EXPECT_NE(changed.digest(), digest);
    changed = small();
    changed.tables[0].columns[1].unit = "ms";
    EXPECT_NE(changed.digest(), digest);
    changed = small();
    std::swap(changed.tables[0], changed.tables[1]);
    std::swap(changed.tables[1].columns[0], changed.tables[1].columns[2]);
    changed.tables[0].columns[0].help = "other words";
    changed.program_version = "0.2.0";
    EXPECT_EQ(changed.digest(), digest);
}

TEST(ResultFile, MissingNumbersStandOnlyInOptionalColumns) {
    auto file = small();
    std::get<std::vector<double>>(file.tables[0].columns[1].values)[0] = none;
    EXPECT_TRUE(holds(internal_error(file), "/sweep/step_s: NaN stands only in an optional"));
    file = small();
    std::get<std::vector<double>>(file.tables[0].columns[3].values)[0] =
        std::numeric_limits<double>::infinity();
    EXPECT_TRUE(holds(internal_error(file), "/sweep/published_step_s: values are finite"));
}

TEST(ResultFile, MalformedTablesAreOurBug) {
    auto file = small();
    std::get<std::vector<double>>(file.tables[0].columns[1].values).push_back(1);
    EXPECT_TRUE(holds(internal_error(file), "equally long"));
    file = small();
    file.tables[0].columns[1].name = "point";
    EXPECT_TRUE(holds(internal_error(file), "column names are unique: sweep/point"));
    file = small();
    file.tables[1].name = "strings";
    EXPECT_TRUE(holds(internal_error(file), "table names are unique: strings"));
    file = small();
    file.tables[1].name = "a/b";
    EXPECT_TRUE(holds(internal_error(file), "plain name"));
    file = small();
    file.tables.clear();
    EXPECT_TRUE(holds(internal_error(file), "a result has tables"));
    file = small();
    file.tables[1].columns = {{"none", "", "", std::vector<double>{}}};
    EXPECT_TRUE(holds(internal_error(file), "leave an empty one out"));
}

TEST(ResultFile, LongConfigAndManyColumnsFit) {
    Folder const folder;
    auto file = small();
    file.config.assign(300'000, 'x');  // beyond the 64 KiB that old HDF5 attributes hold
    for (int i = 0; i < 100; ++i) {
        file.tables[1].columns.push_back(
            {"column " + std::to_string(99 - i), "", "", std::vector<std::int64_t>{i}});
    }
    write_result(file, folder / "x.h5");
    auto const read = read_result(folder / "x.h5");
    EXPECT_EQ(read.config, file.config);
    EXPECT_EQ(read.tables[1].columns.size(), 102U);
    EXPECT_EQ(read.tables[1].columns[2].name, "column 99");
}

TEST(ResultFile, UnusablePathsAreNamedBeforeAnyWork) {
    Folder const folder;
    auto const message = write_error(small(), folder / "no/such/x.h5");
    EXPECT_TRUE(holds(message, "no/such/x.h5: cannot be written: folder")) << message;
    EXPECT_TRUE(holds(message, "No such file or directory"));
    spoil(folder / "file", "text");
    EXPECT_TRUE(holds(write_error(small(), folder / "file/x.h5"), "is not a folder"));
    EXPECT_TRUE(holds(write_error(small(), folder / ""), "is a folder"));
    EXPECT_TRUE(holds(write_error(small(), "/dev/null"), "/dev/null: is a device"));
    EXPECT_TRUE(holds(write_error(small(), ""), "expected a path"));
    EXPECT_TRUE(holds(write_error(small(), folder / std::string(300, 'x')), "too long"));
    EXPECT_TRUE(holds(write_error(small(), "/proc/x.h5"), "/proc/x.h5: cannot be written"));
    write_result(small(), folder / std::string(255, 'x'));  // the longest name there is
}

TEST(ResultFile, UnwritableFolderIsNamed) {
    if (::geteuid() == 0) GTEST_SKIP() << "root may write into every folder";
    Folder const folder;
    fs::create_directory(folder / "locked");
    fs::permissions(folder / "locked", fs::perms::owner_read | fs::perms::owner_exec);
    EXPECT_TRUE(holds(write_error(small(), folder / "locked/x.h5"), "Permission denied"));
}

TEST(ResultFile, LinkIsFollowedNotReplaced) {
    Folder const folder;
    write_result(small(), folder / "real.h5");
    fs::create_symlink("real.h5", folder / "link.h5");
    auto other = small();
    other.seed = 3;
    write_result(other, folder / "link.h5");
    EXPECT_TRUE(fs::is_symlink(folder / "link.h5"));
    EXPECT_EQ(read_result(folder / "real.h5").seed, 3U);
}

TEST(ResultFile, FileSizeLimitLeavesTheOldFileAndNoTemporary) {
    Folder const folder;
    auto const path = folder / "x.h5";
    write_result(small(), path);
    auto const before = bytes_of(path);
    auto const child = ::fork();
    if (child == 0) {
        ::signal(SIGXFSZ, SIG_IGN);
        rlimit const limit{2048, 2048};  // less than the file needs
        ::setrlimit(RLIMIT_FSIZE, &limit);
        auto const message = write_error(small(), path);
        ::_exit(holds(message, "x.h5: cannot be written: File too large") ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(bytes_of(path), before);
    EXPECT_EQ(folder.entries(), 1);
}

TEST(ResultFile, FullDiskLeavesTheOldFileAndNoTemporary) {
    Folder const folder;
    fs::create_directory(folder / "disk");
    if (::mount("tmpfs", (folder / "disk").c_str(), "tmpfs", 0, "size=24k") != 0) {
        GTEST_SKIP() << "no small disk to fill (mount a tmpfs): " << std::strerror(errno);
    }
    auto const path = folder / "disk/x.h5";
    write_result(small(), path);
    auto const before = bytes_of(path);
    auto larger = small();
    for (int i = 0; i < 400; ++i) {
        larger.tables[1].columns.push_back(
            {"c" + std::to_string(i), "", "", std::vector<std::int64_t>{i}});
    }
    auto const message = write_error(larger, path);
    EXPECT_TRUE(holds(message, "x.h5: cannot be written: No space left on device")) << message;
    EXPECT_EQ(bytes_of(path), before);
    int entries = 0;
    for (auto const& entry : fs::directory_iterator(folder / "disk")) {
        entries += entry.exists() ? 1 : 0;
    }
    EXPECT_EQ(entries, 1);
    ::umount((folder / "disk").c_str());
}

TEST(ResultFile, ForeignFilesAreSaidToBeForeign) {
    Folder const folder;
    EXPECT_TRUE(holds(read_error(folder / "none.h5"), "none.h5: cannot be read: No such file"));
    EXPECT_TRUE(holds(read_error(folder / ""), "is a folder"));
    EXPECT_TRUE(holds(read_error("/dev/zero"), "is not a file"));
    spoil(folder / "empty.h5", "");
    EXPECT_TRUE(holds(read_error(folder / "empty.h5"), "empty.h5: is empty"));
    spoil(folder / "text.h5", "seed: 7\nname: this is a config\n");
    EXPECT_TRUE(holds(read_error(folder / "text.h5"), "text.h5: not a result file"));
}

TEST(ResultFile, TruncationAnywhereIsOneLine) {
    Folder const folder;
    write_result(small(), folder / "x.h5");
    auto const whole = bytes_of(folder / "x.h5");
    for (std::size_t keep = 1; keep < whole.size(); keep += 1 + whole.size() / 61) {
        spoil(folder / "cut.h5", whole.substr(0, keep));
        auto const message = read_error(folder / "cut.h5");
        EXPECT_TRUE(holds(message, "cut.h5: ")) << keep << " bytes kept: " << message;
    }
    spoil(folder / "cut.h5", whole.substr(0, whole.size() - 1));
    EXPECT_TRUE(holds(read_error(folder / "cut.h5"), "damaged or truncated"));
}

}  // namespace nvl72
