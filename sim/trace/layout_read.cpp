#include "sim/base/error.hpp"
#include "sim/trace/hdf5_handle.hpp"
#include "sim/trace/layout.hpp"
#include "sim/trace/seal.hpp"

#include <algorithm>
#include <stdexcept>

namespace nvl72 {

namespace {

/// No column of ours comes near it: guards memory against a file that only claims to be ours.
constexpr hsize_t rows_max = hsize_t{1} << 32;

/// Not what write_result leaves; the text follows "damaged: ".
[[noreturn]] void damaged(std::string const& what) { throw std::runtime_error(what); }

std::size_t rows_of(hid_t space, std::string const& name) {
    hsize_t rows = 1;
    int const rank = H5Sget_simple_extent_ndims(space);
    if (rank < 0 || rank > 1) damaged(name + " is not one-dimensional");
    if (rank == 1) hdf5_expect(H5Sget_simple_extent_dims(space, &rows, nullptr) >= 0, name);
    if (rows > rows_max) damaged(name + " has too many rows");
    return static_cast<std::size_t>(rows);
}

std::vector<std::string> unpadded(std::vector<char> const& rows,
                                  std::size_t width,
                                  std::size_t count) {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < count; ++i) {
        auto const begin = rows.begin() + static_cast<std::ptrdiff_t>(i * width);
        auto const end = begin + static_cast<std::ptrdiff_t>(width);
        texts.emplace_back(begin, std::find(begin, end, '\0'));
    }
    return texts;
}

/// Bytes of one fixed-length text of `type`.
std::size_t text_width(hid_t type, std::string const& name) {
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0) {
        damaged(name + " is not text of fixed length");
    }
    return H5Tget_size(type);
}

std::vector<std::string> text_attribute(hid_t object, std::string const& name) {
    Hdf5Handle const attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose,
                               "no attribute " + name);
    Hdf5Handle const type(H5Aget_type(attribute), H5Tclose, name);
    Hdf5Handle const space(H5Aget_space(attribute), H5Sclose, name);
    auto const width = text_width(type, name);
    auto const count = rows_of(space, name);
    std::vector<char> rows(std::max<std::size_t>(count, 1) * width);
    hdf5_expect(H5Aread(attribute, type, rows.data()) >= 0, "unreadable attribute " + name);
    return unpadded(rows, width, count);
}

std::string text_of(hid_t object, std::string const& name) {
    auto const texts = text_attribute(object, name);
    if (texts.size() != 1) damaged("attribute " + name + " is not one text");
    return texts.front();
}

std::uint64_t number_of(hid_t object, std::string const& name) {
    Hdf5Handle const attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose,
                               "no attribute " + name);
    Hdf5Handle const type(H5Aget_type(attribute), H5Tclose, name);
    Hdf5Handle const space(H5Aget_space(attribute), H5Sclose, name);
    std::uint64_t number = 0;
    hdf5_expect(H5Tget_class(type) == H5T_INTEGER && rows_of(space, name) == 1 &&
                    H5Aread(attribute, H5T_NATIVE_UINT64, &number) >= 0,
                "attribute " + name + " is not a whole number");
    return number;
}

/// Names in a group in the order they were written (by name where the file keeps no order).
std::vector<std::string> names_in(hid_t group) {
    H5G_info_t info{};
    hdf5_expect(H5Gget_info(group, &info) >= 0, "unreadable group");
    auto const name_at = [group](H5_index_t index, hsize_t place, char* name, size_t size) {
        return H5Lget_name_by_idx(group, ".", index, H5_ITER_INC, place, name, size, H5P_DEFAULT);
    };
    std::vector<std::string> names;
    for (hsize_t i = 0; i < info.nlinks; ++i) {
        auto index = H5_INDEX_CRT_ORDER;
        auto length = name_at(index, i, nullptr, 0);
        if (length < 0) length = name_at(index = H5_INDEX_NAME, i, nullptr, 0);
        hdf5_expect(length >= 0, "unreadable name");
        std::string name(static_cast<std::size_t>(length), '\0');
        hdf5_expect(name_at(index, i, name.data(), name.size() + 1) >= 0, "unreadable name");
        names.push_back(name);
    }
    return names;
}

/// The stored bytes must be as many as the rows claim, within what deflate can reach (1032 to 1).
void expect_plausible(hid_t dataset, std::size_t bytes, std::string const& name) {
    if (bytes / 1100 > H5Dget_storage_size(dataset) + 1) damaged(name + " holds too few bytes");
}

std::vector<std::string> read_dictionary(hid_t file) {
    if (H5Lexists(file, "strings", H5P_DEFAULT) <= 0) return {};
    Hdf5Handle const dataset(H5Dopen2(file, "strings", H5P_DEFAULT), H5Dclose,
                             "unreadable /strings");
    Hdf5Handle const type(H5Dget_type(dataset), H5Tclose, "/strings");
    Hdf5Handle const space(H5Dget_space(dataset), H5Sclose, "/strings");
    auto const width = text_width(type, "/strings");
    auto const count = rows_of(space, "/strings");
    expect_plausible(dataset, count * width, "/strings");
    std::vector<char> rows(count * width);
    hdf5_expect(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows.data()) >= 0,
                "unreadable /strings");
    return unpadded(rows, width, count);
}

template <class Number>
std::vector<Number> read_numbers(hid_t dataset,
                                 hid_t type,
                                 std::size_t count,
                                 std::string const& name) {
    expect_plausible(dataset, count * sizeof(Number), name);
    std::vector<Number> numbers(count);
    hdf5_expect(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers.data()) >= 0,
                "unreadable data in " + name);
    return numbers;
}

ResultColumn read_column(hid_t group,
                         std::string const& table,
                         std::string const& name,
                         std::vector<std::string> const& dictionary) {
    auto const place = "/" + table + "/" + name;
    Hdf5Handle const dataset(H5Dopen2(group, name.c_str(), H5P_DEFAULT), H5Dclose,
                             "unreadable " + place);
    Hdf5Handle const type(H5Dget_type(dataset), H5Tclose, place);
    Hdf5Handle const space(H5Dget_space(dataset), H5Sclose, place);
    auto const count = rows_of(space, place);
    ResultColumn column{name,
                        text_of(dataset, "unit"),
                        text_of(dataset, "help"),
                        {},
                        number_of(dataset, "optional") != 0};
    if (H5Aexists(dataset, "dictionary") > 0) {
        std::vector<std::string> texts;
        for (auto const id : read_numbers<std::int32_t>(dataset, H5T_NATIVE_INT32, count, place)) {
            if (id < 0 || static_cast<std::size_t>(id) >= dictionary.size()) {
                damaged(place + " numbers a text that /strings lacks");
            }
            texts.push_back(dictionary[static_cast<std::size_t>(id)]);
        }
        column.values = std::move(texts);
    } else if (H5Tget_class(type) == H5T_INTEGER) {
        column.values = read_numbers<std::int64_t>(dataset, H5T_NATIVE_INT64, count, place);
    } else if (H5Tget_class(type) == H5T_FLOAT) {
        column.values = read_numbers<double>(dataset, H5T_NATIVE_DOUBLE, count, place);
    } else {
        damaged(place + " holds neither numbers nor text");
    }
    return column;
}

ResultTable read_table(hid_t file,
                       std::string const& name,
                       std::vector<std::string> const& dictionary) {
    Hdf5Handle const group(H5Gopen2(file, name.c_str(), H5P_DEFAULT), H5Gclose,
                           "unreadable /" + name);
    ResultTable table{name, {}};
    for (auto const& column : names_in(group)) {
        table.columns.push_back(read_column(group, name, column, dictionary));
        if (table.columns.back().rows() != table.columns.front().rows()) {
            damaged("/" + name + "/" + column + " has another length than its table");
        }
    }
    return table;
}

/// Said before anything else is read: a foreign file is no damaged one.
void expect_ours(hid_t file, std::string const& path) {
    std::string format;
    try {
        format = text_of(file, "format");
    } catch (std::runtime_error const&) {
        throw ConfigError(path +
                          ": an HDF5 file of another program (expected the attribute "
                          "format = nvl72sim-result)");
    }
    if (format != "nvl72sim-result") {
        throw ConfigError(path + ": format '" + format + "' (expected nvl72sim-result)");
    }
    if (auto const version = number_of(file, "version"); version != 1) {
        throw ConfigError(path + ": format version " + std::to_string(version) +
                          " (this program reads version 1)");
    }
}

ResultFile read_all(hid_t file, std::string& digest) {
    ResultFile result;
    digest = text_of(file, "digest");
    result.program_version = text_of(file, "program");
    result.config = text_of(file, "config");
    result.seed = number_of(file, "seed");
    result.calibrations = text_attribute(file, "calibrations");
    result.recipes = text_attribute(file, "recipes");
    auto const dictionary = read_dictionary(file);
    for (auto const& name : names_in(file)) {
        if (name != "strings") result.tables.push_back(read_table(file, name, dictionary));
    }
    return result;
}

Hdf5Handle open_image(std::vector<char> const& bytes) {
    Hdf5Handle const access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "not enough memory");
    // The library copies the image; it takes it through a pointer to non-const.
    // NOLINTBEGIN(cppcoreguidelines-pro-type-const-cast)
    hdf5_expect(H5Pset_fapl_core(access, std::size_t{1} << 20, false) >= 0 &&
                    H5Pset_file_image(access, const_cast<char*>(bytes.data()), bytes.size()) >= 0,
                "not enough memory");
    // NOLINTEND(cppcoreguidelines-pro-type-const-cast)
    return {H5Fopen("result", H5F_ACC_RDONLY, access), H5Fclose, "its header does not open"};
}

}  // namespace

ResultFile result_from_image(std::vector<char> const& bytes,
                             std::string const& path,
                             std::string& digest) {
    check_seal(bytes, path);
    Hdf5Session const session;
    try {
        auto const file = open_image(bytes);
        expect_ours(file, path);
        return read_all(file, digest);
    } catch (Error const&) {
        throw;
    } catch (std::exception const& failed) {
        throw ConfigError(path + ": damaged or truncated: " + failed.what() +
                          " (expected a whole result file of nvl72sim)");
    }
}

}  // namespace nvl72
