#include "sim/interchange/samples.hpp"

#include "sim/base/error.hpp"
#include "sim/trace/hdf5_handle.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <variant>

namespace nvl72 {

namespace {

constexpr std::string_view format_name = "nvl72-samples";
constexpr std::int64_t format_version = 1;
constexpr hsize_t rows_max = 10'000'000;  // guards memory against a file that only claims them
constexpr std::size_t text_max = 65536;

/// The text follows "damaged or truncated: ".
[[noreturn]] void damaged(std::string const& what) { throw std::runtime_error(what); }

std::size_t rows_in(hid_t space, std::string const& name) {
    hsize_t rows = 1;
    int const rank = H5Sget_simple_extent_ndims(space);
    if (rank < 0 || rank > 1) damaged(name + " is not one-dimensional");
    if (rank == 1) hdf5_expect(H5Sget_simple_extent_dims(space, &rows, nullptr) >= 0, name);
    if (rows > rows_max) damaged(name + " has too many rows");
    return static_cast<std::size_t>(rows);
}

std::size_t text_width(hid_t type, std::string const& name) {
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0) {
        damaged(name + " is not text of fixed length");
    }
    auto const width = H5Tget_size(type);
    if (width < 1 || width > text_max) damaged(name + " holds texts of an impossible length");
    return width;
}

std::string unpadded(char const* text, std::size_t width) {
    return {text, std::find(text, text + width, '\0')};
}

std::string text_attribute(hid_t file, std::string const& name) {
    Hdf5Handle const attribute(H5Aopen(file, name.c_str(), H5P_DEFAULT), H5Aclose,
                               "no attribute " + name);
    Hdf5Handle const type(H5Aget_type(attribute), H5Tclose, name);
    Hdf5Handle const space(H5Aget_space(attribute), H5Sclose, name);
    auto const width = text_width(type, "attribute " + name);
    if (rows_in(space, name) != 1) damaged("attribute " + name + " is not one text");
    std::vector<char> text(width);
    hdf5_expect(H5Aread(attribute, type, text.data()) >= 0, "unreadable attribute " + name);
    return unpadded(text.data(), width);
}

std::int64_t number_attribute(hid_t file, std::string const& name) {
    Hdf5Handle const attribute(H5Aopen(file, name.c_str(), H5P_DEFAULT), H5Aclose,
                               "no attribute " + name);
    Hdf5Handle const type(H5Aget_type(attribute), H5Tclose, name);
    Hdf5Handle const space(H5Aget_space(attribute), H5Sclose, name);
    std::int64_t number = 0;
    hdf5_expect(H5Tget_class(type) == H5T_INTEGER && rows_in(space, name) == 1 &&
                    H5Aread(attribute, H5T_NATIVE_INT64, &number) >= 0,
                "attribute " + name + " is not a whole number");
    return number;
}

/// A column of the file and where a row holds it.
template <class Row>
struct Column {
    std::string name;
    std::variant<std::string Row::*, std::int64_t Row::*, double Row::*> member;
};

/// One row of a block, before the blocks of a case are put together.
struct Block {
    std::int64_t outlier = 0;
    double time_s = 0;
};

/// A dataset of a table, open.
struct OpenColumn {
    std::string place;
    Hdf5Handle dataset, type;
    std::size_t rows = 0;

    OpenColumn(hid_t group, std::string const& table, std::string const& name)
        : place("/" + table + "/" + name),
          dataset(H5Dopen2(group, name.c_str(), H5P_DEFAULT), H5Dclose, "no column " + place),
          type(H5Dget_type(dataset), H5Tclose, place) {
        Hdf5Handle const space(H5Dget_space(dataset), H5Sclose, place);
        rows = rows_in(space, place);
        // The stored bytes must be as many as the rows claim, within deflate's 1032 to 1.
        if (rows * H5Tget_size(type) / 1100 > H5Dget_storage_size(dataset) + 1) {
            damaged(place + " holds too few bytes");
        }
    }
    void read(hid_t as, void* into) const {
        if (H5Dread(dataset, as, H5S_ALL, H5S_ALL, H5P_DEFAULT, into) < 0) {
            damaged("unreadable data in " + place);
        }
    }
};

template <class Row>
void fill(std::vector<Row>& rows, OpenColumn const& column, std::int64_t Row::* member) {
    if (H5Tget_class(column.type) != H5T_INTEGER) damaged(column.place + " holds no whole numbers");
    std::vector<std::int64_t> values(rows.size());
    column.read(H5T_NATIVE_INT64, values.data());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].*member = values[i];
}
template <class Row>
void fill(std::vector<Row>& rows, OpenColumn const& column, double Row::* member) {
    if (H5Tget_class(column.type) != H5T_FLOAT) damaged(column.place + " holds no real numbers");
    std::vector<double> values(rows.size());
    column.read(H5T_NATIVE_DOUBLE, values.data());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].*member = values[i];
}
template <class Row>
void fill(std::vector<Row>& rows, OpenColumn const& column, std::string Row::* member) {
    auto const width = text_width(column.type, column.place);
    std::vector<char> values(width * rows.size());
    column.read(column.type, values.data());
    for (std::size_t i = 0; i < rows.size(); ++i) {
        rows[i].*member = unpadded(values.data() + i * width, width);
    }
}

template <class Row>
std::vector<Row> read_rows(hid_t group,
                           std::string const& table,
                           std::vector<Column<Row>> const& columns) {
    std::vector<Row> rows;
    bool first = true;
    for (auto const& column : columns) {
        OpenColumn const open(group, table, column.name);
        if (first) rows.resize(open.rows);
        first = false;
        if (open.rows != rows.size()) damaged(open.place + " has another length than its table");
        std::visit([&](auto member) { fill(rows, open, member); }, column.member);
    }
    return rows;
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    auto const half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

/// As SampledCase says.
double representative(std::vector<Block> const& blocks, bool host) {
    std::vector<double> all, kept;
    for (auto const& block : blocks) {
        all.push_back(block.time_s);
        if (block.outlier == 0) kept.push_back(block.time_s);
    }
    if (host) return *std::ranges::min_element(all);
    return median(kept.empty() ? all : kept);
}

/// The cases of a table, in the order in which the file names them first.
template <class Row>
std::vector<Row> read_cases(hid_t file,
                            std::string const& table,
                            std::vector<Column<Row>> const& columns,
                            bool host) {
    if (H5Lexists(file, table.c_str(), H5P_DEFAULT) <= 0) return {};
    Hdf5Handle const group(H5Gopen2(file, table.c_str(), H5P_DEFAULT), H5Gclose,
                           "unreadable /" + table);
    auto const rows = read_rows<Row>(group, table, columns);
    auto const blocks =
        read_rows<Block>(group, table, {{"outlier", &Block::outlier}, {"time_s", &Block::time_s}});
    if (rows.size() != blocks.size()) damaged("/" + table + " has columns of unequal lengths");
    using Key = std::vector<std::variant<std::string, std::int64_t, double>>;
    std::map<Key, std::size_t> places;
    std::vector<Row> cases;
    std::vector<std::vector<Block>> times;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!std::isfinite(blocks[i].time_s) || blocks[i].time_s <= 0) {
            damaged(fmt::format("/{} row {} has a time of {} s", table, i, blocks[i].time_s));
        }
        Key key;
        for (auto const& column : columns) {
            std::visit([&](auto member) { key.emplace_back(rows[i].*member); }, column.member);
        }
        auto const [place, added] = places.try_emplace(key, cases.size());
        if (added) {
            cases.push_back(rows[i]);
            times.emplace_back();
        }
        times[place->second].push_back(blocks[i]);
    }
    for (std::size_t i = 0; i < cases.size(); ++i) {
        cases[i].seconds = representative(times[i], host);
        cases[i].blocks = static_cast<std::int64_t>(times[i].size());
    }
    return cases;
}

std::vector<Column<SampledCollective>> collective_columns() {
    using R = SampledCollective;
    return {{"suite", &R::suite},         {"op", &R::op},
            {"algorithm", &R::algorithm}, {"protocol", &R::protocol},
            {"launch", &R::launch},       {"wiring", &R::wiring},
            {"ranks", &R::ranks},         {"nodes", &R::nodes},
            {"channels", &R::channels},   {"bytes", &R::bytes},
            {"tokens", &R::tokens},       {"top_k", &R::top_k},
            {"dtype", &R::dtype},         {"in_place", &R::in_place}};
}
std::vector<Column<SampledGemm>> gemm_columns() {
    using R = SampledGemm;
    return {{"precision", &R::precision},
            {"m", &R::m},
            {"n", &R::n},
            {"k", &R::k},
            {"launch", &R::launch}};
}
std::vector<Column<SampledMemory>> memory_columns() {
    using R = SampledMemory;
    return {{"kind", &R::kind}, {"bytes", &R::bytes}, {"traffic_bytes", &R::traffic_bytes}};
}
std::vector<Column<SampledCopy>> copy_columns() {
    using R = SampledCopy;
    return {{"from", &R::from}, {"to", &R::to}, {"engine", &R::engine}, {"bytes", &R::bytes}};
}

void expect_ours(hid_t file, std::string const& path) {
    std::string format;
    try {
        format = text_attribute(file, "format");
    } catch (std::runtime_error const&) {
        throw ConfigError(
            fmt::format("{}: an HDF5 file of another program (expected the attribute format = {}, "
                        "as nvl72-measure -o leaves it)",
                        path, format_name));
    }
    if (format != format_name) {
        throw ConfigError(
            fmt::format("{}: format '{}' (expected {}, as nvl72-measure -o leaves "
                        "it)",
                        path, format, format_name));
    }
    if (auto const version = number_attribute(file, "version"); version != format_version) {
        throw ConfigError(
            fmt::format("{}: samples of format version {} (this program reads "
                        "version {}; measure again)",
                        path, version, format_version));
    }
}

/// Counts that later arithmetic relies on.
void expect_sane(Samples const& samples) {
    if (samples.device_kind != "host" && samples.device_kind != "cuda") {
        damaged("device_kind is '" + samples.device_kind + "' (cuda or host)");
    }
    for (auto const& row : samples.collectives) {
        if (row.ranks < 1 || row.nodes < 1 || row.bytes < 1) {
            damaged(fmt::format("/collectives has a case of {} ranks, {} nodes, {} bytes",
                                row.ranks, row.nodes, row.bytes));
        }
    }
    for (auto const& row : samples.gemms) {
        if (row.m < 1 || row.n < 1 || row.k < 1) {
            damaged(fmt::format("/gemm has a case of {} x {} x {}", row.m, row.n, row.k));
        }
    }
}

Samples read_all(hid_t file, std::string const& path) {
    Samples samples;
    samples.path = path;
    samples.date = text_attribute(file, "date");
    samples.device_kind = text_attribute(file, "device_kind");
    samples.device_name = text_attribute(file, "device_name");
    samples.command = text_attribute(file, "command");
    samples.nccl_version = text_attribute(file, "nccl_version");
    samples.device_count = number_attribute(file, "device_count");
    samples.nodes = number_attribute(file, "nodes");
    samples.cpu_cores = number_attribute(file, "cpu_cores");
    samples.multicast = number_attribute(file, "multicast");
    samples.peer_access = number_attribute(file, "peer_access");
    bool const host = samples.host();
    samples.collectives =
        read_cases<SampledCollective>(file, "collectives", collective_columns(), host);
    samples.gemms = read_cases<SampledGemm>(file, "gemm", gemm_columns(), host);
    samples.memory = read_cases<SampledMemory>(file, "memory", memory_columns(), host);
    samples.copies = read_cases<SampledCopy>(file, "copy", copy_columns(), host);
    samples.launches =
        read_cases<SampledLaunch>(file, "launch", {{"kind", &SampledLaunch::kind}}, host);
    expect_sane(samples);
    return samples;
}

bool has_rows(Samples const& samples) {
    return !samples.collectives.empty() || !samples.gemms.empty() || !samples.memory.empty() ||
           !samples.copies.empty() || !samples.launches.empty();
}

constexpr std::string_view signature = "\x89HDF\r\n\x1a\n";

}  // namespace

bool is_samples_file(std::string const& path) {
    std::ifstream in(path, std::ios::binary);
    std::string first(signature.size(), '\0');
    in.read(first.data(), static_cast<std::streamsize>(first.size()));
    return in && first == signature;
}

Samples read_samples(std::string const& path) {
    if (!std::ifstream(path, std::ios::binary)) {
        throw ConfigError(path + ": cannot be read (expected a samples file of nvl72-measure)");
    }
    if (!is_samples_file(path)) {
        throw ConfigError(path + ": not an HDF5 file (expected a samples file of nvl72-measure)");
    }
    Hdf5Session const session;
    try {
        Hdf5Handle const file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose,
                              "its header does not open");
        expect_ours(file, path);
        auto samples = read_all(file, path);
        if (!has_rows(samples)) {
            throw ConfigError(path +
                              ": no times in it (expected rows in /collectives, /gemm, "
                              "/memory, /copy or /launch; measure again)");
        }
        return samples;
    } catch (Error const&) {
        throw;
    } catch (std::exception const& failed) {
        throw ConfigError(
            fmt::format("{}: damaged or truncated: {} (expected a whole samples file "
                        "of nvl72-measure; measure again)",
                        path, failed.what()));
    }
}

}  // namespace nvl72
