#pragma once

namespace nvl72::measure {

/// What the suite `memory` times; traffic counts arrays read plus arrays written.
struct MemoryKind {
    char const* name;
    int arrays_of_traffic;
};
inline constexpr MemoryKind memory_kinds[] = {{"copy", 2}, {"fill", 1}, {"reduce", 1}};

}  // namespace nvl72::measure
