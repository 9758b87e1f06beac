#include "sim/interchange/known_gpus.hpp"

#include "topology/cluster.hpp"

#include <algorithm>

namespace nvl72 {

KnownGpus known_gpus(Library const& library) {
    KnownGpus gpus;
    for (auto const& name : library.names("gpus")) gpus.push_back({name, false, 0});
    for (auto const& name : library.names("clusters")) {
        auto const cluster = load_cluster(library, name, {"configs/clusters", 0, ""});
        auto const gpu = std::ranges::find(gpus, cluster.gpu, &KnownGpu::name);
        if (gpu == gpus.end() || cluster.threads()) continue;
        if (cluster.gpus_per_unit > cluster.gpus_per_tray) gpu->spans_trays = true;
        if (cluster.nvlink.switch_chips == 0) gpu->direct = cluster.gpus_per_unit;
    }
    return gpus;
}

KnownGpu const* find_gpu(KnownGpus const& gpus, std::string_view name) {
    auto const found = std::ranges::find(gpus, name, &KnownGpu::name);
    return found == gpus.end() ? nullptr : &*found;
}

}  // namespace nvl72
