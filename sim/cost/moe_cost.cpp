#include "sim/cost/moe_cost.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace nvl72 {

namespace {

constexpr double bf16_bytes = 2;

double norm(double a, double b, double p) {
    return std::pow(std::pow(a, p) + std::pow(b, p), 1 / p);
}

Basis basis_for(MoeSection const& section, MoeExchange const& exchange) {
    auto basis = section::basis_of("moe",
                                   {{"tokens", exchange.tokens, &section.tokens},
                                    {"ep", exchange.shape.ranks, &section.ep},
                                    {"hidden", exchange.hidden, &section.hidden},
                                    {"top k", exchange.top_k, &section.top_k},
                                    {"experts", exchange.experts, &section.experts}},
                                   section.scaled);
    if (basis.kind == BasisKind::datasheet || exchange.shape.in_domain == section.nvlink) {
        return basis;
    }
    auto const wiring =
        fmt::format("NVLink of {}", ValueType<BytesPerSecond>::write(exchange.shape.in_domain));
    bool const named = basis.kind == BasisKind::extrapolated;
    return {BasisKind::extrapolated, named ? basis.why + ", " + wiring : "moe " + wiring};
}

}  // namespace

std::string moe_row_name(MoeExchange const& exchange) {
    auto step = name_of(exchange.step);
    if (exchange.step == MoeStep::prepare) return step;
    return fmt::format("{}_{}", step, name_of(exchange.precision));
}

section::Time moe_time(MoeKernels const& kernels,
                       MoeRow const& row,
                       BytesPerSecond nvlink,
                       MoeExchange const& exchange) {
    auto const ranks = static_cast<double>(exchange.shape.ranks);
    auto const tokens = static_cast<double>(exchange.tokens);
    auto const hidden = static_cast<double>(exchange.hidden);
    double const start = row.base.count + row.hop.count * std::log2(ranks);
    double each = 0;
    if (row.route) {
        each = exchange.top_k * row.route->count;
    } else {
        double const copies = std::min<double>(exchange.top_k, ranks) * (ranks - 1) / ranks;
        double const stretch = nvlink / exchange.shape.in_domain;
        each = norm(copies * hidden * *row.bytes / row.copy->count * stretch,
                    hidden * bf16_bytes / row.local->count, kernels.copy_norm);
    }
    return {start, norm(start, tokens * each, kernels.start_norm) - start};
}

Cost moe_cost(MoeSection const& section, MoeExchange const& exchange) {
    NVL72_EXPECT(exchange.tokens > 0 && exchange.hidden > 0 && exchange.top_k > 0 &&
                     exchange.shape.ranks > 1,
                 "an MoE exchange moves tokens between ranks");
    NVL72_EXPECT(exchange.shape.in_domain.count > 0, "an MoE exchange runs over NVLink");
    if (exchange.shape.domains > 1) {
        fail(section.place,
             fmt::format("an MoE exchange over {} NVLink domains", exchange.shape.domains),
             "one domain: no table of more, take all-to-all");
    }
    auto const transport = name_of(exchange.transport);
    auto const& kernels =
        exchange.transport == MoeTransport::two_sided ? section.two_sided : section.one_sided;
    if (!kernels) fail(section.place, fmt::format("no {} MoE kernels", transport), "a fit of some");
    auto const name = moe_row_name(exchange);
    std::vector<std::string> known;
    for (auto const& entry : kernels->rows) {
        if (entry.first == name) {
            return section::rounded(moe_time(*kernels, entry.second, section.nvlink, exchange),
                                    basis_for(section, exchange));
        }
        known.push_back(entry.first);
    }
    fail(kernels->place, fmt::format("no {} of {}", name, transport), join(known, " | "));
}

std::vector<Field<MoeRow>> const& fields_of(MoeRow const*) {
    static std::vector<Field<MoeRow>> const fields{
        required("base", &MoeRow::base, "launch and the meeting of two ranks"),
        required("hop", &MoeRow::hop, "and for each doubling of the group"),
        optional("route", &MoeRow::route, "", "time for each of a token's experts"),
        optional("copy", &MoeRow::copy, "", "rate of copies to other ranks"),
        optional("local", &MoeRow::local, "", "rate of tokens, as BF16, on their own GPU"),
        optional("bytes", &MoeRow::bytes, "", "bytes of a travelling element"),
    };
    return fields;
}

std::vector<Field<MoeKernels>> const& fields_of(MoeKernels const*) {
    static std::vector<Field<MoeKernels>> const fields{
        required("start_norm", &MoeKernels::start_norm, "p over start-up and tokens"),
        required("copy_norm", &MoeKernels::copy_norm, "p over copies and local work"),
        required("rows", &MoeKernels::rows, "one kernel each"),
    };
    return fields;
}

std::vector<Field<MoeSection>> const& fields_of(MoeSection const*) {
    static std::vector<Field<MoeSection>> const fields{
        required("nvlink", &MoeSection::nvlink, "of one GPU, where this was measured"),
        required("tokens", &MoeSection::tokens, "measured tokens a GPU"),
        required("ep", &MoeSection::ep, "measured ranks"),
        required("hidden", &MoeSection::hidden, "measured widths of a token"),
        required("top_k", &MoeSection::top_k, "measured experts of a token"),
        required("experts", &MoeSection::experts, "measured experts in all"),
        optional("two_sided", &MoeSection::two_sided, "", "sender and receiver with a queue"),
        optional("one_sided", &MoeSection::one_sided, "", "sender straight into place"),
    };
    return fields;
}

void check(MoeSection const& section) {
    section::check_positive(section.place, "nvlink", section.nvlink.count);
    section::check_grid(section.place, "tokens", section.tokens);
    section::check_grid(section.place, "ep", section.ep);
    section::check_grid(section.place, "hidden", section.hidden);
    section::check_grid(section.place, "top_k", section.top_k);
    section::check_grid(section.place, "experts", section.experts);
    if (!section.two_sided && !section.one_sided) {
        fail(section.place, "no MoE kernels", "two_sided or one_sided");
    }
    for (auto const& kernels : {section.two_sided, section.one_sided}) {
        if (!kernels) continue;
        section::check_positive(kernels->place, "start_norm", kernels->start_norm);
        section::check_positive(kernels->place, "copy_norm", kernels->copy_norm);
        for (auto const& [name, row] : kernels->rows) {
            section::check_positive(row.place, "base", row.base.count);
            bool const moves = row.copy && row.local && row.bytes;
            bool const moves_some = row.copy || row.local || row.bytes;
            if (row.route.has_value() == moves || (row.route && moves_some)) {
                fail(row.place, name + " is incomplete", "route alone, or copy, local and bytes");
            }
            if (row.route) section::check_positive(row.place, "route", row.route->count);
            if (!moves) continue;
            section::check_positive(row.place, "copy", row.copy->count);
            section::check_positive(row.place, "local", row.local->count);
            section::check_positive(row.place, "bytes", *row.bytes);
        }
    }
}

}  // namespace nvl72
