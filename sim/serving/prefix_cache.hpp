#pragma once

#include "sim/base/units.hpp"
#include "sim/config/fields.hpp"

#include <array>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace nvl72 {

/// How a request finds its server.
enum class RequestRouting : std::uint8_t { fewest, prefix };
template <>
struct EnumNames<RequestRouting> {
    static constexpr std::array words{"fewest", "prefix"};
};

/// What a server keeps of prompts that were computed, tier by tier: a share of the GPUs' cache
/// room, the CPUs' memory behind them, memory elsewhere. A tier without capacity is not there.
struct PrefixCacheChoice {
    Place place;
    double hbm_share = 0.3;                     ///< of the room for caches
    std::optional<Bytes> host;                  ///< CPU memory of one GPU for it
    std::optional<BytesPerSecond> host_rate;    ///< into one GPU; none: the cluster's CPU to GPU
    std::optional<Bytes> remote;                ///< for each GPU
    std::optional<BytesPerSecond> remote_rate;  ///< into one GPU; none: its NIC
    RequestRouting routing = RequestRouting::fewest;
};
std::vector<Field<PrefixCacheChoice>> const& fields_of(PrefixCacheChoice const*);

/// One tier of a server's cache.
struct CacheTier {
    double tokens = 0;           ///< that it holds
    double seconds_a_token = 0;  ///< to bring one to the GPUs; 0: it is there
};

/// Parts of prompts that are kept, least recently used last. A part is of use only where all before
/// it are kept, too; whoever uses a part uses those before it, so that they leave after it.
class PrefixCache {
public:
    explicit PrefixCache(std::vector<CacheTier> tiers);

    struct Part {
        std::uint64_t key = 0;
        std::int32_t tokens = 0;
    };
    /// Of the longest kept front of `parts`: how many parts, their tokens, those of the first tier
    /// among them, and how long the others take to come.
    struct Found {
        std::size_t parts = 0;
        std::int64_t tokens = 0, near = 0;
        double seconds = 0;
    };
    [[nodiscard]] Found find(std::vector<Part> const& parts) const;

    /// Keeps `parts` in the first tier; what it has no room for moves down, at last out.
    void keep(std::vector<Part> const& parts);

    [[nodiscard]] double held(std::size_t tier) const { return held_[tier]; }

private:
    struct Entry {
        std::uint64_t key = 0;
        std::int32_t tokens = 0;
    };
    struct Spot {
        std::size_t tier = 0;
        std::list<Entry>::iterator entry;
    };

    void make_room(std::size_t tier);

    std::vector<CacheTier> tiers_;
    std::vector<std::list<Entry>> order_;  ///< of each tier, most recent first
    std::vector<double> held_;
    std::unordered_map<std::uint64_t, Spot> spots_;
};

}  // namespace nvl72
