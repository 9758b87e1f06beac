#pragma once

#include "sim/config/fields.hpp"
#include "sim/cost/section.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// What one precision's GEMM kernels have of their own.
struct GemmRow {
    Place place;
    Seconds launch;       ///< before the first and after the last tile
    FlopsPerSecond peak;  ///< of all SMs in the main loop
    Seconds tile;         ///< prologue and epilogue of one tile
    double wave_quantisation =
        0;  ///< 0: tiles fill the SMs evenly; 1: the last wave costs a whole one
    /// Rate at which the left operand is read in BF16 and written in this precision; none for BF16.
    std::optional<BytesPerSecond> quantise;
    double operand_bytes = 0;    ///< of one element, its share of the block scale included
    std::vector<int> tile_rows;  ///< tile heights the library chooses from
    std::vector<int> splits;     ///< into how many parts the library may cut k
};

/// A precision without a table of its own: `time` times the time of the precision it is like.
struct GemmLikeness {
    Place place;
    std::string like;
    double time = 1;
};

/// GEMM times of one GPU: a tile model whose constants are fitted to kernel tables.
struct GemmSection {
    Place place;
    BytesPerSecond hbm;       ///< reached by memory-bound GEMMs
    BytesPerSecond l2;        ///< operand tiles to all SMs
    Seconds split;            ///< extra start-up of a GEMM cut along k
    double overlap_norm = 2;  ///< p in (compute^p + memory^p)^(1/p)
    section::Grid m, n, k;
    std::vector<std::pair<std::string, GemmRow>> precisions;
    std::vector<std::pair<std::string, GemmLikeness>> likened;
    std::string scaled;  ///< "" or what it was scaled from
};

std::vector<Field<GemmRow>> const& fields_of(GemmRow const*);
std::vector<Field<GemmLikeness>> const& fields_of(GemmLikeness const*);
std::vector<Field<GemmSection>> const& fields_of(GemmSection const*);
void check(GemmSection const& section);

/// Time of `groups` products of (m x k) and (k x n) in one launch on `sms` multiprocessors, which
/// share out all their tiles; `slowdown` stretches the tensor cores; `weight_bytes` replaces those
/// of an element of the right operand.
///   tiles   of h x 128, each ceil(m/h) ceil(n/128) x splits of them, T per SM; the best of all h,
///   splits compute w (k/s step + tile), step the slower of tensor core and L2, w between max(1, T)
///   and ceil(T) memory  operands and the BF16 result, once each, over HBM source  the form fits
///   the published tables with a median error of 2 to 6 %
section::Time gemm_time(GemmSection const& section,
                        GemmRow const& row,
                        int sms,
                        double m,
                        double n,
                        double k,
                        double slowdown = 1,
                        double groups = 1,
                        std::optional<double> weight_bytes = std::nullopt);

/// Throws ConfigError for a precision the GPU has no GEMM of.
Cost gemm_cost(GemmSection const& section, Gemm const& gemm, int sms, double slowdown);

}  // namespace nvl72
