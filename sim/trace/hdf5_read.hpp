#pragma once

#include "sim/trace/hdf5_handle.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace nvl72 {

/// What reads the HDF5 files of this project, results and samples alike. All throw
/// std::runtime_error whose text follows "damaged: " and names what is not as it was written.
[[noreturn]] void hdf5_damaged(std::string const& what);

/// The file whose bytes these are; they must outlive the call only.
Hdf5Handle hdf5_open_image(std::vector<char> const& bytes);

/// Attributes of a file, group or dataset: texts of fixed length, whole numbers of at least 0,
/// finite reals.
std::vector<std::string> texts_attribute(hid_t object, std::string const& name);
std::string text_attribute(hid_t object, std::string const& name);
std::uint64_t number_attribute(hid_t object, std::string const& name);
double real_attribute(hid_t object, std::string const& name);
bool has_attribute(hid_t object, std::string const& name);

/// A one-dimensional dataset, open. Its bytes in the file are as many as its rows claim.
struct Hdf5Column {
    std::string place;  ///< "/sweep/gpus"
    Hdf5Handle dataset, type;
    std::size_t rows = 0;

    Hdf5Column(hid_t group, std::string const& name, std::string where);

    /// H5T_INTEGER, H5T_FLOAT or H5T_STRING; another for what we never write.
    [[nodiscard]] H5T_class_t kind() const { return H5Tget_class(type); }
    [[nodiscard]] std::vector<std::int64_t> whole_numbers() const;
    [[nodiscard]] std::vector<double> real_numbers() const;
    [[nodiscard]] std::vector<std::string> texts() const;

private:
    void expect_bytes(std::size_t bytes_per_row) const;
    void read(hid_t as, void* into) const;
};

}  // namespace nvl72
