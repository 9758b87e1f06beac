#pragma once

#include "sim/config/value.hpp"

#include <cstdint>

namespace nvl72 {

/// One joint draw of the fitted constants of a profile: which of those that `seed` gives.
struct Draw {
    std::uint64_t seed = 0;
    std::uint32_t number = 0;
};

/// A profile file's `draws`: by fit, then by the dotted path of a constant in the file, the
/// logarithms of what refits, each without one group of rows, found for it over the file's value.
/// Constants of one fit move together. Fails where a path leads to no number, or where the
/// constants of a fit have not as many refits, at least two.
void check_draws(Value const& profile);

/// Moves the constants of a profile file by a draw of each of its fits, as the delete-a-group
/// jackknife sees their errors:
///   log(drawn / value) = sqrt((g - 1) / g) * (z1 d1 + ... + zg dg),   z standard normal
/// with d the logarithms of the g refits, and no further than three times the largest of them: a constant
/// that the rows hardly determine has no linear tail. An odd draw mirrors the even one before it.
void apply_draw(Value& profile, Draw const& draw);

}  // namespace nvl72
