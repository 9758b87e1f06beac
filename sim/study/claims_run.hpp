#pragma once

#include "sim/config/library.hpp"
#include "sim/study/claims.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

struct ClaimsOptions {
    int threads = 1;
    std::optional<std::uint64_t> seed;     ///< none: each experiment's own
    std::function<void(double)> progress;  ///< told the finished share, from one thread at a time
};

/// Runs each experiment that a claim names once, in its quick form, and judges every claim, in the
/// file's order; the same for any number of threads.
std::vector<JudgedClaim> judge_claims(ClaimsFile const& file,
                                      Library const& library,
                                      ClaimsOptions const& options);

}  // namespace nvl72
