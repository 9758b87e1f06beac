#include "sim/base/error.hpp"
#include "sim/trace/hdf5_handle.hpp"
#include "sim/trace/layout.hpp"
#include "sim/trace/seal.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string_view>
#include <unordered_map>

namespace nvl72 {

namespace {

constexpr hsize_t chunk_rows = 16384;  // 128 KiB of numbers: small files stay one chunk
constexpr unsigned deflate_level = 6;  // zlib's own default

/// What the library holds in memory while it writes; its callbacks keep the bytes past the close.
/// (H5Fget_file_image would do, but in 1.10 it clears a flag of the superblock and leaves the
/// superblock's checksum as it was: the file does not open.)
struct MemoryFile {
    void* bytes = nullptr;
    std::size_t size = 0;  ///< as allocated, in the library's steps

    MemoryFile() = default;
    MemoryFile(MemoryFile const&) = delete;
    MemoryFile& operator=(MemoryFile const&) = delete;
    ~MemoryFile() { std::free(bytes); }
};

void* image_malloc(size_t size, H5FD_file_image_op_t /*why*/, void* /*file*/) {
    return std::calloc(size, 1);
}
void* image_realloc(void* old, size_t size, H5FD_file_image_op_t /*why*/, void* data) {
    auto& file = *static_cast<MemoryFile*>(data);
    void* const bytes = std::realloc(old, size);
    if (bytes == nullptr) return nullptr;
    // Bytes that the library skips over must not differ from run to run.
    if (size > file.size) std::memset(static_cast<char*>(bytes) + file.size, 0, size - file.size);
    file.bytes = bytes;
    file.size = size;
    return bytes;
}
herr_t image_free(void* bytes, H5FD_file_image_op_t why, void* /*file*/) {
    if (why != H5FD_FILE_IMAGE_OP_FILE_CLOSE) std::free(bytes);
    return 0;
}
void* same_file(void* file) { return file; }
herr_t keep_file(void* /*file*/) { return 0; }

/// Bytes of a closed file: the library grows its memory in steps, the superblock (version 2 or 3,
/// HDF5 File Format Specification II.A) says at its byte 28 where the file ends.
std::vector<char> bytes_of(MemoryFile const& file) {
    auto const* begin = static_cast<char const*>(file.bytes);
    std::uint64_t size = 0;
    NVL72_EXPECT(file.size >= seal_size + 48, "an HDF5 file has a superblock");
    std::memcpy(&size, begin + seal_size + 28, sizeof size);
    NVL72_EXPECT(size >= seal_size + 48 && size <= file.size,
                 "an HDF5 file ends where its superblock says");
    return {begin, begin + size};
}

Hdf5Handle property_list(hid_t kind) { return {H5Pcreate(kind), H5Pclose, "make a property list"}; }

/// Every piece of metadata carries a checksum from format 1.10 on: damage is noticed. Objects keep
/// no times (identical bytes), links keep the order they were made in.
Hdf5Handle create_file(MemoryFile& file) {
    auto const access = property_list(H5P_FILE_ACCESS);
    H5FD_file_image_callbacks_t callbacks{image_malloc, nullptr,   image_realloc, image_free,
                                          same_file,    keep_file, &file};
    hdf5_expect(H5Pset_fapl_core(access, std::size_t{1} << 20, false) >= 0 &&
                    H5Pset_file_image_callbacks(access, &callbacks) >= 0 &&
                    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0,
                "set up a file in memory");
    auto const creation = property_list(H5P_FILE_CREATE);
    hdf5_expect(H5Pset_userblock(creation, seal_size) >= 0 &&
                    H5Pset_obj_track_times(creation, false) >= 0 &&
                    H5Pset_link_creation_order(creation,
                                               H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) >= 0,
                "set up a file");
    return {H5Fcreate("result", H5F_ACC_TRUNC, creation, access), H5Fclose, "create a file"};
}

Hdf5Handle create_group(hid_t file, std::string const& name) {
    auto const creation = property_list(H5P_GROUP_CREATE);
    hdf5_expect(H5Pset_obj_track_times(creation, false) >= 0 &&
                    H5Pset_link_creation_order(creation,
                                               H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) >= 0,
                "set up a group");
    return {H5Gcreate2(file, name.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT), H5Gclose,
            "create group " + name};
}

/// UTF-8 padded with NUL to the longest text. Not variable-length: those lie in a heap without
/// checksum or compression.
Hdf5Handle text_type(std::size_t longest) {
    Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "make a text type");
    hdf5_expect(H5Tset_size(type, std::max<std::size_t>(longest, 1)) >= 0 &&
                    H5Tset_cset(type, H5T_CSET_UTF8) >= 0 &&
                    H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0,
                "make a text type");
    return type;
}

std::size_t longest_of(std::vector<std::string> const& texts) {
    std::size_t longest = 1;
    for (auto const& text : texts) longest = std::max(longest, text.size());
    return longest;
}

/// One row per text, NUL-padded to `longest`.
std::vector<char> padded(std::vector<std::string> const& texts, std::size_t longest) {
    std::vector<char> rows(std::max<std::size_t>(texts.size(), 1) * longest, '\0');
    for (std::size_t i = 0; i < texts.size(); ++i) {
        std::ranges::copy(texts[i], rows.begin() + static_cast<std::ptrdiff_t>(i * longest));
    }
    return rows;
}

void write_attribute(
    hid_t object, std::string const& name, hid_t type, hid_t space, void const* data) {
    Hdf5Handle const attribute(
        H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
        "create attribute " + name);
    hdf5_expect(H5Awrite(attribute, type, data) >= 0, "write attribute " + name);
}

void write_attribute(hid_t object, std::string const& name, std::string const& text) {
    auto const type = text_type(text.size());
    Hdf5Handle const scalar(H5Screate(H5S_SCALAR), H5Sclose, "make a scalar");
    write_attribute(object, name, type, scalar, text.c_str());
}

void write_attribute(hid_t object, std::string const& name, std::uint64_t number) {
    Hdf5Handle const scalar(H5Screate(H5S_SCALAR), H5Sclose, "make a scalar");
    write_attribute(object, name, H5T_STD_U64LE, scalar, &number);
}

void write_attribute(hid_t object, std::string const& name, std::vector<std::string> const& texts) {
    auto const longest = longest_of(texts);
    auto const type = text_type(longest);
    hsize_t const rows = texts.size();
    Hdf5Handle const list(H5Screate_simple(1, &rows, nullptr), H5Sclose, "make a list");
    write_attribute(object, name, type, list, padded(texts, longest).data());
}

Hdf5Handle write_dataset(
    hid_t group, std::string const& name, hid_t type, std::size_t count, void const* data) {
    hsize_t const rows = count;
    hsize_t const chunk = std::min(rows, chunk_rows);
    auto const creation = property_list(H5P_DATASET_CREATE);
    hdf5_expect(H5Pset_obj_track_times(creation, false) >= 0 &&
                    H5Pset_chunk(creation, 1, &chunk) >= 0 && H5Pset_shuffle(creation) >= 0 &&
                    H5Pset_deflate(creation, deflate_level) >= 0,
                "set up dataset " + name);
    Hdf5Handle const space(H5Screate_simple(1, &rows, nullptr), H5Sclose, "make a column");
    Hdf5Handle dataset(
        H5Dcreate2(group, name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT), H5Dclose,
        "create dataset " + name);
    hdf5_expect(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0,
                "write dataset " + name);
    return dataset;
}

/// Distinct texts of a file, numbered in the order they first stand in it.
class Dictionary {
public:
    std::int32_t id(std::string const& text) {
        auto const [found, added] =
            ids_.try_emplace(std::string_view(text), static_cast<std::int32_t>(ids_.size()));
        if (added) texts_.push_back(text);
        return found->second;
    }
    [[nodiscard]] std::vector<std::string> const& texts() const { return texts_; }

private:
    std::unordered_map<std::string_view, std::int32_t> ids_;  // views into the result being written
    std::vector<std::string> texts_;
};

Hdf5Handle write_values(hid_t group, ResultColumn const& column, Dictionary& dictionary) {
    if (auto const* integers = std::get_if<std::vector<std::int64_t>>(&column.values)) {
        return write_dataset(group, column.name, H5T_STD_I64LE, integers->size(), integers->data());
    }
    if (auto const* reals = std::get_if<std::vector<double>>(&column.values)) {
        auto values = *reals;
        for (double& value : values) {
            if (std::isnan(value)) value = std::numeric_limits<double>::quiet_NaN();
        }
        return write_dataset(group, column.name, H5T_IEEE_F64LE, values.size(), values.data());
    }
    std::vector<std::int32_t> ids;
    for (auto const& text : std::get<std::vector<std::string>>(column.values)) {
        ids.push_back(dictionary.id(text));
    }
    auto dataset = write_dataset(group, column.name, H5T_STD_I32LE, ids.size(), ids.data());
    write_attribute(dataset, "dictionary", std::string("/strings"));
    return dataset;
}

void write_table(hid_t file, ResultTable const& table, Dictionary& dictionary) {
    auto const group = create_group(file, table.name);
    for (auto const& column : table.columns) {
        auto const dataset = write_values(group, column, dictionary);
        write_attribute(dataset, "unit", column.unit);
        write_attribute(dataset, "help", column.help);
        write_attribute(dataset, "optional", std::uint64_t{column.optional ? 1U : 0U});
    }
}

void write_dictionary(hid_t file, Dictionary const& dictionary) {
    if (dictionary.texts().empty()) return;
    auto const longest = longest_of(dictionary.texts());
    auto const type = text_type(longest);
    auto const dataset = write_dataset(file, "strings", type, dictionary.texts().size(),
                                       padded(dictionary.texts(), longest).data());
    write_attribute(dataset, "unit", std::string());
    write_attribute(dataset, "help", std::string("texts that columns with `dictionary` number"));
}

void write_all(hid_t file, ResultFile const& result) {
    write_attribute(file, "format", std::string("nvl72sim-result"));
    write_attribute(file, "version", std::uint64_t{1});
    write_attribute(file, "program", result.program_version);
    write_attribute(file, "config", result.config);
    write_attribute(file, "seed", result.seed);
    write_attribute(file, "calibrations", result.calibrations);
    write_attribute(file, "recipes", result.recipes);
    write_attribute(file, "digest", result.digest());
    Dictionary dictionary;
    for (auto const& table : result.tables) write_table(file, table, dictionary);
    write_dictionary(file, dictionary);
}

}  // namespace

std::vector<char> result_image(ResultFile const& result) {
    Hdf5Session const session;
    MemoryFile memory;
    try {
        auto file = create_file(memory);
        write_all(file, result);
        hdf5_expect(file.release(), "close the file");
    } catch (std::runtime_error const& failed) {
        throw Error(ExitCode::internal_error,
                    std::string("internal error: HDF5 could not ") + failed.what());
    }
    auto bytes = bytes_of(memory);
    seal(bytes);
    return bytes;
}

}  // namespace nvl72
