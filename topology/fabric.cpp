#include "topology/fabric.hpp"

#include "sim/base/error.hpp"
#include "topology/wiring.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <numeric>
#include <set>

namespace nvl72 {

namespace {

constexpr std::array kinds{
    TopologyKind{"hgx", "a box of GPUs behind a few NVSwitch chips, rails between boxes",
                 build_hgx},
    TopologyKind{"nvl72",
                 "a rack with one NVSwitch tier, one link to every chip, rails between racks",
                 build_nvl72},
    TopologyKind{"host", "threads of one CPU, in its memory", build_host},
    TopologyKind{"direct", "a node of GPUs wired to each other without a switch", build_direct},
};

std::size_t index(std::int64_t value) { return static_cast<std::size_t>(value); }

}  // namespace

std::span<TopologyKind const> topology_kinds() { return kinds; }

/// What the domains looked at so far say of a group.
struct Fabric::Fold {
    struct Worst {
        int links = std::numeric_limits<int>::max();
        int planes = std::numeric_limits<int>::max();
        bool seen = false;
    };
    std::int64_t ranks = 0;
    std::int64_t domains = 0;
    std::int64_t share_max = 0, share_min = std::numeric_limits<std::int64_t>::max();
    Worst together;  ///< members with a peer in their domain
    Worst alone;     ///< members without
    double nic = std::numeric_limits<double>::infinity();
    int nics_down = 0;  ///< of the members of one domain, at most
};

std::int64_t Fabric::domains() const { return (gpus_ + domain_ - 1) / domain_; }
std::int64_t Fabric::units() const {
    return (domains() + domains_per_unit() - 1) / domains_per_unit();
}

double Fabric::routing_factor() const {
    auto const& factor = cluster_.network.routing_factor;
    return routing_ == Routing::adaptive ? factor.adaptive : factor.ecmp;
}

BytesPerSecond Fabric::nvlink_per_gpu() const {
    return cluster_.nvlink.link_bandwidth * static_cast<double>(links_.front().size());
}
BytesPerSecond Fabric::nic_per_gpu() const {
    return cluster_.nics.line_rate * static_cast<double>(cluster_.nics.per_gpu);
}

Fabric::Seat Fabric::seat(std::int64_t gpu) const {
    NVL72_EXPECT(gpu >= 0 && gpu < gpus_, fmt::format("GPU {} of {}", gpu, gpus_));
    std::int64_t const domain = gpu / domain_;
    return {domain / domains_per_unit(),
            static_cast<int>(domain % domains_per_unit() * domain_ + gpu % domain_)};
}

UnitFaults const* Fabric::faults_of(std::int64_t unit) const {
    auto const found = faults_.find(unit);
    return found == faults_.end() ? nullptr : &found->second;
}

BytesPerSecond Fabric::nvlink_of(std::int64_t gpu) const {
    Seat const at = seat(gpu);
    std::array const self{gpu};
    return cluster_.nvlink.link_bandwidth *
           static_cast<double>(links_up(faults_of(at.unit), at.slot, self));
}
BytesPerSecond Fabric::nic_of(std::int64_t gpu) const {
    Seat const at = seat(gpu);
    return nic_at(faults_of(at.unit), at.slot);
}

/// Links of a GPU that still carry traffic among `members` of its domain. Behind switches these are
/// all that are up; wired directly, those to other members (all, for a GPU alone).
int Fabric::links_up(UnitFaults const* faults,
                     int slot,
                     std::span<std::int64_t const> members) const {
    auto const& targets = links_[index(slot)];
    bool const direct = wiring_.chips == 0;
    if (faults == nullptr && !direct) return static_cast<int>(targets.size());
    std::vector<char> present;
    if (direct && members.size() > 1) {
        present.resize(index(wiring_.gpus));
        for (std::int64_t const member : members) present[index(seat(member).slot)] = 1;
    }
    int up = 0;
    for (std::size_t link = 0; link < targets.size(); ++link) {
        std::size_t const to = index(targets[link]);
        if (!present.empty() && present[to] == 0) continue;
        if (faults != nullptr && faults->link_down[index(slot)][link] != 0) continue;
        if (faults != nullptr && !direct && faults->chip_down[to] != 0) continue;
        ++up;
    }
    return up;
}

int Fabric::planes_up(UnitFaults const& faults, int slot) const {
    std::set<int> up;
    auto const& targets = links_[index(slot)];
    for (std::size_t link = 0; link < targets.size(); ++link) {
        if (wiring_.chips == 0 || faults.chip_down[index(targets[link])] != 0) continue;
        if (faults.link_down[index(slot)][link] == 0) up.insert(targets[link]);
    }
    return static_cast<int>(up.size());
}

/// The GPUs of a tray share the NICs the tray has left: a lost NIC's traffic goes by its
/// neighbours.
BytesPerSecond Fabric::nic_at(UnitFaults const* faults, int slot) const {
    if (faults == nullptr) return nic_per_gpu();
    int const tray = slot / cluster_.gpus_per_tray * cluster_.gpus_per_tray;
    int up = cluster_.gpus_per_tray * cluster_.nics.per_gpu;
    for (int i = 0; i < cluster_.gpus_per_tray; ++i) up -= faults->nics_down[index(tray + i)];
    return cluster_.nics.line_rate * (static_cast<double>(up) / cluster_.gpus_per_tray);
}

int Fabric::tiers(std::int64_t unit_a, std::int64_t unit_b) const {
    auto const& network = cluster_.network;
    if (unit_a / network.units_per_leaf == unit_b / network.units_per_leaf) return 1;
    return unit_a / network.units_per_spine == unit_b / network.units_per_spine ? 2 : 3;
}

Route Fabric::route(std::int64_t from, std::int64_t to) const {
    if (from == to) return {};
    Seat const a = seat(from);
    Seat const b = seat(to);
    if (from / domain_ == to / domain_) return {wiring_.chips > 0 ? 1 : 0, 0, 0};
    int const crossed = tiers(a.unit, b.unit);
    return {0, crossed, 2 * crossed - 1};
}

void Fabric::fold_domain(Fold& fold, std::span<std::int64_t const> members) const {
    if (members.empty()) return;
    auto const share = static_cast<std::int64_t>(members.size());
    fold.share_max = std::max(fold.share_max, share);
    fold.share_min = std::min(fold.share_min, share);
    UnitFaults const* faults = faults_of(seat(members.front()).unit);
    auto& worst = share > 1 ? fold.together : fold.alone;
    worst.seen = true;
    int nics_down = 0;
    for (std::int64_t const member : members) {
        int const slot = seat(member).slot;
        worst.links = std::min(worst.links, links_up(faults, slot, members));
        worst.planes =
            std::min(worst.planes, faults == nullptr ? wiring_.chips : planes_up(*faults, slot));
        fold.nic = std::min(fold.nic, nic_at(faults, slot).count);
        if (faults != nullptr) nics_down += faults->nics_down[index(slot)];
        if (faults == nullptr && wiring_.chips > 0) break;  // all alike
    }
    fold.nics_down = std::max(fold.nics_down, nics_down);
}

GroupShape Fabric::finish(Fold const& fold, std::int64_t first, std::int64_t last) const {
    GroupShape shape;
    shape.ranks = fold.ranks;
    shape.domains = fold.domains;
    shape.ranks_per_domain = fold.share_max;
    std::int64_t const rest = fold.ranks - (fold.domains - 1) * fold.share_max;
    if (fold.share_min != rest) shape.ranks_smallest = fold.share_min;
    auto const& worst = fold.together.seen ? fold.together : fold.alone;
    shape.planes = wiring_.chips;
    shape.planes_up = worst.planes;
    shape.in_domain = cluster_.nvlink.link_bandwidth * static_cast<double>(worst.links);
    shape.per_gpu_nic = BytesPerSecond{fold.nic};
    if (fold.domains > 1) {
        int const rails = static_cast<int>(fold.share_max) * cluster_.nics.per_gpu;
        shape.rails = std::max(1, rails - fold.nics_down);
        shape.network_tiers = tiers(seat(first).unit, seat(last).unit);
        if (shape.network_tiers > 1) {
            shape.network_efficiency = routing_factor() / cluster_.network.oversubscription;
        }
    }
    return shape;
}

GroupShape Fabric::shape_of(std::int64_t first, std::int64_t stride, std::int64_t count) const {
    NVL72_EXPECT(count >= 1 && stride >= 1 && first >= 0, "a group has members");
    NVL72_EXPECT((gpus_ - 1 - first) / stride >= count - 1, "the last member exists");
    std::int64_t const last = first + stride * (count - 1);
    std::int64_t const domain_first = first / domain_;
    std::int64_t const domain_last = last / domain_;
    Fold fold;
    fold.ranks = count;
    // A stride under a domain's size skips no domain; a longer one visits each once.
    fold.domains = stride < domain_ ? domain_last - domain_first + 1 : count;

    std::set<std::int64_t> looked_at{domain_first, domain_last};
    if (stride < domain_) {  // between the ends, members' places repeat after `period` domains
        std::int64_t const period = stride / std::gcd(stride, domain_);
        for (std::int64_t d = domain_first + 1; d <= std::min(domain_last, domain_first + period);
             ++d) {
            looked_at.insert(d);
        }
    }
    for (auto const& entry : faults_) {
        for (std::int64_t d = 0; d < domains_per_unit(); ++d) {
            std::int64_t const domain = entry.first * domains_per_unit() + d;
            if (domain >= domain_first && domain <= domain_last) looked_at.insert(domain);
        }
    }
    std::vector<std::int64_t> members;
    for (std::int64_t const domain : looked_at) {
        members.clear();
        std::int64_t const from = std::max(first, domain * domain_);
        std::int64_t const to = std::min(last, (domain + 1) * domain_ - 1);
        for (auto rank = first + (from - first + stride - 1) / stride * stride; rank <= to;
             rank += stride) {
            members.push_back(rank);
        }
        fold_domain(fold, members);
    }
    return finish(fold, first, last);
}

GroupShape Fabric::shape_of(std::span<RankId const> ranks) const {
    NVL72_EXPECT(!ranks.empty(), "a group has members");
    std::map<std::int64_t, std::vector<std::int64_t>> by_domain;
    for (RankId const rank : ranks) by_domain[rank.value / domain_].push_back(rank.value);
    Fold fold;
    fold.ranks = static_cast<std::int64_t>(ranks.size());
    fold.domains = static_cast<std::int64_t>(by_domain.size());
    for (auto const& entry : by_domain) fold_domain(fold, entry.second);
    auto const ends = std::ranges::minmax_element(ranks);
    return finish(fold, ends.min->value, ends.max->value);
}

std::vector<Check> Fabric::checks() const { return wiring_checks(wiring_, cluster_); }

}  // namespace nvl72
