#pragma once

#include "sim/model/architecture.hpp"
#include "sim/serving/engine.hpp"
#include "sim/serving/layout.hpp"

#include <algorithm>
#include <cstdint>

namespace nvl72 {

/// What the sequences of one group of attention ranks keep, as one of its ranks sees it.
struct CacheRoom {
    double token_bytes = 0;     ///< of a token in layers that see all of them
    double windowed_bytes = 0;  ///< of a token in the others
    std::int64_t window = 0;    ///< tokens that those keep
    double room = 0;            ///< bytes for all sequences of the group

    /// Of one sequence.
    [[nodiscard]] double bytes(double tokens) const {
        return tokens * token_bytes +
               std::min(tokens, static_cast<double>(window)) * windowed_bytes;
    }
    /// One more token of a sequence that is longer than the window, as all soon are.
    [[nodiscard]] double growth() const { return token_bytes; }
};

/// Bytes of the weights that one rank holds.
double weight_bytes(Architecture const& model,
                    ServingPrecision const& precision,
                    ServingLayout const& layout);

/// Key-value cache of one sequence over all layers and ranks, as a transfer moves it.
double cache_bytes(Architecture const& model, ServingPrecision const& precision, double tokens);

/// Throws DoesNotFit where weights and reserve leave no room.
CacheRoom cache_room(Architecture const& model,
                     ServingPrecision const& precision,
                     ServingLayout const& layout,
                     BatchPolicy const& batch,
                     Bytes hbm);

}  // namespace nvl72
