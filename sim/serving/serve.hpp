#pragma once

#include "sim/serving/prefix_cache.hpp"
#include "sim/serving/requests.hpp"
#include "sim/serving/server.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace nvl72 {

/// Servers of one kind.
struct Pool {
    StepCost* cost = nullptr;
    CacheRoom room;
    int servers = 1;
    std::int64_t slots = 0;  ///< running sequences of a server; 0: what its engine allows
};

/// Prompts on servers of their own; the caches they leave travel to the decoding pool. A request
/// takes its place there before its prompt is begun.
struct Disaggregation {
    Pool prefill;
    std::int64_t slots = 0;    ///< of one decoding server; 0: what its batch allows
    double transfer_rate = 0;  ///< bytes a second into one decoding server's rank group
    double transfer_start_s = 0;
};

/// What each server that computes prompts keeps of them.
struct PrefixCaches {
    std::vector<CacheTier> tiers;
    RequestRouting routing = RequestRouting::fewest;
};

/// Servers behind one entrance: a request goes to the server with the fewest.
struct Deployment {
    Pool pool;
    std::optional<Disaggregation> apart;
    std::optional<PrefixCaches> prefix = {};  ///< none: every prompt is computed whole

    [[nodiscard]] std::int64_t gpus() const;
};

/// What a run gives besides the requests' own times.
struct ServingRun {
    Picoseconds end;                   ///< the last token
    std::vector<ServerUse> use;        ///< of the (decoding) servers, then of those for prompts
    std::vector<double> asked, found;  ///< tokens of prompts' shared parts, by layer
    std::vector<double> parts_asked, parts_found;  ///< and how many of them
};

/// Runs all requests; `clients` in a closed loop where their arrivals are open (below 0).
ServingRun serve(Deployment const& deployment, Requests& requests, std::int64_t clients);

}  // namespace nvl72
