#include "sim/base/error.hpp"
#include "sim/trace/hdf5_read.hpp"
#include "sim/trace/layout.hpp"
#include "sim/trace/seal.hpp"

#include <stdexcept>

namespace nvl72 {

namespace {

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

std::vector<std::string> read_dictionary(hid_t file) {
    if (H5Lexists(file, "strings", H5P_DEFAULT) <= 0) return {};
    return Hdf5Column(file, "strings", "/strings").texts();
}

ResultColumn read_column(hid_t group,
                         std::string const& table,
                         std::string const& name,
                         std::vector<std::string> const& dictionary) {
    Hdf5Column const open(group, name, "/" + table + "/" + name);
    ResultColumn column{name,
                        text_attribute(open.dataset, "unit"),
                        text_attribute(open.dataset, "help"),
                        {},
                        number_attribute(open.dataset, "optional") != 0};
    if (H5Aexists(open.dataset, "dictionary") > 0) {
        std::vector<std::string> texts;
        for (auto const id : open.whole_numbers()) {
            if (id < 0 || static_cast<std::size_t>(id) >= dictionary.size()) {
                hdf5_damaged(open.place + " numbers a text that /strings lacks");
            }
            texts.push_back(dictionary[static_cast<std::size_t>(id)]);
        }
        column.values = std::move(texts);
    } else if (open.kind() == H5T_INTEGER) {
        column.values = open.whole_numbers();
    } else if (open.kind() == H5T_FLOAT) {
        column.values = open.real_numbers();
    } else {
        hdf5_damaged(open.place + " holds neither numbers nor text");
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
            hdf5_damaged("/" + name + "/" + column + " has another length than its table");
        }
    }
    return table;
}

/// Said before anything else is read: a foreign file is no damaged one.
void expect_ours(hid_t file, std::string const& path) {
    std::string format;
    try {
        format = text_attribute(file, "format");
    } catch (std::runtime_error const&) {
        throw ConfigError(path +
                          ": an HDF5 file of another program (expected the attribute "
                          "format = nvl72sim-result)");
    }
    if (format != "nvl72sim-result") {
        throw ConfigError(path + ": format '" + format + "' (expected nvl72sim-result)");
    }
    if (auto const version = number_attribute(file, "version"); version != 1) {
        throw ConfigError(path + ": format version " + std::to_string(version) +
                          " (this program reads version 1)");
    }
}

ResultFile read_all(hid_t file, std::string& digest) {
    ResultFile result;
    digest = text_attribute(file, "digest");
    result.program_version = text_attribute(file, "program");
    result.config = text_attribute(file, "config");
    result.seed = number_attribute(file, "seed");
    result.calibrations = texts_attribute(file, "calibrations");
    result.recipes = texts_attribute(file, "recipes");
    auto const dictionary = read_dictionary(file);
    for (auto const& name : names_in(file)) {
        if (name != "strings") result.tables.push_back(read_table(file, name, dictionary));
    }
    return result;
}

}  // namespace

ResultFile result_from_image(std::vector<char> const& bytes,
                             std::string const& path,
                             std::string& digest) {
    check_seal(bytes, path);
    Hdf5Session const session;
    try {
        auto const file = hdf5_open_image(bytes);
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
