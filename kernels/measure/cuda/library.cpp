#include "kernels/measure/cuda/library.hpp"

#include "kernels/measure/errors.hpp"

#include <dlfcn.h>

namespace nvl72::measure {

Library::Library(std::initializer_list<char const*> names, char const* what) : what_(what) {
    for (auto const* name : names) {
        handle_ = dlopen(name, RTLD_NOW | RTLD_LOCAL);
        if (handle_ != nullptr) return;
    }
    throw CaseUnavailable(what_ +
                          " cannot be opened (install it or set LD_LIBRARY_PATH): " + dlerror());
}

void* Library::address(char const* name) const {
    auto* const found = dlsym(handle_, name);
    if (found == nullptr) throw CaseUnavailable(what_ + " has no " + name + " (too old?)");
    return found;
}

}  // namespace nvl72::measure
