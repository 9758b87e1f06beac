#include "sim/base/error.hpp"
#include "sim/trace/atomic_file.hpp"
#include "sim/trace/hdf5_handle.hpp"
#include "sim/trace/result_file.hpp"
#include "sim/trace/seal.hpp"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <unistd.h>

namespace nvl72 {
namespace {

/// A path of its own per test program.
std::string scratch() {
    return (std::filesystem::temp_directory_path() /
            ("nvl72-layout-" + std::to_string(::getpid()) + ".h5"))
        .string();
}

std::string write_sample() {
    ResultFile file;
    file.tables.push_back({"sweep", {{"x", "s", "", std::vector<double>{1, 2}}}});
    write_result(file, scratch());
    return scratch();
}

/// As if write_result had written what stands there now.
void seal_again(std::string const& path) {
    auto bytes = read_whole(path);
    seal(bytes);
    write_whole(path, bytes);
}

std::string error_after_reading(std::string const& path) {
    std::string text;
    try {
        read_result(path);
    } catch (ConfigError const& error) {
        text = error.what();
    }
    std::remove(path.c_str());
    return text;
}

bool holds(std::string const& text, std::string const& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST(ResultLayout, HDF5OfAnotherProgramIsForeignNotDamaged) {
    auto const path = scratch();
    H5Fclose(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    auto const text = error_after_reading(path);
    EXPECT_TRUE(holds(text, "HDF5 file of another program")) << text;
}

TEST(ResultLayout, LaterVersionIsRefusedByNumber) {
    auto const path = write_sample();
    auto const file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    auto const attribute = H5Aopen(file, "version", H5P_DEFAULT);
    unsigned long long const two = 2;
    H5Awrite(attribute, H5T_NATIVE_ULLONG, &two);
    H5Aclose(attribute);
    H5Fclose(file);
    seal_again(path);
    auto const text = error_after_reading(path);
    EXPECT_TRUE(holds(text, "format version 2 (this program reads version 1)")) << text;
}

TEST(ResultLayout, ChangedNumberNoLongerFitsTheDigest) {
    auto const path = write_sample();
    auto const file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    auto const dataset = H5Dopen2(file, "sweep/x", H5P_DEFAULT);
    double const values[] = {1, 2.5};
    H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(dataset);
    H5Fclose(file);
    EXPECT_THROW(read_result(path), ConfigError);
    seal_again(path);
    auto const text = error_after_reading(path);
    EXPECT_TRUE(holds(text, "damaged: its data give digest")) << text;
}

TEST(ResultLayout, LibraryPrintsNothingOfItsOwn) {
    auto const path = write_sample();
    std::filesystem::resize_file(path, 700);
    seal_again(path);  // so that the library itself meets the half superblock
    testing::internal::CaptureStderr();
    auto const text = error_after_reading(path);
    EXPECT_TRUE(holds(text, "damaged or truncated")) << text;
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace nvl72
