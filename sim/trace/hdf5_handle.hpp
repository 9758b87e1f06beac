#pragma once

#include <hdf5.h>
#include <mutex>
#include <string>
#include <utility>

namespace nvl72 {

/// An HDF5 object that closes itself. Converts to hid_t where the C API wants one.
class Hdf5Handle {
public:
    using Close = herr_t (*)(hid_t);

    /// Throws std::runtime_error naming `what` when `id` is the library's "failed".
    Hdf5Handle(hid_t id, Close close, std::string const& what);
    Hdf5Handle(Hdf5Handle&& other) noexcept
        : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
    Hdf5Handle& operator=(Hdf5Handle&&) = delete;
    Hdf5Handle(Hdf5Handle const&) = delete;
    Hdf5Handle& operator=(Hdf5Handle const&) = delete;
    ~Hdf5Handle() { (void)release(); }

    operator hid_t() const { return id_; }  // NOLINT(google-explicit-constructor)

    /// Closes now; false when the library could not.
    bool release() {
        if (id_ < 0) return true;
        return close_(std::exchange(id_, H5I_INVALID_HID)) >= 0;
    }

private:
    hid_t id_;
    Close close_;
};

/// Throws std::runtime_error naming `what` when an HDF5 call returned its "failed" (negative).
void hdf5_expect(bool held, std::string const& what);

/// While it lives, this thread owns the library (Debian's is not thread-safe) and the library
/// prints no error stacks: our one-line errors say what matters.
class Hdf5Session {
public:
    Hdf5Session();
    Hdf5Session(Hdf5Session const&) = delete;
    Hdf5Session& operator=(Hdf5Session const&) = delete;
    ~Hdf5Session();

private:
    std::lock_guard<std::mutex> lock_;
    H5E_auto2_t print_ = nullptr;
    void* print_data_ = nullptr;
};

}  // namespace nvl72
