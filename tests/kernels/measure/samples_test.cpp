#include "kernels/measure/samples.hpp"

#include "kernels/measure/errors.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <iterator>
#include <unistd.h>

namespace nvl72::measure {
namespace {

namespace fs = std::filesystem;

/// An empty folder that goes with the test.
class Folder {
public:
    Folder() : path_(fs::temp_directory_path() / ("nvl72-samples-" + std::to_string(::getpid()))) {
        fs::remove_all(path_);
        fs::create_directory(path_);
    }
    Folder(Folder const&) = delete;
    Folder& operator=(Folder const&) = delete;
    Folder(Folder&&) = delete;
    Folder& operator=(Folder&&) = delete;
    ~Folder() { fs::remove_all(path_); }
    std::string file(std::string const& name) const { return path_ / name; }
    std::vector<std::string> names() const {
        std::vector<std::string> all;
        for (auto const& entry : fs::directory_iterator(path_)) {
            all.push_back(entry.path().filename());
        }
        return all;
    }

private:
    fs::path path_;
};

/// A file read back by the C API alone, as a foreign program would.
class Reader {
public:
    explicit Reader(std::string const& path)
        : file_(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT)) {
        if (file_ < 0) throw std::runtime_error("no HDF5 file");
    }
    Reader(Reader const&) = delete;
    Reader& operator=(Reader const&) = delete;
    Reader(Reader&&) = delete;
    Reader& operator=(Reader&&) = delete;
    ~Reader() { H5Fclose(file_); }

    std::vector<double> numbers(std::string const& name) const {
        auto const data = H5Dopen2(file_, name.c_str(), H5P_DEFAULT);
        std::vector<double> values(rows(data));
        H5Dread(data, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
        H5Dclose(data);
        return values;
    }
    std::vector<std::string> texts(std::string const& name) const {
        auto const data = H5Dopen2(file_, name.c_str(), H5P_DEFAULT);
        auto const type = H5Dget_type(data);
        auto const length = H5Tget_size(type);
        std::string bytes(length * rows(data), '\0');
        H5Dread(data, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data());
        std::vector<std::string> values;
        for (std::size_t at = 0; at < bytes.size(); at += length) {
            values.emplace_back(bytes.substr(at, length).c_str());
        }
        H5Tclose(type);
        H5Dclose(data);
        return values;
    }
    std::string attribute(std::string const& object, char const* name) const {
        auto const id = H5Aopen_by_name(file_, object.c_str(), name, H5P_DEFAULT, H5P_DEFAULT);
        auto const type = H5Aget_type(id);
        std::string text(H5Tget_size(type), '\0');
        H5Aread(id, type, text.data());
        H5Tclose(type);
        H5Aclose(id);
        return text.substr(0, text.find('\0'));  // NUL-padded
    }
    std::int64_t number(char const* name) const {
        auto const id = H5Aopen(file_, name, H5P_DEFAULT);
        std::int64_t value = 0;
        H5Aread(id, H5T_NATIVE_INT64, &value);
        H5Aclose(id);
        return value;
    }
    double real(char const* name) const {
        auto const id = H5Aopen(file_, name, H5P_DEFAULT);
        double value = 0;
        H5Aread(id, H5T_NATIVE_DOUBLE, &value);
        H5Aclose(id);
        return value;
    }
    bool has_attribute(char const* name) const { return H5Aexists(file_, name) > 0; }
    bool has(char const* name) const { return H5Lexists(file_, name, H5P_DEFAULT) > 0; }

private:
    static std::size_t rows(hid_t data) {
        auto const space = H5Dget_space(data);
        auto const count = H5Sget_simple_extent_npoints(space);
        H5Sclose(space);
        return static_cast<std::size_t>(count);
    }
    hid_t file_;
};

Samples two_cases() {
    Samples samples;
    samples.machine.device_name = "a CPU";
    samples.command = "nvl72-measure";
    CollectiveRow row;
    row.suite = "microkernel";
    row.op = "all_reduce";
    row.algorithm = "ring";
    row.protocol = "ll";
    row.launch = "host-threads";
    row.wiring = "host";
    row.ranks = 2;
    row.bytes = 4096;
    samples.cases.push_back({row, {{0, 1, 10, 5e-6, 0}, {1, 2, 10, 7e-6, 1}}});
    samples.cases.push_back({MemoryRow{"copy", 100, 200}, {{0, 0, 1, 0.25, 0}}});
    samples.skipped.push_back({"nccl", "8 ranks", "one GPU"});
    return samples;
}

TEST(SamplesFile, GivesBackEveryBlockOfEveryCase) {
    Folder const folder;
    write_samples(folder.file("s.h5"), two_cases());
    Reader const file(folder.file("s.h5"));
    EXPECT_EQ(file.attribute("/", "format"), "nvl72-samples");
    EXPECT_EQ(file.number("version"), 2);
    EXPECT_EQ(file.attribute("/", "device_kind"), "host");
    EXPECT_EQ(file.attribute("/", "device_name"), "a CPU");
    EXPECT_EQ(file.number("seed"), 1);
    EXPECT_EQ(file.texts("collectives/op"), (std::vector<std::string>{"all_reduce", "all_reduce"}));
    EXPECT_EQ(file.numbers("collectives/bytes"), (std::vector<double>{4096, 4096}));
    EXPECT_EQ(file.numbers("collectives/block"), (std::vector<double>{0, 1}));
    EXPECT_EQ(file.numbers("collectives/order"), (std::vector<double>{1, 2}));
    EXPECT_EQ(file.numbers("collectives/time_s"), (std::vector<double>{5e-6, 7e-6}));
    EXPECT_EQ(file.numbers("collectives/outlier"), (std::vector<double>{0, 1}));
    EXPECT_EQ(file.texts("memory/kind"), std::vector<std::string>{"copy"});
    EXPECT_EQ(file.numbers("memory/traffic_bytes"), std::vector<double>{200});
    EXPECT_EQ(file.texts("skipped/reason"), std::vector<std::string>{"one GPU"});
    EXPECT_FALSE(file.has("gemm"));
}

TEST(SamplesFile, SaysHowMuchThePassesDiffer) {
    Folder const folder;
    auto samples = two_cases();
    write_samples(folder.file("s.h5"), samples);
    EXPECT_FALSE(Reader(folder.file("s.h5")).has_attribute("drift"));  // no batch could tell
    samples.drift = {"collectives: 2 ranks", 0.25};
    write_samples(folder.file("d.h5"), samples);
    Reader const file(folder.file("d.h5"));
    EXPECT_EQ(file.real("drift"), 0.25);
    EXPECT_EQ(file.attribute("/", "drift_batch"), "collectives: 2 ranks");
}

TEST(SamplesFile, NamesTheUnitOfEveryColumn) {
    Folder const folder;
    write_samples(folder.file("s.h5"), two_cases());
    Reader const file(folder.file("s.h5"));
    EXPECT_EQ(file.attribute("collectives/time_s", "unit"), "s");
    EXPECT_EQ(file.attribute("collectives/bytes", "unit"), "bytes");
    for (auto const& column : row_columns<CollectiveRow>()) {
        auto const path = std::string("collectives/") + column.name;
        EXPECT_EQ(file.attribute(path, "unit"), column.unit) << path;
        EXPECT_NE(file.attribute(path, "help"), "") << path;
    }
}

std::string bytes_of(std::string const& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(SamplesFile, HasTheSameBytesForTheSameSamples) {
    Folder const folder;
    write_samples(folder.file("a.h5"), two_cases());
    ::sleep(1);  // a time stamp would differ now
    write_samples(folder.file("b.h5"), two_cases());
    EXPECT_EQ(bytes_of(folder.file("a.h5")), bytes_of(folder.file("b.h5")));
}

TEST(SamplesFile, ReplacesTheOldOneAndLeavesNothingElse) {
    Folder const folder;
    std::ofstream(folder.file("s.h5")) << "old";
    write_samples(folder.file("s.h5"), two_cases());
    EXPECT_EQ(folder.names(), std::vector<std::string>{"s.h5"});
    EXPECT_NO_THROW(Reader(folder.file("s.h5")));
}

TEST(SamplesFile, IsNotWrittenWithoutSamples) {
    Folder const folder;
    EXPECT_THROW(write_samples(folder.file("s.h5"), Samples{}), std::runtime_error);
    EXPECT_TRUE(folder.names().empty());
}

TEST(SamplesFile, LeavesNothingWhereItCannotBeWritten) {
    Folder const folder;
    fs::create_directory(folder.file("taken.h5"));
    EXPECT_THROW(write_samples(folder.file("taken.h5"), two_cases()), InputError);
    EXPECT_EQ(folder.names(), std::vector<std::string>{"taken.h5"});
}

TEST(CheckWritable, RefusesBeforeAnythingIsMeasured) {
    Folder const folder;
    EXPECT_NO_THROW(check_writable(folder.file("s.h5")));
    EXPECT_THROW(check_writable(folder.file("none/s.h5")), InputError);
    EXPECT_THROW(check_writable(folder.file("")), InputError);
    EXPECT_THROW(check_writable(""), InputError);
    EXPECT_TRUE(folder.names().empty());
}

/// kernels/SAMPLES.md is what readers are written from: it names every table and column.
TEST(SamplesPage, NamesEveryColumn) {
    std::ifstream page(std::string(NVL72_SOURCE_DIR) + "/kernels/SAMPLES.md");
    std::string const text{std::istreambuf_iterator<char>(page), std::istreambuf_iterator<char>()};
    auto const expect_all = [&](auto const& columns, char const* table) {
        for (auto const& column : columns) {
            EXPECT_NE(text.find(std::string("`") + column.name + "`"), std::string::npos)
                << table << "/" << column.name;
        }
        EXPECT_TRUE(std::string(table) == "timing" ||
                    text.find("`/" + std::string(table) + "`") != std::string::npos)
            << table;
    };
    expect_all(row_columns<CollectiveRow>(), table_name<CollectiveRow>());
    expect_all(row_columns<GemmRow>(), table_name<GemmRow>());
    expect_all(row_columns<MemoryRow>(), table_name<MemoryRow>());
    expect_all(row_columns<CopyRow>(), table_name<CopyRow>());
    expect_all(row_columns<LaunchRow>(), table_name<LaunchRow>());
    expect_all(row_columns<OverlapRow>(), table_name<OverlapRow>());
    expect_all(row_columns<Timing>(), table_name<Timing>());
    expect_all(row_columns<ClockRow>(), table_name<ClockRow>());
    expect_all(row_columns<SkippedRow>(), table_name<SkippedRow>());
}

}  // namespace
}  // namespace nvl72::measure
