#pragma once

#include "kernels/measure/suites.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace nvl72::measure {

/// What the suite `memory` times; traffic counts arrays read plus arrays written.
struct MemoryKind {
    char const* name;
    int arrays_of_traffic;
};
inline constexpr MemoryKind memory_kinds[] = {{"copy", 2}, {"fill", 1}, {"reduce", 1}};

/// Every kind at every size over shared Arrays{largest size}, on host and GPU alike.
///   time_passes  (arrays, kind, bytes, iterations) -> seconds of one pass
template <class Arrays, class TimePasses>
std::vector<Case> memory_cases(std::vector<std::int64_t> const& sizes, TimePasses time_passes) {
    auto const arrays = std::make_shared<Arrays>(std::ranges::max(sizes));
    std::vector<Case> cases;
    for (auto const& kind : memory_kinds) {
        for (auto const bytes : sizes) {
            cases.push_back({MemoryRow{kind.name, bytes, kind.arrays_of_traffic * bytes},
                             [arrays, time_passes, name = std::string(kind.name), bytes](
                                 std::int64_t n) { return time_passes(*arrays, name, bytes, n); }});
        }
    }
    return cases;
}

}  // namespace nvl72::measure
