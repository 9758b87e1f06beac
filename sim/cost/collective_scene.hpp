#pragma once

// Inside sim/cost: what the files that price collectives share.
#include "sim/base/error.hpp"
#include "sim/cost/collective_cost.hpp"

#include <algorithm>
#include <cmath>

namespace nvl72::collective_scene {

inline double number(std::int64_t count) { return static_cast<double>(count); }

/// Bytes plus what the slow start of a buffer under `knee` costs, in bytes.
inline double ramped(double bytes, double ramp, double knee) {
    return ramp > 0 ? bytes + ramp * bytes / (1 + bytes / knee) : bytes;
}

/// (a^p + b^p)^(1/p), scaled by the larger term, so that powers of microseconds do not underflow.
inline double norm_of(double a, double b, double p) {
    double const larger = std::max(a, b);
    if (!(std::min(a, b) > 0)) return larger;
    return larger * std::pow(std::pow(a / larger, p) + std::pow(b / larger, p), 1 / p);
}

inline bool reduces(CollectiveOp op) {
    return op == CollectiveOp::all_reduce || op == CollectiveOp::reduce_scatter;
}

/// What every branch looks at.
struct Scene {
    CollectiveSection const& section;
    Collective const& query;
    GroupShape const& shape = query.shape;
    double n = number(query.shape.ranks);
    double size = number(query.size.count);
    LinkLoad load = link_load(algorithm_of(query), query.op, query.size, query.shape);

    /// Stretch of a transfer over NVLink: measured capacity over the capacity here.
    [[nodiscard]] double nvlink_stretch() const {
        return load.nvlink > 0 ? section.nvlink.count / shape.in_domain.count : 1;
    }
    /// Seconds that the NICs need, at a share of their line rate; a draw of a share may pass 1.
    [[nodiscard]] double nic_seconds(double efficiency) const {
        if (shape.domains == 1) return 0;
        NVL72_EXPECT(shape.per_gpu_nic.count > 0 && shape.network_efficiency > 0,
                     "domains are joined by NICs");
        return load.nic /
               (shape.per_gpu_nic.count * shape.network_efficiency * std::min(1.0, efficiency));
    }
};

}  // namespace nvl72::collective_scene
