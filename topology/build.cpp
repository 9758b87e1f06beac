#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "topology/fabric.hpp"
#include "topology/wiring.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <optional>

namespace nvl72 {
namespace {

std::size_t index(std::int64_t value) { return static_cast<std::size_t>(value); }

TopologyKind const& kind_of(ClusterSpec const& spec) {
    std::vector<std::string> names;
    for (auto const& kind : topology_kinds()) {
        if (kind.name == spec.kind) return kind;
        names.emplace_back(kind.name);
    }
    Place place = spec.place;
    place.key = "kind";
    auto const near = nearest_name(spec.kind, names);
    throw ConfigError(fmt::format("{}: unknown '{}' ({}expected {})", place.text(), spec.kind,
                                  near.empty() ? "" : fmt::format("did you mean {}? ", near),
                                  join(names, " | ")));
}

/// "gpu 5 link 2" -> the numbers after `words`, in their order; a word in brackets may be absent.
/// `first` may also be any of rack, box, node when it is the unit.
std::optional<std::vector<std::int64_t>> numbers_after(std::string const& text,
                                                       std::vector<std::string> const& words,
                                                       std::size_t needed) {
    std::vector<std::string> parts;
    for (auto const& part : split(text, ' ')) {
        if (!part.empty()) parts.push_back(part);
    }
    if (parts.size() % 2 != 0 || parts.size() / 2 < needed || parts.size() / 2 > words.size()) {
        return std::nullopt;
    }
    std::vector<std::int64_t> numbers;
    for (std::size_t i = 0; i < parts.size(); i += 2) {
        auto const& number = parts[i + 1];
        std::int64_t value = -1;
        auto const read = std::from_chars(number.data(), number.data() + number.size(), value);
        if (parts[i] != words[i / 2] || read.ec != std::errc{} ||
            read.ptr != number.data() + number.size() || value < 0) {
            return std::nullopt;
        }
        numbers.push_back(value);
    }
    return numbers;
}

void apply_overrides(ClusterSpec& cluster, ClusterChoice const& choice) {
    if (choice.fabric.resiliency) cluster.resiliency = *choice.fabric.resiliency;
    if (choice.nvlink_link_bandwidth) {
        if (!(choice.nvlink_link_bandwidth->count > 0)) {
            fail(choice.nvlink_link_bandwidth_place, "zero", "more than 0");
        }
        cluster.nvlink.link_bandwidth = *choice.nvlink_link_bandwidth;
    }
    if (choice.nic_line_rate) {
        if (!(choice.nic_line_rate->count > 0)) {
            fail(choice.nic_line_rate_place, "zero", "more than 0");
        }
        cluster.nics.line_rate = *choice.nic_line_rate;
    }
    if (choice.oversubscription) {
        if (*choice.oversubscription < 1) {
            fail(choice.oversubscription_place, fmt::format("{}", *choice.oversubscription),
                 "1 or more");
        }
        cluster.network.oversubscription = *choice.oversubscription;
    }
}

/// GPUs of a rack that whole segments take; they share its NVLink.
std::int64_t segments_size(ClusterSpec const& cluster, ClusterChoice const& choice) {
    std::int64_t const trays = cluster.gpus_per_unit / cluster.gpus_per_tray;
    bool const possible = cluster.kind == "nvl72" && choice.segment > 0 && choice.segment <= trays;
    if (!possible) {
        fail(choice.segment_place, fmt::format("{} trays", choice.segment),
             cluster.kind == "nvl72"
                 ? fmt::format("1 to {}, the trays of a {}", trays, cluster.unit)
                 : fmt::format("0: a {} of {} is a node", cluster.unit, cluster.name));
    }
    if (choice.nvlink_domain != 0) {
        fail(choice.segment_place, fmt::format("{} trays", choice.segment),
             "either a segment or an nvlink_domain");
    }
    std::int64_t const gpus = choice.segment * cluster.gpus_per_tray;
    if (choice.gpus % gpus != 0) {
        fail(choice.gpus_place,
             fmt::format("{} GPUs in segments of {} trays", choice.gpus, choice.segment),
             fmt::format("a multiple of {}, as Slurm asks for whole segments", gpus));
    }
    return trays / choice.segment * gpus;
}

std::int64_t domain_size(ClusterSpec const& cluster, ClusterChoice const& choice) {
    if (choice.segment != 0) return segments_size(cluster, choice);
    std::int64_t const asked = choice.nvlink_domain;
    if (asked == 0) return cluster.gpus_per_unit;
    bool const possible = cluster.kind == "nvl72" && asked > 0 && asked <= cluster.gpus_per_unit &&
                          asked % cluster.gpus_per_tray == 0;
    if (!possible) {
        fail(choice.nvlink_domain_place, fmt::format("{} GPUs", asked),
             cluster.kind == "nvl72"
                 ? fmt::format("a multiple of {} up to {}, such as 8, 16, 36 or 72",
                               cluster.gpus_per_tray, cluster.gpus_per_unit)
                 : fmt::format("0: {} has one NVLink domain a {}", cluster.name, cluster.unit));
    }
    return asked;
}

/// How many GPUs the choice takes; names the superpod when one unit does not hold them.
std::int64_t gpus_taken(ClusterSpec const& cluster,
                        ClusterChoice const& choice,
                        std::int64_t domain,
                        Library const& library) {
    std::int64_t const per_unit = cluster.gpus_per_unit / domain * domain;
    std::int64_t const holds = cluster.units_max * per_unit;
    std::int64_t const asked = choice.gpus;
    if (asked == 0) {
        if (cluster.units_max == 1) return holds;
        Place place = choice.place;
        if (!choice.gpus_place.file.empty()) place = choice.gpus_place;
        place.key = choice.gpus_place.key;
        fail(place, "missing", fmt::format("1 to {} GPUs of {}", holds, cluster.name));
    }
    if (asked >= 1 && asked <= holds) return asked;
    if (asked < 1)
        fail(choice.gpus_place, fmt::format("{} GPUs", asked), fmt::format("1 to {}", holds));
    std::string beyond;
    if (cluster.superpod) {
        ClusterSpec const pod = load_cluster(library, *cluster.superpod, cluster.place);
        beyond = fmt::format("; {} goes to {}", pod.name, pod.units_max * per_unit);
    }
    throw ConfigError(fmt::format("{}: {} GPUs ({} holds {}{})", choice.gpus_place.text(), asked,
                                  cluster.name, holds, beyond));
}

}  // namespace

UnitFaults& Fabric::faults_at(std::int64_t unit) {
    auto& faults = faults_[unit];
    if (faults.link_down.empty()) {
        faults.chip_down.resize(index(wiring_.chips));
        faults.nics_down.resize(index(wiring_.gpus));
        for (auto const& links : links_) faults.link_down.emplace_back(links.size());
    }
    return faults;
}

void Fabric::mark_trays(ClusterChoice const& choice) {
    int const per_tray = cluster_.nvlink.chips_per_tray;
    for (auto const& fault : choice.faults.switch_trays) {
        if (per_tray == 0) {
            fail(fault.place, fmt::format("'{}'", fault.text),
                 fmt::format("none: {} has no switch trays", cluster_.name));
        }
        int const trays = wiring_.chips / per_tray;
        auto const found = numbers_after(fault.text, {cluster_.unit, "tray"}, 2);
        if (!found || (*found)[0] >= units() || (*found)[1] >= trays) {
            fail(fault.place, fmt::format("'{}'", fault.text),
                 fmt::format("{} 0 to {} tray 0 to {}", cluster_.unit, units() - 1, trays - 1));
        }
        auto& down = faults_at((*found)[0]).chip_down;
        for (int i = 0; i < per_tray; ++i) down[index((*found)[1] * per_tray + i)] = 1;
    }
}

void Fabric::mark(ClusterChoice const& choice) {
    for (auto const* faults : {&choice.faults.switch_chips, &choice.faults.switch_trays,
                               &choice.faults.links, &choice.faults.nics}) {
        if (cluster_.threads() && !faults->empty()) {
            fail(faults->front().place, fmt::format("'{}'", faults->front().text),
                 "nothing: threads of a host have no links, chips or NICs");
        }
    }
    for (auto const& fault : choice.faults.switch_chips) {
        auto const found = numbers_after(fault.text, {cluster_.unit, "chip"}, 2);
        if (!found || (*found)[0] >= units() || (*found)[1] >= wiring_.chips) {
            fail(fault.place, fmt::format("'{}'", fault.text),
                 wiring_.chips == 0 ? fmt::format("none: {} has no switch chips", cluster_.name)
                                    : fmt::format("{} 0 to {} chip 0 to {}", cluster_.unit,
                                                  units() - 1, wiring_.chips - 1));
        }
        faults_at((*found)[0]).chip_down[index((*found)[1])] = 1;
    }
    mark_trays(choice);
    for (auto const& fault : choice.faults.links) {
        auto const found = numbers_after(fault.text, {"gpu", "link"}, 2);
        if (!found || (*found)[0] >= gpus_ || (*found)[1] >= cluster_.nvlink.links) {
            fail(fault.place, fmt::format("'{}'", fault.text),
                 fmt::format("gpu 0 to {} link 0 to {}", gpus_ - 1, cluster_.nvlink.links - 1));
        }
        Seat const at = seat((*found)[0]);
        auto& down = faults_at(at.unit).link_down;
        std::size_t const link = index((*found)[1]);
        down[index(at.slot)][link] = 1;
        if (wiring_.chips == 0) {  // the same link, seen from its other end
            auto const& here = links_[index(at.slot)];
            int const peer = here[link];
            auto nth =
                std::count(here.begin(), here.begin() + static_cast<std::ptrdiff_t>(link), peer);
            auto const& there = links_[index(peer)];
            for (std::size_t i = 0; i < there.size(); ++i) {
                if (there[i] == at.slot && nth-- == 0) down[index(peer)][i] = 1;
            }
        }
    }
    std::vector<std::pair<std::int64_t, std::int64_t>> nics;
    for (auto const& fault : choice.faults.nics) {
        auto found = numbers_after(fault.text, {"gpu", "nic"}, 1);
        if (found && found->size() == 1) found->push_back(0);
        if (!found || (*found)[0] >= gpus_ || (*found)[1] >= cluster_.nics.per_gpu) {
            fail(fault.place, fmt::format("'{}'", fault.text),
                 fmt::format("gpu 0 to {} nic 0 to {}", gpus_ - 1, cluster_.nics.per_gpu - 1));
        }
        std::pair const nic{(*found)[0], (*found)[1]};
        if (std::ranges::find(nics, nic) != nics.end()) continue;
        nics.push_back(nic);
        Seat const at = seat(nic.first);
        ++faults_at(at.unit).nics_down[index(at.slot)];
    }
}

void Fabric::refuse_what_cannot_run(ClusterChoice const& choice) const {
    auto const& broken = choice.faults;
    PlacedText fault;
    for (auto const* faults : {&broken.links, &broken.switch_trays, &broken.switch_chips}) {
        if (!faults->empty()) fault = faults->front();
    }
    bool const nvlink = !fault.text.empty();
    if (nvlink && cluster_.resiliency == Resiliency::full) {
        fail(fault.place,
             fmt::format("'{}' stops the NVLink partition: fabric.resiliency is full", fault.text),
             "no NVLink fault, or fabric.resiliency: adaptive, which runs on with the bandwidth "
             "left");
    }
    for (auto const& entry : faults_) {
        std::int64_t const first = entry.first * domains_per_unit() * domain_;
        std::int64_t const end = std::min(gpus_, first + domains_per_unit() * domain_);
        for (std::int64_t gpu = first; gpu < end; ++gpu) {
            if (!(nvlink_of(gpu).count > 0)) {
                fail(fault.place, fmt::format("no NVLink left for gpu {}", gpu),
                     "at least one link up");
            }
            if (domains() > 1 && !(nic_of(gpu).count > 0)) {
                fail(broken.nics.front().place,
                     fmt::format("no NIC left in the tray of gpu {}", gpu),
                     "at least one, as the job spans NVLink domains");
            }
            for (std::int64_t peer = first; wiring_.chips == 0 && peer < gpu; ++peer) {
                std::array const pair{peer, gpu};
                if (links_up(&entry.second, seat(gpu).slot, pair) == 0) {
                    fail(fault.place,
                         fmt::format("no NVLink left between gpu {} and gpu {}", peer, gpu),
                         "at least one link up");
                }
            }
        }
    }
}

Fabric build_fabric(ClusterChoice const& choice, Library const& library, Trail* trail) {
    Fabric fabric;
    fabric.cluster_ = load_cluster(library, choice.name, choice.name_place, trail);
    auto& cluster = fabric.cluster_;
    apply_overrides(cluster, choice);
    fabric.gpu_ = load_gpu(library, cluster.gpu, cluster.place, trail);
    fabric.wiring_ = kind_of(cluster).build(cluster);
    fabric.links_ = link_targets(fabric.wiring_);
    for (auto const& check : fabric.checks()) {
        if (!check.holds)
            fail(cluster.place, fmt::format("{}: {}", check.name, check.how),
                 "a wiring that holds");
    }
    fabric.domain_ = domain_size(cluster, choice);
    fabric.gpus_ = gpus_taken(cluster, choice, fabric.domain_, library);
    fabric.routing_ = choice.routing.value_or(Routing::adaptive);
    fabric.mark(choice);
    fabric.refuse_what_cannot_run(choice);
    return fabric;
}

}  // namespace nvl72
