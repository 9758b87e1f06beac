#pragma once

#include <cstddef>
#include <functional>

namespace nvl72 {

/// Calls `work` once for each of 0 .. count - 1 on so many threads, and throws the first one's
/// error, in their order; `progress` is told the finished share, by one thread at a time.
void on_threads(std::size_t count,
                int threads,
                std::function<void(std::size_t)> const& work,
                std::function<void(double)> const& progress);

}  // namespace nvl72
