#include "sim/trace/result_file.hpp"

#include "sim/base/error.hpp"
#include "sim/base/random.hpp"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <limits>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

namespace nvl72 {
namespace {

namespace fs = std::filesystem;

std::string fresh_folder() {
    auto pattern = (fs::temp_directory_path() / "nvl72-trace-XXXXXX").string();
    return ::mkdtemp(pattern.data());
}

std::string random_text(RandomStream& random) {
    static std::vector<std::string> const letters{"a", "Z", "é", " ", "漢", "_", "7", "\n", "/"};
    std::string text;
    for (auto length = random.below(12); length > 0; --length) {
        text += letters[random.below(letters.size())];
    }
    return text;
}

ResultColumn random_column(RandomStream& random, std::string const& name, std::size_t rows) {
    ResultColumn column{name, random_text(random), random_text(random), {}, random.below(2) == 0};
    switch (random.below(3)) {
        case 0: {
            std::vector<std::int64_t> values;
            for (std::size_t i = 0; i < rows; ++i) {
                values.push_back(static_cast<std::int64_t>(random.next()));
            }
            column.values = values;
            break;
        }
        case 1: {
            std::vector<double> values;
            for (std::size_t i = 0; i < rows; ++i) {
                bool const missing = column.optional && random.below(4) == 0;
                values.push_back(missing ? std::nan("") : random.normal(0, 1e6));
            }
            column.values = values;
            break;
        }
        default: {
            std::vector<std::string> values;
            for (std::size_t i = 0; i < rows; ++i) values.push_back(random_text(random));
            column.values = values;
        }
    }
    return column;
}

ResultFile random_file(RandomStream& random) {
    ResultFile file;
    file.config = random_text(random);
    file.seed = random.next();
    for (auto n = random.below(4); n > 0; --n) file.calibrations.push_back(random_text(random));
    for (auto n = random.below(4); n > 0; --n) file.recipes.push_back(random_text(random));
    file.program_version = random_text(random);
    for (auto t = 1 + random.below(4); t > 0; --t) {
        ResultTable table{"table" + std::to_string(t), {}};
        // 40000 rows cross the chunk's 16384 twice.
        std::size_t const rows = random.below(24) == 0 ? 40000 : 1 + random.below(50);
        for (auto c = 1 + random.below(12); c > 0; --c) {
            table.columns.push_back(random_column(random, "c" + std::to_string(c), rows));
        }
        file.tables.push_back(table);
    }
    return file;
}

bool same_values(ResultColumn const& a, ResultColumn const& b) {
    auto const* left = std::get_if<std::vector<double>>(&a.values);
    auto const* right = std::get_if<std::vector<double>>(&b.values);
    if (left == nullptr || right == nullptr) return a.values == b.values;
    for (std::size_t i = 0; i < left->size(); ++i) {
        bool const both_missing = std::isnan((*left)[i]) && std::isnan((*right)[i]);
        if (!both_missing && (*left)[i] != (*right)[i]) return false;
    }
    return left->size() == right->size();
}

std::string bytes_of(std::string const& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

}  // namespace

TEST(ResultFileProperty, EveryFileComesBackAndTwiceTheSame) {
    auto const folder = fresh_folder();
    RandomStream random(1, "result file");
    for (int round = 0; round < 30; ++round) {
        auto const written = random_file(random);
        write_result(written, folder + "/a.h5");
        auto const read = read_result(folder + "/a.h5");
        write_result(read, folder + "/b.h5");
        ASSERT_EQ(bytes_of(folder + "/a.h5"), bytes_of(folder + "/b.h5")) << round;
        ASSERT_EQ(read.config, written.config);
        ASSERT_EQ(read.calibrations, written.calibrations);
        ASSERT_EQ(read.recipes, written.recipes);
        ASSERT_EQ(read.seed, written.seed);
        ASSERT_EQ(read.tables.size(), written.tables.size());
        for (std::size_t t = 0; t < read.tables.size(); ++t) {
            auto const& before = written.tables[t].columns;
            auto const& after = read.tables[t].columns;
            ASSERT_EQ(after.size(), before.size());
            for (std::size_t c = 0; c < after.size(); ++c) {
                ASSERT_EQ(after[c].name, before[c].name);
                ASSERT_EQ(after[c].unit, before[c].unit);
                ASSERT_EQ(after[c].help, before[c].help);
                ASSERT_EQ(after[c].optional, before[c].optional);
                ASSERT_TRUE(same_values(after[c], before[c])) << round << " " << before[c].name;
            }
        }
    }
    fs::remove_all(folder);
}

/// The child reads the damaged file, so that a crash of the library would be seen, not suffered.
/// Exit: 0 refused in one line, 1 read; anything else is a failure.
int read_in_child(std::string const& path) {
    auto const child = ::fork();
    if (child == 0) {
        ::alarm(20);
        try {
            static_cast<void>(read_result(path));
            ::_exit(1);
        } catch (ConfigError const& error) {
            std::string const text = error.what();
            ::_exit(text.starts_with(path) && text.find('\n') == std::string::npos ? 0 : 3);
        } catch (...) {
            ::_exit(4);
        }
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

/// Bytes changed, a piece zeroed, the end cut off, bytes appended, or a piece moved.
std::string damaged(std::string bytes, RandomStream& random) {
    auto const somewhere = [&] { return random.below(bytes.size()); };
    auto const at = somewhere();
    auto const length = std::min<std::size_t>(1 + random.below(600), bytes.size() - at);
    switch (random.below(5)) {
        case 0: bytes.resize(at); break;
        case 1: bytes.append(1 + random.below(600), static_cast<char>(random.below(256))); break;
        case 2: std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), length, '\0'); break;
        case 3:
            bytes.replace(std::min(somewhere(), bytes.size() - length), length,
                          bytes.substr(at, length));
            break;
        default:
            for (auto flips = 1 + random.below(4); flips > 0; --flips) {
                bytes[somewhere()] = static_cast<char>(random.below(256));
            }
    }
    return bytes;
}

TEST(ResultFileProperty, DamageIsAlwaysRefusedAndNeverCrashes) {
    auto const folder = fresh_folder();
    auto const path = folder + "/x.h5";
    RandomStream random(2, "damage");
    std::string whole;
    do {  // a small one: the test reads it 200 times
        write_result(random_file(random), path);
        whole = bytes_of(path);
    } while (whole.size() > 200'000);
    ASSERT_EQ(read_in_child(path), 1);
    for (int round = 0; round < 200; ++round) {
        auto const bytes = damaged(whole, random);
        std::ofstream(path, std::ios::binary) << bytes;
        ASSERT_EQ(read_in_child(path), bytes == whole ? 1 : 0) << "round " << round;
    }
    fs::remove_all(folder);
}

TEST(ResultFileProperty, KillDuringARewriteLeavesTheOldOrTheNewFile) {
    auto const folder = fresh_folder();
    auto const path = folder + "/x.h5";
    RandomStream random(3, "kill");
    auto old_file = random_file(random);
    old_file.config = "old";
    auto new_file = random_file(random);
    new_file.config = "new";
    int kept = 0, replaced = 0;
    for (int round = 0; round < 30; ++round) {
        write_result(old_file, path);
        auto const child = ::fork();
        if (child == 0) {
            write_result(new_file, path);
            ::_exit(0);
        }
        ::usleep(static_cast<useconds_t>(random.below(12'000)));
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        auto const read = read_result(path);
        auto const& expected = read.config == "old" ? old_file : new_file;
        (read.config == "old" ? kept : replaced) += 1;
        ASSERT_EQ(read.digest(), expected.digest()) << "round " << round;
    }
    EXPECT_GT(kept, 0) << "kills came too late to test anything";
    std::printf("the kill came before the rename %d times, after it %d times\n", kept, replaced);
    fs::remove_all(folder);
}

}  // namespace nvl72
