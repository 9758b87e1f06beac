#include "sim/trace/hdf5_read.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace nvl72 {

namespace {

/// No column of ours comes near it: guards memory against a file that only claims to be ours.
constexpr hsize_t rows_max = hsize_t{1} << 32;

std::size_t rows_of(hid_t space, std::string const& name) {
    hsize_t rows = 1;
    int const rank = H5Sget_simple_extent_ndims(space);
    if (rank < 0 || rank > 1) hdf5_damaged(name + " is not one-dimensional");
    if (rank == 1) hdf5_expect(H5Sget_simple_extent_dims(space, &rows, nullptr) >= 0, name);
    if (rows > rows_max) hdf5_damaged(name + " has too many rows");
    return static_cast<std::size_t>(rows);
}

/// Bytes of one fixed-length text of `type`.
std::size_t text_width(hid_t type, std::string const& name) {
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0) {
        hdf5_damaged(name + " is not text of fixed length");
    }
    return H5Tget_size(type);
}

std::vector<std::string> unpadded(std::vector<char> const& rows,
                                  std::size_t width,
                                  std::size_t count) {
    std::vector<std::string> texts;
    texts.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        auto const begin = rows.begin() + static_cast<std::ptrdiff_t>(i * width);
        auto const end = begin + static_cast<std::ptrdiff_t>(width);
        texts.emplace_back(begin, std::find(begin, end, '\0'));
    }
    return texts;
}

/// An attribute, open.
struct Attribute {
    Hdf5Handle id, type;
    std::size_t rows = 0;

    Attribute(hid_t object, std::string const& name)
        : id(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "no attribute " + name),
          type(H5Aget_type(id), H5Tclose, name) {
        Hdf5Handle const space(H5Aget_space(id), H5Sclose, name);
        rows = rows_of(space, name);
    }
};

}  // namespace

void hdf5_damaged(std::string const& what) { throw std::runtime_error(what); }

Hdf5Handle hdf5_open_image(std::vector<char> const& bytes) {
    Hdf5Handle const access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "not enough memory");
    // The library copies the image; it takes it through a pointer to non-const.
    // NOLINTBEGIN(cppcoreguidelines-pro-type-const-cast)
    hdf5_expect(H5Pset_fapl_core(access, std::size_t{1} << 20, false) >= 0 &&
                    H5Pset_file_image(access, const_cast<char*>(bytes.data()), bytes.size()) >= 0,
                "not enough memory");
    // NOLINTEND(cppcoreguidelines-pro-type-const-cast)
    return {H5Fopen("image", H5F_ACC_RDONLY, access), H5Fclose, "its header does not open"};
}

std::vector<std::string> texts_attribute(hid_t object, std::string const& name) {
    Attribute const attribute(object, name);
    auto const width = text_width(attribute.type, "attribute " + name);
    std::vector<char> rows(std::max<std::size_t>(attribute.rows, 1) * width);
    hdf5_expect(H5Aread(attribute.id, attribute.type, rows.data()) >= 0,
                "unreadable attribute " + name);
    return unpadded(rows, width, attribute.rows);
}

std::string text_attribute(hid_t object, std::string const& name) {
    auto const texts = texts_attribute(object, name);
    if (texts.size() != 1) hdf5_damaged("attribute " + name + " is not one text");
    return texts.front();
}

std::uint64_t number_attribute(hid_t object, std::string const& name) {
    Attribute const attribute(object, name);
    std::uint64_t number = 0;
    hdf5_expect(H5Tget_class(attribute.type) == H5T_INTEGER && attribute.rows == 1 &&
                    H5Aread(attribute.id, H5T_NATIVE_UINT64, &number) >= 0,
                "attribute " + name + " is not a whole number");
    return number;
}

double real_attribute(hid_t object, std::string const& name) {
    Attribute const attribute(object, name);
    double number = 0;
    hdf5_expect(H5Tget_class(attribute.type) == H5T_FLOAT && attribute.rows == 1 &&
                    H5Aread(attribute.id, H5T_NATIVE_DOUBLE, &number) >= 0 && std::isfinite(number),
                "attribute " + name + " is not a real number");
    return number;
}

bool has_attribute(hid_t object, std::string const& name) {
    return H5Aexists(object, name.c_str()) > 0;
}

Hdf5Column::Hdf5Column(hid_t group, std::string const& name, std::string where)
    : place(std::move(where)),
      dataset(H5Dopen2(group, name.c_str(), H5P_DEFAULT), H5Dclose, "no column " + place),
      type(H5Dget_type(dataset), H5Tclose, place) {
    Hdf5Handle const space(H5Dget_space(dataset), H5Sclose, place);
    rows = rows_of(space, place);
}

/// Within what deflate can reach (1032 to 1).
void Hdf5Column::expect_bytes(std::size_t bytes_per_row) const {
    if (rows * bytes_per_row / 1100 > H5Dget_storage_size(dataset) + 1) {
        hdf5_damaged(place + " holds too few bytes");
    }
}

void Hdf5Column::read(hid_t as, void* into) const {
    if (H5Dread(dataset, as, H5S_ALL, H5S_ALL, H5P_DEFAULT, into) < 0) {
        hdf5_damaged("unreadable data in " + place);
    }
}

std::vector<std::int64_t> Hdf5Column::whole_numbers() const {
    if (kind() != H5T_INTEGER) hdf5_damaged(place + " holds no whole numbers");
    expect_bytes(H5Tget_size(type));
    std::vector<std::int64_t> values(rows);
    read(H5T_NATIVE_INT64, values.data());
    return values;
}

std::vector<double> Hdf5Column::real_numbers() const {
    if (kind() != H5T_FLOAT) hdf5_damaged(place + " holds no real numbers");
    expect_bytes(H5Tget_size(type));
    std::vector<double> values(rows);
    read(H5T_NATIVE_DOUBLE, values.data());
    return values;
}

std::vector<std::string> Hdf5Column::texts() const {
    auto const width = text_width(type, place);
    expect_bytes(width);
    std::vector<char> values(rows * width);
    read(type, values.data());
    return unpadded(values, width, rows);
}

}  // namespace nvl72
