#pragma once

#include "sim/config/fields.hpp"
#include "sim/cost/section.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// Constants of one MoE kernel: routes counted (`route`), or tokens moved (the other three).
struct MoeRow {
    Place place;
    Seconds base;                         ///< launch and the meeting of a group of two
    Seconds hop;                          ///< and for each doubling of the group
    std::optional<Seconds> route;         ///< prepare: for each of a token's experts
    std::optional<BytesPerSecond> copy;   ///< all copies to other ranks
    std::optional<BytesPerSecond> local;  ///< tokens, as BF16, read or summed on their own GPU
    std::optional<double> bytes;          ///< of a travelling element, its share of scales included
};

/// MoE kernels of one transport; rows are "prepare", "dispatch_PRECISION", "combine_PRECISION".
struct MoeKernels {
    Place place;
    double start_norm = 1;  ///< p over start-up and tokens
    double copy_norm = 1;   ///< p over copies and local work of a token
    std::vector<std::pair<std::string, MoeRow>> rows;
};

/// MoE exchanges inside one NVLink domain, fitted to tables of balanced routing.
struct MoeSection {
    Place place;
    BytesPerSecond nvlink;  ///< of one GPU, where the rows were measured
    section::Grid tokens, ep, hidden, top_k, experts;
    std::optional<MoeKernels> two_sided, one_sided;
    std::string scaled;  ///< "" or what it was scaled from
};

std::vector<Field<MoeRow>> const& fields_of(MoeRow const*);
std::vector<Field<MoeKernels>> const& fields_of(MoeKernels const*);
std::vector<Field<MoeSection>> const& fields_of(MoeSection const*);
void check(MoeSection const& section);

/// "prepare", "dispatch_fp8", "combine_bf16".
std::string moe_row_name(MoeExchange const& exchange);

/// ||base + hop log2(EP), tokens x per-token||, the latter ||R hidden bytes / copy, 2 hidden /
/// local|| or, to prepare, top_k x route. R = D (EP - 1) / EP copies leave the GPU, to D =
/// min(top_k, EP) ranks: one each, however many of a rank's experts a token has. `nvlink` is the
/// rate of the section; copies stretch as the group's falls below it.
section::Time moe_time(MoeKernels const& kernels,
                       MoeRow const& row,
                       BytesPerSecond nvlink,
                       MoeExchange const& exchange);

/// Throws ConfigError for a transport or a precision the section lacks, and for a group beyond one
/// NVLink domain.
Cost moe_cost(MoeSection const& section, MoeExchange const& exchange);

}  // namespace nvl72
