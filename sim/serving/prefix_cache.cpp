#include "sim/serving/prefix_cache.hpp"

#include "sim/base/error.hpp"

#include <ranges>

namespace nvl72 {

std::vector<Field<PrefixCacheChoice>> const& fields_of(PrefixCacheChoice const*) {
    static std::vector<Field<PrefixCacheChoice>> const fields{
        optional("hbm_share", &PrefixCacheChoice::hbm_share, "0.3",
                 "of the room for caches, kept for prompts that come again"),
        optional("host", &PrefixCacheChoice::host, "",
                 "memory of the CPUs for each GPU, a second tier"),
        optional("host_rate", &PrefixCacheChoice::host_rate, "",
                 "from there into a GPU; the cluster's when not given"),
        optional("remote", &PrefixCacheChoice::remote, "", "memory elsewhere for each GPU"),
        optional("remote_rate", &PrefixCacheChoice::remote_rate, "",
                 "from there into a GPU; its NICs' when not given"),
        optional("routing", &PrefixCacheChoice::routing, "fewest",
                 "to the server with the fewest requests, or that keeps most of the prompt"),
    };
    return fields;
}

PrefixCache::PrefixCache(std::vector<CacheTier> tiers)
    : tiers_(std::move(tiers)), order_(tiers_.size()), held_(tiers_.size(), 0) {
    NVL72_EXPECT(!tiers_.empty(), "a cache has a tier");
}

PrefixCache::Found PrefixCache::find(std::vector<Part> const& parts) const {
    Found found;
    for (Part const& part : parts) {
        auto const spot = spots_.find(part.key);
        if (spot == spots_.end()) break;
        ++found.parts;
        found.tokens += part.tokens;
        if (spot->second.tier == 0) found.near += part.tokens;
        found.seconds += part.tokens * tiers_[spot->second.tier].seconds_a_token;
    }
    return found;
}

void PrefixCache::keep(std::vector<Part> const& parts) {
    for (Part const& part : std::views::reverse(parts)) {
        auto const known = spots_.find(part.key);
        if (known != spots_.end()) {
            auto& [tier, entry] = known->second;
            held_[tier] -= entry->tokens;
            order_[tier].erase(entry);
        }
        order_[0].push_front({part.key, part.tokens});
        spots_[part.key] = {0, order_[0].begin()};
        held_[0] += part.tokens;
    }
    for (std::size_t tier = 0; tier < tiers_.size(); ++tier) make_room(tier);
}

void PrefixCache::make_room(std::size_t tier) {
    while (held_[tier] > tiers_[tier].tokens) {
        Entry const last = order_[tier].back();
        order_[tier].pop_back();
        held_[tier] -= last.tokens;
        if (tier + 1 == tiers_.size()) {
            spots_.erase(last.key);
            continue;
        }
        order_[tier + 1].push_front(last);
        spots_[last.key] = {tier + 1, order_[tier + 1].begin()};
        held_[tier + 1] += last.tokens;
    }
}

}  // namespace nvl72
