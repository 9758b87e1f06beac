#include "sim/study/levers.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace nvl72 {

namespace {

Seconds shorter(Seconds time, double factor) { return Seconds{time.count / factor}; }

Picoseconds shorter(Picoseconds time, double factor) {
    return from_seconds(to_seconds(time) / factor);
}

/// All ratios 1: nothing changes.
ProfileScale same(Profile const& profile) {
    ProfileScale scale;
    for (auto const& entry : profile.gemm->precisions) scale.compute.emplace_back(entry.first, 1.0);
    for (auto const& entry : profile.gemm->likened) scale.compute.emplace_back(entry.first, 1.0);
    for (auto const& entry : profile.attention->precisions) {
        auto const known = [&](auto const& other) { return other.first == entry.first; };
        if (std::ranges::none_of(scale.compute, known)) {
            scale.compute.emplace_back(entry.first, 1.0);
        }
    }
    return scale;
}

/// The tensor cores' rate in one precision; `like` is the row that prices it.
void grow_tensor_rate(LoadedPoint& point, std::string const& row, double factor) {
    auto scale = same(point.profile);
    for (auto& [name, ratio] : scale.compute) {
        if (name == row) ratio = factor;
    }
    point.profile = derive_profile(std::move(point.profile), scale);
}

/// The row whose tensor-core rate prices a precision's GEMMs.
std::string row_of(GemmSection const& gemm, Precision precision) {
    std::string name = name_of(precision);
    for (auto const& [likened, likeness] : gemm.likened) {
        if (likened == name) return likeness.like;
    }
    return name;
}

void grow_memory(LoadedPoint& point, double factor) {
    auto scale = same(point.profile);
    scale.hbm = factor;
    point.profile = derive_profile(std::move(point.profile), scale);
}

void grow_l2(LoadedPoint& point, double factor) {
    auto scale = same(point.profile);
    scale.l2 = factor;
    point.profile = derive_profile(std::move(point.profile), scale);
}

/// What a GPU needs before the first and after the last tile of a kernel, and the host for it.
void quicken_launches(LoadedPoint& point, double factor) {
    Profile& profile = point.profile;
    for (auto& entry : profile.gemm->precisions) {
        entry.second.launch = shorter(entry.second.launch, factor);
    }
    profile.gemm->split = shorter(profile.gemm->split, factor);
    for (auto& entry : profile.attention->precisions) {
        entry.second.launch = shorter(entry.second.launch, factor);
    }
    profile.memory->launch = shorter(profile.memory->launch, factor);
    point.recipe.kernel_launch = shorter(point.recipe.kernel_launch, factor);
    point.recipe.moe.host_sync = shorter(point.recipe.moe.host_sync, factor);
    point.recipe.moe.expert_launch = shorter(point.recipe.moe.expert_launch, factor);
}

/// Starts and ends of tiles and blocks: what SMs do beside multiplying.
void quicken_tiles(LoadedPoint& point, double factor) {
    for (auto& entry : point.profile.gemm->precisions) {
        entry.second.tile = shorter(entry.second.tile, factor);
    }
    for (auto& entry : point.profile.attention->precisions) {
        entry.second.cta = shorter(entry.second.cta, factor);
    }
    if (!point.profile.moe) return;
    for (auto* kernels : {&point.profile.moe->two_sided, &point.profile.moe->one_sided}) {
        if (!*kernels) continue;
        for (auto& entry : (*kernels)->rows) {
            if (entry.second.route) entry.second.route = shorter(*entry.second.route, factor);
        }
    }
}

/// Steps inside an NVLink domain, and the start of what runs there.
void quicken_nvlink(LoadedPoint& point, double factor) {
    if (auto& all = point.profile.collectives) {
        for (Seconds* time :
             {&all->ring_ll.base, &all->ring_ll.hop, &all->ring_ll.hop_data, &all->ring_ll128.step,
              &all->ring_simple.base, &all->ring_simple.step, &all->alltoall_ll.base,
              &all->alltoall_simple.base, &all->sendrecv.base, &all->tree.step_ll128}) {
            *time = shorter(*time, factor);
        }
        if (all->nvls) all->nvls->base = shorter(all->nvls->base, factor);
        if (all->symmetric) {
            all->symmetric->ll_base = shorter(all->symmetric->ll_base, factor);
            all->symmetric->base = shorter(all->symmetric->base, factor);
        }
    }
    if (!point.profile.moe) return;
    for (auto* kernels : {&point.profile.moe->two_sided, &point.profile.moe->one_sided}) {
        if (!*kernels) continue;
        for (auto& entry : (*kernels)->rows) {
            entry.second.base = shorter(entry.second.base, factor);
            entry.second.hop = shorter(entry.second.hop, factor);
        }
    }
}

/// Steps between NVLink domains.
void quicken_network(LoadedPoint& point, double factor) {
    auto& all = point.profile.collectives;
    if (!all) return;
    for (Seconds* time :
         {&all->network.hop_ll, &all->network.hop_ll128, &all->network.hop_simple,
          &all->network.tree_step, &all->network.alltoall_peer, &all->network.sendrecv_base,
          &all->network.message_gap, &all->network.message_gap_ll}) {
        *time = shorter(*time, factor);
    }
}

void add_tensor_rates(std::vector<Lever>& all, LoadedPoint const& point) {
    std::vector<std::string> rows;
    for (Precision const precision :
         {point.precision.linear, point.precision.head, point.precision.attention}) {
        auto const row = row_of(*point.profile.gemm, precision);
        if (std::ranges::find(rows, row) == rows.end()) rows.push_back(row);
    }
    for (std::string const& row : rows) {
        all.push_back({fmt::format("{} tensor-core rate", row),
                       [row](LoadedPoint& grown, double factor, Library const&) {
                           grow_tensor_rate(grown, row, factor);
                       }});
    }
}

}  // namespace

std::vector<Lever> levers_of(LoadedPoint const& point) {
    std::vector<Lever> all;
    add_tensor_rates(all, point);
    auto const add = [&](char const* title, auto grow) {
        all.push_back({title, [grow](LoadedPoint& grown, double factor, Library const&) {
                           grow(grown, factor);
                       }});
    };
    add("HBM bandwidth", grow_memory);
    add("L2 bandwidth", grow_l2);
    add("launch and host speed (1 / time)", quicken_launches);
    add("tile start and end speed (1 / time)", quicken_tiles);
    if (point.fabric.gpus() == 1) return all;
    all.push_back(
        {"NVLink bandwidth", [](LoadedPoint& grown, double factor, Library const& library) {
             auto const rate = grown.fabric.cluster().nvlink.link_bandwidth * factor;
             grown = changed_point(
                 std::move(grown),
                 [&](ClusterChoice& choice) { choice.nvlink_link_bandwidth = rate; }, library);
         }});
    add("NVLink speed (1 / latency)", quicken_nvlink);
    if (point.fabric.domains() == 1) return all;
    all.push_back({"NIC bandwidth", [](LoadedPoint& grown, double factor, Library const& library) {
                       auto const rate = grown.fabric.cluster().nics.line_rate * factor;
                       grown = changed_point(
                           std::move(grown),
                           [&](ClusterChoice& choice) { choice.nic_line_rate = rate; }, library);
                   }});
    add("network speed (1 / latency)", quicken_network);
    return all;
}

std::vector<Change> changes_of(LoadedPoint const& point) {
    std::vector<Change> all;
    Fabric const& fabric = point.fabric;
    ClusterSpec const& cluster = fabric.cluster();
    auto const fault = [&](std::string const& title, auto FaultsSpec::* list, std::string text) {
        all.push_back({title, [list, text = std::move(text)](ClusterChoice& choice) {
                           (choice.faults.*list).push_back({choice.place, text});
                       }});
    };
    if (cluster.nvlink.switch_chips > 0) {
        fault("one NVLink plane lost", &FaultsSpec::switch_chips,
              fmt::format("{} 0 chip 0", cluster.unit));
    }
    if (cluster.nvlink.chips_per_tray > 0) {
        fault("one switch tray lost", &FaultsSpec::switch_trays,
              fmt::format("{} 0 tray 0", cluster.unit));
    }
    if (cluster.kind == "nvl72") {
        for (std::int64_t const domain : {8, 36, 72}) {
            if (domain == fabric.gpus_per_domain() || domain > cluster.gpus_per_unit) continue;
            all.push_back({fmt::format("NVLink domains of {}", domain),
                           [domain](ClusterChoice& choice) { choice.nvlink_domain = domain; }});
        }
    }
    if (fabric.domains() == 1) return all;
    fault("one NIC lost", &FaultsSpec::nics, "gpu 0");
    all.push_back({"half the NICs' rate", [rate = cluster.nics.line_rate](ClusterChoice& choice) {
                       choice.nic_line_rate = rate * 0.5;
                   }});
    if (fabric.routing() == Routing::adaptive) {
        all.push_back({"ECMP in place of adaptive routing",
                       [](ClusterChoice& choice) { choice.routing = Routing::ecmp; }});
    }
    return all;
}

LoadedPoint changed_point(LoadedPoint point,
                          std::function<void(ClusterChoice&)> const& make,
                          Library const& library) {
    make(point.system.cluster);
    point.fabric = build_fabric(point.system.cluster, library);
    if (point.fabric.gpus() != point.parallel.gpus) {
        fail(point.system.cluster.place,
             fmt::format("{} GPUs for a layout of {}", point.fabric.gpus(), point.parallel.gpus),
             "as many");
    }
    return point;
}

}  // namespace nvl72
