#pragma once

#include "sim/engine/sharing.hpp"

namespace nvl72 {

/// The integers that shares are counted in (see Sharing).
inline constexpr double full_level = 0x1p60;   ///< a dominant share of 1: a whole resource
inline constexpr double full_weight = 0x1p40;  ///< the weight on the dominant resource
inline constexpr Wide full_capacity = Wide{1} << 100;
inline constexpr std::uint32_t max_multiplicity = 1U << 23;  ///< so that sums of weights fit

}  // namespace nvl72
