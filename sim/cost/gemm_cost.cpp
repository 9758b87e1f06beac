#include "sim/cost/gemm_cost.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

namespace nvl72 {

namespace {

constexpr double tile_columns = 128;
constexpr double result_bytes = 2;   // BF16
constexpr double partial_bytes = 8;  // an FP32 partial sum, written once and read once
constexpr double source_bytes = 2;   // BF16, what quantisation reads

template <class Entry>
Entry const* find_entry(std::vector<std::pair<std::string, Entry>> const& entries,
                        std::string const& name) {
    for (auto const& entry : entries) {
        if (entry.first == name) return &entry.second;
    }
    return nullptr;
}

/// The best tiling's time in the SMs.
double compute_time(GemmSection const& section,
                    GemmRow const& row,
                    double sms,
                    double m,
                    double n,
                    double k,
                    double slowdown,
                    double groups,
                    double weight_bytes) {
    double const columns = std::ceil(n / tile_columns) * groups;
    double best = std::numeric_limits<double>::infinity();
    for (int const height : row.tile_rows) {
        double const tiles = std::ceil(m / height) * columns;
        double const tensor = 2 * height * tile_columns * sms / row.peak.count * slowdown;
        double const fetch =
            (height * row.operand_bytes + tile_columns * weight_bytes) * sms / section.l2.count;
        double const step = std::max(tensor, fetch);
        for (int const split : row.splits) {
            double const per_sm = tiles * split / sms;
            double const waves = (1 - row.wave_quantisation) * std::max(1.0, per_sm) +
                                 row.wave_quantisation * std::ceil(per_sm);
            double time = waves * (k / split * step + row.tile.count);
            if (split > 1)
                time +=
                    section.split.count + split * groups * m * n * partial_bytes / section.l2.count;
            best = std::min(best, time);
        }
    }
    return best;
}

}  // namespace

section::Time gemm_time(GemmSection const& section,
                        GemmRow const& row,
                        int sms,
                        double m,
                        double n,
                        double k,
                        double slowdown,
                        double groups,
                        std::optional<double> weight_bytes) {
    double const weight = weight_bytes.value_or(row.operand_bytes);
    double const compute = compute_time(section, row, sms, m, n, k, slowdown, groups, weight);
    double const traffic =
        groups * (m * k * row.operand_bytes + n * k * weight + m * n * result_bytes);
    double const memory = traffic / section.hbm.count;
    double const p = section.overlap_norm;
    double const longer = std::max(compute, memory);
    double const shorter = std::min(compute, memory);
    double rest = longer * std::pow(1 + std::pow(shorter / longer, p), 1 / p);
    if (row.quantise)
        rest += groups * m * k * (source_bytes + row.operand_bytes) / row.quantise->count;
    return {row.launch.count, rest};
}

Cost gemm_cost(GemmSection const& section, Gemm const& gemm, int sms, double slowdown) {
    NVL72_EXPECT(gemm.m > 0 && gemm.n > 0 && gemm.k > 0 && gemm.groups > 0, "a GEMM has work");
    auto const name = name_of(gemm.precision);
    auto basis = section::basis_of(
        "gemm", {{"m", gemm.m, &section.m}, {"n", gemm.n, &section.n}, {"k", gemm.k, &section.k}},
        section.scaled);
    double factor = 1;
    GemmRow const* row = find_entry(section.precisions, name);
    if (row == nullptr) {
        if (auto const* likeness = find_entry(section.likened, name)) {
            row = find_entry(section.precisions, likeness->like);
            factor = likeness->time;
            if (basis.kind != BasisKind::datasheet) {
                basis = {BasisKind::extrapolated,
                         fmt::format("gemm {} from {}", name, likeness->like)};
            }
        }
    }
    if (row == nullptr) {
        std::vector<std::string> known;
        for (auto const& entry : section.precisions) known.push_back(entry.first);
        for (auto const& entry : section.likened) known.push_back(entry.first);
        fail(section.place, fmt::format("no {} GEMM on this GPU", name), join(known, " | "));
    }
    GemmRow ready = *row;
    if (gemm.operands_ready && row->quantise) {
        // What is left is one kernel, launched as the BF16 one is.
        ready.quantise.reset();
        if (auto const* plain = find_entry(section.precisions, "bf16"))
            ready.launch = plain->launch;
    }
    auto const time =
        gemm_time(section, ready, sms, static_cast<double>(gemm.m), static_cast<double>(gemm.n),
                  static_cast<double>(gemm.k), slowdown, static_cast<double>(gemm.groups),
                  gemm.weights ? std::optional(stored_bytes(*gemm.weights)) : std::nullopt);
    return section::rounded({time.latency * factor, time.rest * factor}, std::move(basis));
}

std::vector<Field<GemmRow>> const& fields_of(GemmRow const*) {
    static std::vector<Field<GemmRow>> const fields{
        required("launch", &GemmRow::launch, "time of an empty GEMM"),
        required("peak", &GemmRow::peak, "rate of all tensor cores in the main loop"),
        required("tile", &GemmRow::tile, "prologue and epilogue of one tile"),
        required("wave_quantisation", &GemmRow::wave_quantisation,
                 "0: no last-wave loss; 1: all of it"),
        optional("quantise", &GemmRow::quantise, "",
                 "rate of quantising the left operand, BF16 in"),
        required("operand_bytes", &GemmRow::operand_bytes, "bytes of an element with its scale"),
        required("tile_rows", &GemmRow::tile_rows, "tile heights to choose from"),
        required("splits", &GemmRow::splits, "cuts of k to choose from"),
    };
    return fields;
}

std::vector<Field<GemmLikeness>> const& fields_of(GemmLikeness const*) {
    static std::vector<Field<GemmLikeness>> const fields{
        required("like", &GemmLikeness::like, "the precision whose table stands in"),
        required("time", &GemmLikeness::time, "times that precision's time"),
    };
    return fields;
}

std::vector<Field<GemmSection>> const& fields_of(GemmSection const*) {
    static std::vector<Field<GemmSection>> const fields{
        required("hbm", &GemmSection::hbm, "HBM rate of memory-bound GEMMs"),
        required("l2", &GemmSection::l2, "L2 rate to all SMs"),
        required("split", &GemmSection::split, "extra start-up when k is cut"),
        required("overlap_norm", &GemmSection::overlap_norm, "p of (compute^p + memory^p)^(1/p)"),
        required("m", &GemmSection::m, "measured m"),
        required("n", &GemmSection::n, "measured n"),
        required("k", &GemmSection::k, "measured k"),
        required("precisions", &GemmSection::precisions, "one row each"),
        optional("likened", &GemmSection::likened, "", "precisions without a table"),
    };
    return fields;
}

void check(GemmSection const& section) {
    section::check_positive(section.place, "hbm", section.hbm.count);
    section::check_positive(section.place, "l2", section.l2.count);
    section::check_positive(section.place, "overlap_norm", section.overlap_norm);
    section::check_grid(section.place, "m", section.m);
    section::check_grid(section.place, "n", section.n);
    section::check_grid(section.place, "k", section.k);
    if (section.precisions.empty()) fail(section.place, "no precisions", "at least one");
    for (auto const& entry : section.precisions) {
        GemmRow const& row = entry.second;
        section::check_positive(row.place, "peak", row.peak.count);
        section::check_positive(row.place, "operand_bytes", row.operand_bytes);
        if (row.quantise) section::check_positive(row.place, "quantise", row.quantise->count);
        if (row.wave_quantisation < 0 || row.wave_quantisation > 1) {
            fail(row.place, fmt::format("wave_quantisation {}", row.wave_quantisation), "0 to 1");
        }
        if (row.tile_rows.empty() || *std::ranges::min_element(row.tile_rows) < 1) {
            fail(row.place, "tile_rows without a height", "heights of at least 1");
        }
        if (row.splits.empty() || *std::ranges::min_element(row.splits) < 1) {
            fail(row.place, "splits without a number", "numbers of at least 1");
        }
    }
    for (auto const& entry : section.likened) {
        section::check_positive(entry.second.place, "time", entry.second.time);
        if (find_entry(section.precisions, entry.second.like) == nullptr) {
            fail(entry.second.place, fmt::format("like '{}'", entry.second.like),
                 "a row of precisions");
        }
    }
}

}  // namespace nvl72
