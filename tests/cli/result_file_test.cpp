#include "sim/trace/result_file.hpp"

#include <array>
#include <cstdio>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

namespace nvl72 {
namespace {

/// What a command prints, and its exit status behind it.
std::string output_of(std::string const& command) {
    std::string text;
    auto* const pipe = ::popen((command + " 2>&1; echo exit $?").c_str(), "r");
    if (pipe == nullptr) return "no shell";
    std::array<char, 4096> part{};
    while (auto const got = std::fread(part.data(), 1, part.size(), pipe)) {
        text.append(part.data(), got);
    }
    ::pclose(pipe);
    return text;
}

std::string sample() {
    ResultFile file;
    file.config = "name: x\n";
    file.program_version = "0.1.0";
    ResultTable sweep{"sweep", {}};
    sweep.columns.push_back({"system", "", "label", std::vector<std::string>{"rack", "hopper"}});
    sweep.columns.push_back({"step_s", "s", "one step", std::vector<double>{37.5, 58.25}});
    file.tables.push_back(sweep);
    auto const path = (std::filesystem::temp_directory_path() /
                       ("nvl72-tools-" + std::to_string(::getpid()) + ".h5"))
                          .string();
    write_result(file, path);
    return path;
}

bool holds(std::string const& text, std::string const& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST(ResultFileTools, H5dumpReadsIt) {
    if (!holds(output_of("h5dump --version"), "exit 0")) {
        GTEST_SKIP() << "no h5dump (apt-get install hdf5-tools)";
    }
    auto const path = sample();
    auto const text = output_of("h5dump -d /sweep/step_s " + path);
    std::remove(path.c_str());
    EXPECT_TRUE(holds(text, "37.5, 58.25") && holds(text, "exit 0")) << text;
}

TEST(ResultFileTools, H5pyReadsIt) {
    if (!holds(output_of("/usr/bin/python3 -c 'import h5py'"), "exit 0")) {
        GTEST_SKIP() << "no h5py (apt-get install python3-h5py)";
    }
    auto const path = sample();
    auto const text = output_of(
        "/usr/bin/python3 -c \"import h5py; f = h5py.File('" + path +
        "'); "
        "print(f['strings'].asstr()[:][f['sweep/system'][:]].tolist(), f['sweep/step_s'][1], "
        "f['sweep/step_s'].attrs['unit'].decode(), f.attrs['config'].decode())\"");
    std::remove(path.c_str());
    EXPECT_EQ(text, "['rack', 'hopper'] 58.25 s name: x\n\nexit 0\n");
}

}  // namespace nvl72
