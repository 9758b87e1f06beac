/// nvl72-measure as a user starts it.

#include "kernels/measure/cuda/device.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <iterator>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace nvl72::measure {
namespace {

namespace fs = std::filesystem;

struct Finished {
    int code = -1;
    std::string out, err;
    double seconds = 0;
    double cpu_seconds = 0;  ///< of all its threads: what a busy machine does not stretch
};

double cpu_seconds_of_children() {
    rusage used{};
    ::getrusage(RUSAGE_CHILDREN, &used);
    auto const seconds = [](timeval const& time) {
        return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
    };
    return seconds(used.ru_utime) + seconds(used.ru_stime);
}

class MeasureProgram : public ::testing::Test {
protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() / ("nvl72-measure-" + std::to_string(::getpid()));
        fs::remove_all(folder_);
        fs::create_directory(folder_);
    }
    void TearDown() override { fs::remove_all(folder_); }

    static std::string text_of(fs::path const& path) {
        std::ifstream file(path);
        return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    }
    std::string file(char const* name) const { return folder_ / name; }

    /// Starts the program with both outputs in the test's temporary folder.
    Finished run(std::string const& arguments) const {
        auto const out = fs::path(folder_.string() + ".out");
        auto const err = fs::path(folder_.string() + ".err");
        auto const cpu_begin = cpu_seconds_of_children();
        auto const begin = std::chrono::steady_clock::now();
        auto const status = std::system((std::string(NVL72_MEASURE) + " " + arguments + " > " +
                                         out.string() + " 2> " + err.string())
                                            .c_str());
        std::chrono::duration<double> const took = std::chrono::steady_clock::now() - begin;
        Finished const finished{WEXITSTATUS(status), text_of(out), text_of(err), took.count(),
                                cpu_seconds_of_children() - cpu_begin};
        fs::remove(out);
        fs::remove(err);
        return finished;
    }

    fs::path folder_;
};

std::int64_t lines_of(std::string const& text) {
    return std::count(text.begin(), text.end(), '\n');
}

TEST_F(MeasureProgram, AnswersBadInputInOneLineWithCode2) {
    for (auto const* wrong :
         {"--device tpu", "--only nonsense", "--ranks 0", "-b 0", "-b 4K -e 1K", "--blocks x",
          "--unknown", "-o none/at/all.h5", "--device host --only gemm"}) {
        auto const finished = run(wrong);
        EXPECT_EQ(finished.code, 2) << wrong;
        EXPECT_EQ(lines_of(finished.err), 1) << wrong << ": " << finished.err;
        EXPECT_EQ(finished.err.substr(0, 15), "nvl72-measure: ") << wrong;
        EXPECT_EQ(finished.out, "") << wrong;
    }
}

TEST_F(MeasureProgram, SaysInOneLineThatThereIsNoGpuAtOnce) {
    if (find_cuda().devices > 0) GTEST_SKIP() << "this machine has a GPU";
    double quickest = 10;
    for (int attempt = 0; attempt < 5; ++attempt) {
        auto const finished = run("--device cuda -o " + file("s.h5"));
        EXPECT_EQ(finished.code, 2);
        EXPECT_EQ(lines_of(finished.err), 1) << finished.err;
        EXPECT_NE(finished.err.find(find_cuda().why_none), std::string::npos) << finished.err;
        quickest = std::min(quickest, finished.seconds);
    }
    EXPECT_LT(quickest, 0.2) << "0.1 s, and the shell; linking cuBLASLt would cost 0.5 s";
    EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(MeasureProgram, NeedsNoLibraryOfCudaToStart) {
    auto* const pipe = popen(("readelf -d " + std::string(NVL72_MEASURE)).c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::string text;
    std::array<char, 4096> part{};
    while (auto const got = std::fread(part.data(), 1, part.size(), pipe)) {
        text.append(part.data(), got);
    }
    if (pclose(pipe) != 0) GTEST_SKIP() << "readelf is not installed";
    EXPECT_NE(text.find("(NEEDED)"), std::string::npos);
    for (auto const* library :
         {"[libcuda.", "[libnccl.", "[libcublas", "[libcudart.", "[libnvidia"}) {
        EXPECT_EQ(text.find(library), std::string::npos) << library;
    }
}

TEST_F(MeasureProgram, HelpHoldsAnExampleThatTheOptionsTake) {
    auto const finished = run("--help");
    EXPECT_EQ(finished.code, 0);
    auto const begin = finished.out.find("  nvl72-measure --device host");
    ASSERT_NE(begin, std::string::npos) << finished.out;
    auto const end = finished.out.find(" -o", begin);
    auto const arguments = finished.out.substr(begin + 16, end - begin - 16);
    // The example, cut short by --list.
    EXPECT_EQ(run(arguments + " --list").code, 0) << arguments;
}

std::vector<double> times_of(std::string const& path, char const* table) {
    auto const file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    auto const data = H5Dopen2(file, (std::string(table) + "/time_s").c_str(), H5P_DEFAULT);
    auto const space = H5Dget_space(data);
    std::vector<double> times(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
    H5Dread(data, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, times.data());
    H5Sclose(space);
    H5Dclose(data);
    H5Fclose(file);
    return times;
}

TEST_F(MeasureProgram, MeasuresThisHostIntoAFile) {
    auto const finished = run("--device host --quick -o " + file("s.h5"));
    ASSERT_EQ(finished.code, 0) << finished.err;
    EXPECT_LT(finished.cpu_seconds, 40) << "20 s on two cores of its own";
    EXPECT_NE(finished.out.find("next: nvl72sim calibrate --from"), std::string::npos);
    for (auto const* table : {"collectives", "memory", "launch"}) {
        auto const times = times_of(file("s.h5"), table);
        EXPECT_FALSE(times.empty()) << table;
        for (double const time : times) {
            EXPECT_TRUE(std::isfinite(time) && time > 0) << table << ": " << time;
        }
    }
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(MeasureProgram, AutoSaysInOneLineWhatItFoundAndWillDo) {
    if (find_cuda().devices > 0) GTEST_SKIP() << "this machine has a GPU";
    auto const finished = run("--only launch --blocks 1 --warmup 0");
    EXPECT_EQ(finished.code, 0);
    auto const first = finished.err.substr(0, finished.err.find('\n'));
    EXPECT_EQ(first.find("found " + find_cuda().why_none + ", only "), 0U) << first;
    EXPECT_NE(first.find("; measures launch"), std::string::npos) << first;
}

TEST_F(MeasureProgram, LeavesNothingWhenInterrupted) {
    for (int const signal : {SIGTERM, SIGINT}) {
        auto const output = file("s.h5");
        auto const progress = folder_.string() + ".progress";
        auto const child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            (void)!std::freopen("/dev/null", "w", stdout);
            (void)!std::freopen(progress.c_str(), "w", stderr);
            ::execl(NVL72_MEASURE, NVL72_MEASURE, "--device", "host", "--ranks", "2", "--blocks",
                    "1000", "-o", output.c_str(), static_cast<char*>(nullptr));
            ::_exit(127);
        }
        // In the middle: it has said which batch it times, and then had half a second.
        for (int i = 0; i < 600 && lines_of(text_of(progress)) < 2; ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, WNOHANG), 0) << "ended before it was interrupted";
        ::kill(child, signal);
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFEXITED(status));
        EXPECT_EQ(WEXITSTATUS(status), 130);
        EXPECT_NE(text_of(progress).find("interrupted, nothing written"), std::string::npos);
        fs::remove(progress);
        EXPECT_TRUE(fs::is_empty(folder_));
    }
}

}  // namespace
}  // namespace nvl72::measure
