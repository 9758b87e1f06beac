#pragma once

#include <cstdint>
#include <string>

namespace nvl72 {

/// A point whose memory does not hold it: there is no step of it.
struct UnfitPoint {
    std::string kind, system;
    std::int64_t gpus = 0, global_batch = 0;
    std::string reason;  ///< one line, and the table of who owns each GiB
};

}  // namespace nvl72
