#pragma once

#include <initializer_list>
#include <string>

namespace nvl72::measure {

/// A shared library that is opened when a suite uses it, never linked: the program starts without
/// it, and fast. It stays open to the end of the process.
class Library {
public:
    /// Throws CaseUnavailable, in one line, when no name can be opened; names are tried in order.
    Library(std::initializer_list<char const*> names, char const* what);

    /// A function of the library. Throws CaseUnavailable when it has none of that name.
    template <class Function>
    void find(Function*& function, char const* name) const {
        function = reinterpret_cast<Function*>(address(name));
    }

private:
    void* address(char const* name) const;
    void* handle_ = nullptr;
    std::string what_;
};

}  // namespace nvl72::measure
