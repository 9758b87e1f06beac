#include "topology/wiring.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <numeric>

namespace nvl72 {
namespace {

Place key_place(ClusterSpec const& spec, char const* key) {
    Place place = spec.place;
    place.key = place.key.empty() ? key : fmt::format("{}.{}", place.key, key);
    return place;
}

/// Links of each GPU to each of `targets`, checked against `links`.
std::vector<int> spread(ClusterSpec const& spec, int targets) {
    auto const& nvlink = spec.nvlink;
    if (nvlink.links_per_chip.empty()) {
        if (nvlink.links % targets != 0) {
            fail(key_place(spec, "nvlink.links"),
                 fmt::format("{} links over {}", nvlink.links, targets),
                 "a multiple, or links_per_chip to say how they spread");
        }
        return std::vector<int>(static_cast<std::size_t>(targets), nvlink.links / targets);
    }
    auto const& given = nvlink.links_per_chip;
    int const sum = std::accumulate(given.begin(), given.end(), 0);
    bool const positive = std::ranges::all_of(given, [](int n) { return n > 0; });
    if (static_cast<int>(given.size()) != targets || sum != nvlink.links || !positive) {
        fail(key_place(spec, "nvlink.links_per_chip"), fmt::format("[{}]", fmt::join(given, ", ")),
             fmt::format("{} positive numbers that sum to {}", targets, nvlink.links));
    }
    return given;
}

Wiring through_switches(ClusterSpec const& spec) {
    if (spec.nvlink.switch_chips < 1) {
        fail(key_place(spec, "nvlink.switch_chips"), "none", "at least 1");
    }
    std::vector<int> const counts = spread(spec, spec.nvlink.switch_chips);
    Wiring wiring{spec.gpus_per_unit, spec.nvlink.switch_chips, {}};
    for (int gpu = 0; gpu < wiring.gpus; ++gpu) {
        for (int chip = 0; chip < wiring.chips; ++chip) {
            wiring.wires.push_back({gpu, chip, counts[static_cast<std::size_t>(chip)]});
        }
    }
    return wiring;
}

}  // namespace

Wiring build_hgx(ClusterSpec const& spec) { return through_switches(spec); }

Wiring build_nvl72(ClusterSpec const& spec) {
    if (spec.nvlink.links != spec.nvlink.switch_chips) {
        fail(key_place(spec, "nvlink.switch_chips"), std::to_string(spec.nvlink.switch_chips),
             fmt::format("as many as links per GPU, {}: one link to each chip", spec.nvlink.links));
    }
    return through_switches(spec);
}

Wiring build_direct(ClusterSpec const& spec) {
    if (spec.nvlink.switch_chips != 0 || spec.gpus_per_unit < 2) {
        fail(key_place(spec, "nvlink.switch_chips"), "switch chips or a lone GPU",
             "no switches and at least 2 GPUs for kind direct");
    }
    std::vector<int> const counts = spread(spec, spec.gpus_per_unit - 1);
    if (std::ranges::adjacent_find(counts, std::not_equal_to<>()) != counts.end()) {
        fail(key_place(spec, "nvlink.links_per_chip"), "uneven links to peers",
             "the same to each peer");
    }
    Wiring wiring{spec.gpus_per_unit, 0, {}};
    for (int gpu = 0; gpu < wiring.gpus; ++gpu) {
        for (int peer = 0; peer < wiring.gpus; ++peer) {
            if (peer != gpu) wiring.wires.push_back({gpu, peer, counts.front()});
        }
    }
    return wiring;
}

Wiring build_host(ClusterSpec const& spec) { return {spec.gpus_per_unit, 0, {}}; }

std::vector<std::vector<int>> link_targets(Wiring const& wiring) {
    std::vector<std::vector<int>> targets(static_cast<std::size_t>(wiring.gpus));
    for (auto const& wire : wiring.wires) {
        auto& links = targets[static_cast<std::size_t>(wire.gpu)];
        links.insert(links.end(), static_cast<std::size_t>(wire.count), wire.to);
    }
    return targets;
}

std::vector<Check> wiring_checks(Wiring const& wiring, ClusterSpec const& spec) {
    std::vector<Check> checks;
    if (spec.threads()) {
        checks.push_back({"no_wires", wiring.wires.empty(),
                          "threads meet in memory, so any two are one step apart"});
        return checks;
    }
    auto const targets = link_targets(wiring);
    bool every_link = true;
    for (auto const& links : targets) {
        every_link = every_link && static_cast<int>(links.size()) == spec.nvlink.links;
    }
    checks.push_back(
        {"links_used_once", every_link,
         fmt::format("each of {} GPUs uses its {} links once", wiring.gpus, spec.nvlink.links)});
    int const ends = wiring.chips > 0 ? wiring.chips : wiring.gpus;
    std::vector<int> ports(static_cast<std::size_t>(ends));
    bool known = true;
    for (auto const& wire : wiring.wires) {
        known = known && wire.to >= 0 && wire.to < ends && wire.gpu >= 0 && wire.gpu < wiring.gpus;
        if (known) ports[static_cast<std::size_t>(wire.to)] += wire.count;
    }
    checks.push_back({"ends_exist", known, fmt::format("every wire ends at one of {}", ends)});
    int const most = *std::ranges::max_element(ports);
    int const have = wiring.chips > 0 ? spec.nvlink.switch_ports : spec.nvlink.links;
    checks.push_back({"ports_suffice", most <= have,
                      fmt::format("fullest {} uses {} of {} ports",
                                  wiring.chips > 0 ? "chip" : "GPU", most, have)});
    bool reach = true;  // behind switches: everyone on every chip; else: everyone wired to everyone
    for (auto const& links : targets) {
        std::vector<int> seen(links);
        std::ranges::sort(seen);
        auto const distinct = std::ranges::unique(seen).begin() - seen.begin();
        reach = reach && distinct == (wiring.chips > 0 ? wiring.chips : wiring.gpus - 1);
    }
    checks.push_back({"one_hop", reach,
                      wiring.chips > 0
                          ? "every GPU meets every chip, so any two GPUs are one switch apart"
                          : "every GPU is wired to every other"});
    return checks;
}

long long bisection_links(std::vector<int> links_up) {
    std::ranges::sort(links_up);
    auto const half = static_cast<std::ptrdiff_t>(links_up.size() / 2);
    return std::accumulate(links_up.begin(), links_up.begin() + half, 0LL);
}

long long bisection_links(std::vector<std::vector<int>> const& pair_links) {
    std::size_t const gpus = pair_links.size();
    NVL72_EXPECT(gpus >= 2 && gpus <= 16, "every balanced half of a direct node is tried");
    long long least = -1;
    for (unsigned half = 0; half < (1U << gpus); ++half) {
        if (static_cast<std::size_t>(__builtin_popcount(half)) != gpus / 2) continue;
        long long cut = 0;
        for (std::size_t a = 0; a < gpus; ++a) {
            for (std::size_t b = 0; b < gpus; ++b) {
                if (((half >> a) & 1U) != 0 && ((half >> b) & 1U) == 0) cut += pair_links[a][b];
            }
        }
        if (least < 0 || cut < least) least = cut;
    }
    return least;
}

}  // namespace nvl72
