#include "sim/trace/hdf5_handle.hpp"

#include <stdexcept>

namespace nvl72 {

namespace {

std::mutex& library_mutex() {
    static std::mutex mutex;
    return mutex;
}

}  // namespace

void hdf5_expect(bool held, std::string const& what) {
    if (!held) throw std::runtime_error(what);
}

Hdf5Handle::Hdf5Handle(hid_t id, Close close, std::string const& what) : id_(id), close_(close) {
    hdf5_expect(id >= 0, what);
}

Hdf5Session::Hdf5Session() : lock_(library_mutex()) {
    H5Eget_auto2(H5E_DEFAULT, &print_, &print_data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Hdf5Session::~Hdf5Session() {
    H5Eclear2(H5E_DEFAULT);
    H5Eset_auto2(H5E_DEFAULT, print_, print_data_);
}

}  // namespace nvl72
