#include "kernels/measure/samples.hpp"

#include "kernels/measure/errors.hpp"

#include <algorithm>
#include <boost/crc.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fstream>
#include <hdf5.h>
#include <iterator>
#include <unistd.h>
#include <utility>

namespace nvl72::measure {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t format_version = 2;
constexpr std::size_t seal_size = 512;  // HDF5's smallest user block
constexpr hsize_t chunk_rows = 16384;   // 128 KiB of numbers: small files stay one chunk
constexpr unsigned deflate_level = 6;   // zlib's own default

/// An HDF5 object that closes itself.
class Handle {
public:
    using Close = herr_t (*)(hid_t);
    Handle(hid_t id, Close close) : id_(id), close_(close) {
        if (id < 0) throw std::runtime_error("HDF5 made no object");
    }
    Handle(Handle&& other) noexcept
        : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
    Handle& operator=(Handle&&) = delete;
    Handle(Handle const&) = delete;
    Handle& operator=(Handle const&) = delete;
    ~Handle() {
        if (id_ >= 0) close_(id_);
    }
    operator hid_t() const { return id_; }  // NOLINT(google-explicit-constructor)

private:
    hid_t id_;
    Close close_;
};

void expect(herr_t result) {
    if (result < 0) throw std::runtime_error("an HDF5 call failed");
}

/// Objects keep no time stamps: equal content gives equal bytes.
Handle creation_list(hid_t kind) {
    Handle list(H5Pcreate(kind), H5Pclose);
    expect(H5Pset_obj_track_times(list, false));
    return list;
}

Handle text_type(std::size_t length) {
    Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
    expect(H5Tset_size(type, std::max<std::size_t>(length, 1)));
    expect(H5Tset_cset(type, H5T_CSET_UTF8));
    expect(H5Tset_strpad(type, H5T_STR_NULLPAD));
    return type;
}

void write_attribute(hid_t object, char const* name, hid_t type, void const* data) {
    Handle const space(H5Screate(H5S_SCALAR), H5Sclose);
    Handle const attribute(H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT),
                           H5Aclose);
    expect(H5Awrite(attribute, type, data));
}
void attribute(hid_t object, char const* name, std::string const& text) {
    auto const type = text_type(text.size());
    write_attribute(object, name, type, text.empty() ? "\0" : text.data());
}
void attribute(hid_t object, char const* name, std::int64_t number) {
    write_attribute(object, name, H5T_NATIVE_INT64, &number);
}

void attribute(hid_t object, char const* name, double number) {
    write_attribute(object, name, H5T_NATIVE_DOUBLE, &number);
}

void write_column(hid_t group,
                  char const* name,
                  hid_t type,
                  std::size_t count,
                  void const* data,
                  char const* unit,
                  char const* help) {
    hsize_t const rows = count;
    hsize_t const chunk = std::min(rows, chunk_rows);
    auto const creation = creation_list(H5P_DATASET_CREATE);
    expect(H5Pset_chunk(creation, 1, &chunk));
    expect(H5Pset_shuffle(creation));
    expect(H5Pset_deflate(creation, deflate_level));
    Handle const space(H5Screate_simple(1, &rows, nullptr), H5Sclose);
    Handle const dataset(H5Dcreate2(group, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT),
                         H5Dclose);
    expect(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data));
    attribute(dataset, "unit", std::string(unit));
    attribute(dataset, "help", std::string(help));
}

/// One member of all rows as a dataset.
template <class Row>
void write_member(hid_t group, RowColumn<Row> const& column, std::vector<Row> const& rows) {
    auto const put = [&](hid_t type, void const* data) {
        write_column(group, column.name, type, rows.size(), data, column.unit, column.help);
    };
    if (auto const* integer = std::get_if<std::int64_t Row::*>(&column.member)) {
        std::vector<std::int64_t> values;
        values.reserve(rows.size());
        for (auto const& row : rows) values.push_back(row.**integer);
        put(H5T_NATIVE_INT64, values.data());
    } else if (auto const* real = std::get_if<double Row::*>(&column.member)) {
        std::vector<double> values;
        values.reserve(rows.size());
        for (auto const& row : rows) values.push_back(row.**real);
        put(H5T_NATIVE_DOUBLE, values.data());
    } else {
        auto const text = std::get<std::string Row::*>(column.member);
        std::size_t longest = 1;
        for (auto const& row : rows) longest = std::max(longest, (row.*text).size());
        std::vector<char> values(longest * rows.size(), '\0');
        for (std::size_t i = 0; i < rows.size(); ++i) {
            auto const& value = rows[i].*text;
            std::copy(value.begin(), value.end(), values.begin() + static_cast<long>(i * longest));
        }
        put(text_type(longest), values.data());
    }
}

template <class Row>
void write_rows(hid_t group, std::vector<Row> const& rows) {
    for (auto const& column : row_columns<Row>()) write_member(group, column, rows);
}

Handle make_group(hid_t file, char const* name) {
    auto const creation = creation_list(H5P_GROUP_CREATE);
    return {H5Gcreate2(file, name, H5P_DEFAULT, creation, H5P_DEFAULT), H5Gclose};
}

/// The table of all cases of one kind, a row per block.
template <class Row>
void write_cases(hid_t file, std::vector<CaseTimes> const& cases) {
    std::vector<Row> rows;
    std::vector<Timing> timings;
    for (auto const& one : cases) {
        auto const* row = std::get_if<Row>(&one.row);
        if (row == nullptr) continue;
        rows.insert(rows.end(), one.blocks.size(), *row);
        timings.insert(timings.end(), one.blocks.begin(), one.blocks.end());
    }
    if (rows.empty()) return;
    auto const group = make_group(file, table_name<Row>());
    write_rows(group, rows);
    write_rows(group, timings);
}

template <class Row>
void write_plain(hid_t file, std::vector<Row> const& rows) {
    if (rows.empty()) return;
    write_rows(make_group(file, table_name<Row>()), rows);
}

std::string utc_day() {
    return fmt::format(
        "{:%Y-%m-%d}",
        fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
}

void write_about(hid_t file, Samples const& samples) {
    auto const& machine = samples.machine;
    attribute(file, "format", "nvl72-samples");
    attribute(file, "version", format_version);
    attribute(file, "program_version", NVL72_VERSION);
    attribute(file, "command", samples.command);
    attribute(file, "date", utc_day());
    for (auto const& [name, value] : std::initializer_list<std::pair<char const*, std::string>>{
             {"device_kind", machine.device_kind},
             {"device_name", machine.device_name},
             {"cpu_model", machine.cpu_model},
             {"compiler", machine.compiler},
             {"driver_version", machine.driver_version},
             {"cuda_version", machine.cuda_version},
             {"nccl_version", machine.nccl_version},
             {"cublaslt_version", machine.cublaslt_version},
             {"compute_capability", machine.compute_capability}}) {
        attribute(file, name, value);
    }
    for (auto const& [name, value] : std::initializer_list<std::pair<char const*, std::int64_t>>{
             {"device_count", machine.device_count},
             {"nodes", machine.nodes},
             {"seed", static_cast<std::int64_t>(samples.method.seed)},
             {"blocks", samples.method.blocks},
             {"warmup", samples.method.warmup},
             {"iterations", samples.method.iterations},
             {"cpu_cores", machine.cpu_cores},
             {"host_memory_bytes", machine.host_memory_bytes},
             {"llc_bytes", machine.llc_bytes},
             {"sm_count", machine.sm_count},
             {"l2_bytes", machine.l2_bytes},
             {"device_memory_bytes", machine.device_memory_bytes},
             {"core_clock_max_hz", machine.core_clock_max_hz},
             {"memory_clock_max_hz", machine.memory_clock_max_hz},
             {"multicast", machine.multicast},
             {"peer_access", machine.peer_access}}) {
        attribute(file, name, value);
    }
    if (samples.drift.batch.empty()) return;
    attribute(file, "drift", samples.drift.share);
    attribute(file, "drift_batch", samples.drift.batch);
}

void write_file(std::string const& path, Samples const& samples) {
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // our one line says what matters
    auto const creation = creation_list(H5P_FILE_CREATE);
    expect(H5Pset_userblock(creation, seal_size));
    Handle const file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, H5P_DEFAULT), H5Fclose);
    write_about(file, samples);
    write_cases<CollectiveRow>(file, samples.cases);
    write_cases<GemmRow>(file, samples.cases);
    write_cases<MemoryRow>(file, samples.cases);
    write_cases<CopyRow>(file, samples.cases);
    write_cases<LaunchRow>(file, samples.cases);
    write_cases<OverlapRow>(file, samples.cases);
    write_plain(file, samples.clocks);
    write_plain(file, samples.skipped);
    expect(H5Fflush(file, H5F_SCOPE_LOCAL));
}

/// Writes the checksum of what stands behind it to the front of a closed file (kernels/SAMPLES.md):
/// readers compare it before libhdf5, which damage can crash, parses anything.
void seal(std::string const& path) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(seal_size);
    std::string const rest{std::istreambuf_iterator<char>(file), {}};
    boost::crc_32_type crc;
    crc.process_bytes(rest.data(), rest.size());
    auto block = fmt::format("nvl72 samples {} crc32 {:08x} {}\n", format_version, crc.checksum(),
                             rest.size());
    block.resize(seal_size, '\n');
    file.clear();
    file.seekp(0);
    file.write(block.data(), static_cast<std::streamsize>(block.size()));
    if (rest.empty() || !file.flush()) throw std::runtime_error("its checksum was not written");
}

fs::path folder_of(fs::path const& file) {
    return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

/// On disk before its name points to it.
bool synced(fs::path const& path) {
    int const file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    bool const held = ::fsync(file) == 0;
    ::close(file);
    return held;
}

}  // namespace

void check_writable(std::string const& path) {
    if (path.empty()) throw InputError("-o: '' (expected a file such as samples.h5)");
    std::error_code error;
    if (fs::is_directory(path, error)) {
        throw InputError(path + ": is a folder (expected a file to write)");
    }
    auto const folder = folder_of(path);
    if (!fs::is_directory(folder, error) || ::access(folder.c_str(), W_OK | X_OK) != 0) {
        throw InputError(path + ": cannot be written: folder " + folder.string() + ": " +
                         std::strerror(errno != 0 ? errno : ENOTDIR));
    }
}

void write_samples(std::string const& path, Samples const& samples) {
    if (samples.cases.empty()) throw std::runtime_error("a samples file without samples");
    fs::path const temporary = folder_of(path) / (".nvl72-" + std::to_string(::getpid()) + ".tmp");
    std::error_code error;
    try {
        write_file(temporary, samples);
        seal(temporary);
        if (!synced(temporary)) throw std::runtime_error(std::strerror(errno));
        fs::rename(temporary, path);
    } catch (std::exception const& why) {
        fs::remove(temporary, error);
        throw InputError(path + ": cannot be written: " + why.what());
    }
}

}  // namespace nvl72::measure
