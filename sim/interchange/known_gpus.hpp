#pragma once

#include "sim/config/library.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// What configs/gpus and configs/clusters tell of a GPU that a log or a table names.
struct KnownGpu {
    std::string name;
    bool spans_trays = false;  ///< a cluster has NVLink domains beyond one tray of it: racks
    std::int64_t direct = 0;   ///< GPUs of a unit that are wired to each other; 0: by switches
};

using KnownGpus = std::vector<KnownGpu>;

/// All of configs/gpus, by name.
KnownGpus known_gpus(Library const& library);

/// Null where there is none of that name.
KnownGpu const* find_gpu(KnownGpus const& gpus, std::string_view name);

}  // namespace nvl72
