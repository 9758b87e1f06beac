#include "sim/cost/attention_cost.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace nvl72 {

namespace {

constexpr double block = 128;     // queries and keys of one block of scores
constexpr double bf16_bytes = 2;  // queries, outputs, and keys and values before the cache

/// Blocks of one head, and of its longest row.
struct Blocks {
    double all, longest;
};

Blocks blocks_of(Attention const& attention) {
    double const rows = std::ceil(static_cast<double>(attention.query_tokens) / block);
    if (!attention.causal) {
        double const columns = std::ceil(static_cast<double>(attention.kv_tokens) / block);
        return {rows * columns, columns};
    }
    double const prefix =
        std::ceil(static_cast<double>(attention.kv_tokens - attention.query_tokens) / block);
    return {rows * prefix + rows * (rows + 1) / 2, prefix + rows};
}

void expect_sound(Attention const& attention) {
    NVL72_EXPECT(attention.batch > 0 && attention.query_tokens > 0 && attention.kv_tokens > 0 &&
                     attention.heads > 0 && attention.kv_heads > 0 && attention.head_dim > 0,
                 "attention has work");
    NVL72_EXPECT(!attention.causal || attention.kv_tokens >= attention.query_tokens,
                 "causal attention counts the new tokens among its keys");
}

Basis basis_for(AttentionSection const& section, Attention const& attention) {
    auto basis = section::basis_of(
        "attention",
        {{"batch", attention.batch, &section.batch},
         {"query tokens", attention.query_tokens, &section.query_tokens},
         {"batch x tokens", attention.batch * attention.query_tokens, &section.tokens},
         {"heads", attention.heads, &section.heads},
         {"kv heads", attention.kv_heads, &section.kv_heads},
         {"head dim", attention.head_dim, &section.head_dim}},
        section.scaled);
    if (basis.kind == BasisKind::datasheet) return basis;
    std::string beyond;
    if (attention.backward) beyond += ", backward";
    if (!attention.causal) beyond += ", no causal mask";
    if (attention.causal && attention.kv_tokens != attention.query_tokens)
        beyond += ", keys before the queries";
    if (beyond.empty()) return basis;
    return {BasisKind::extrapolated,
            basis.why.empty() ? "attention" + beyond.substr(1) : basis.why + beyond};
}

/// The row of a precision; of a mixed one the row it is like, with its own launch and queries.
AttentionRow row_of(AttentionSection const& section, Attention const& attention) {
    auto const name = attention_name(attention);
    std::vector<std::string> known;
    auto const find = [&](std::string const& wanted) -> AttentionRow const* {
        for (auto const& entry : section.precisions) {
            if (entry.first == wanted) return &entry.second;
        }
        return nullptr;
    };
    if (auto const* row = find(name)) return *row;
    for (auto const& entry : section.precisions) known.push_back(entry.first);
    for (auto const& entry : section.mixed) {
        if (entry.first == name) {
            return on_kernel(*find(kernel_of(entry.second, attention)), entry.second);
        }
        known.push_back(entry.first);
    }
    fail(section.place, fmt::format("no {} attention", name), join(known, " | "));
}

}  // namespace

std::string const& kernel_of(MixedAttention const& mixed, Attention const& attention) {
    bool const multi_query = attention.kv_heads == 1 && mixed.multi_query.has_value();
    return multi_query ? *mixed.multi_query : mixed.like;
}

AttentionRow on_kernel(AttentionRow row, MixedAttention const& mixed) {
    row.launch = mixed.launch;
    row.query_io = mixed.query_io;
    return row;
}

double attention_flops(Attention const& attention) {
    auto const queries = static_cast<double>(attention.query_tokens);
    auto const keys = static_cast<double>(attention.kv_tokens);
    double const masked = attention.causal ? queries * (queries - 1) / 2 : 0;
    return 4.0 * static_cast<double>(attention.batch) * attention.heads * attention.head_dim *
           (queries * keys - masked);
}

std::string attention_name(Attention const& attention) {
    auto name = name_of(attention.precision);
    if (attention.cache() == attention.precision) return name;
    return fmt::format("{}_over_{}", name, name_of(attention.cache()));
}

section::Time attention_time(AttentionRow const& row,
                             int sms,
                             Attention const& attention,
                             double slowdown) {
    auto const blocks = blocks_of(attention);
    double const width = attention.head_dim;
    double const rows = std::ceil(static_cast<double>(attention.query_tokens) / block);
    double const one = 4 * block * block * width * sms / row.peak.count * slowdown;
    double const heads = static_cast<double>(attention.batch) * attention.heads;
    double const mean = heads * (blocks.all * one + rows * row.cta.count) / sms;
    double const longest = blocks.longest * one + row.cta.count;

    double const compute = std::max(longest, mean + row.tail * longest);
    // Queries, keys and values of a kernel alone stream in under its products.
    if (attention.alone) return {row.launch.count, compute};
    auto const batch = static_cast<double>(attention.batch);
    auto const queries = static_cast<double>(attention.query_tokens);
    double const appended = std::min(queries, static_cast<double>(attention.kv_tokens));
    double const cached = static_cast<double>(attention.kv_tokens) - appended;
    double const kv_width = 2 * width * attention.kv_heads;
    double const query_bytes = batch * queries * attention.heads * 2 * width * bf16_bytes;
    double const kv_bytes =
        batch * kv_width * (appended * (bf16_bytes + row.kv_bytes) + cached * row.kv_bytes);
    return {row.launch.count,
            compute + query_bytes / row.query_io.count + kv_bytes / row.kv_io.count};
}

Cost attention_cost(AttentionSection const& section,
                    Attention const& attention,
                    int sms,
                    double slowdown) {
    expect_sound(attention);
    auto time = attention_time(row_of(section, attention), sms, attention, slowdown);
    if (attention.backward) time.rest *= section.backward;
    return section::rounded(time, basis_for(section, attention));
}

std::vector<Field<AttentionRow>> const& fields_of(AttentionRow const*) {
    static std::vector<Field<AttentionRow>> const fields{
        required("launch", &AttentionRow::launch, "time of the shortest attention"),
        required("peak", &AttentionRow::peak, "rate of all SMs over full blocks"),
        required("cta", &AttentionRow::cta, "start and end of a block of 128 queries"),
        required("tail", &AttentionRow::tail, "part of the longest block that others wait for"),
        required("query_io", &AttentionRow::query_io, "rate of queries in and outputs out"),
        required("kv_io", &AttentionRow::kv_io, "rate of keys and values"),
        required("kv_bytes", &AttentionRow::kv_bytes, "bytes of a cached element"),
    };
    return fields;
}

std::vector<Field<MixedAttention>> const& fields_of(MixedAttention const*) {
    static std::vector<Field<MixedAttention>> const fields{
        required("like", &MixedAttention::like, "precision whose kernel it runs"),
        optional("multi_query", &MixedAttention::multi_query, "",
                 "the same of a single key and value head (default: like)"),
        required("launch", &MixedAttention::launch, "time of the shortest attention"),
        required("query_io", &MixedAttention::query_io, "rate of queries in and outputs out"),
    };
    return fields;
}

std::vector<Field<AttentionSection>> const& fields_of(AttentionSection const*) {
    static std::vector<Field<AttentionSection>> const fields{
        required("backward", &AttentionSection::backward, "backward over forward work"),
        required("batch", &AttentionSection::batch, "measured batch sizes"),
        required("query_tokens", &AttentionSection::query_tokens, "measured sequence lengths"),
        required("tokens", &AttentionSection::tokens, "measured batch x query tokens"),
        required("heads", &AttentionSection::heads, "measured query heads"),
        required("kv_heads", &AttentionSection::kv_heads, "measured key and value heads"),
        required("head_dim", &AttentionSection::head_dim, "measured head dimensions"),
        required("precisions", &AttentionSection::precisions, "one row each"),
        optional("mixed", &AttentionSection::mixed, "", "caches of another precision"),
    };
    return fields;
}

void check(AttentionSection const& section) {
    section::check_positive(section.place, "backward", section.backward);
    section::check_grid(section.place, "batch", section.batch);
    section::check_grid(section.place, "query_tokens", section.query_tokens);
    section::check_grid(section.place, "tokens", section.tokens);
    section::check_grid(section.place, "heads", section.heads);
    section::check_grid(section.place, "kv_heads", section.kv_heads);
    section::check_grid(section.place, "head_dim", section.head_dim);
    if (section.precisions.empty()) fail(section.place, "no precisions", "at least one");
    for (auto const& entry : section.precisions) {
        AttentionRow const& row = entry.second;
        section::check_positive(row.place, "peak", row.peak.count);
        section::check_positive(row.place, "query_io", row.query_io.count);
        section::check_positive(row.place, "kv_io", row.kv_io.count);
        section::check_positive(row.place, "kv_bytes", row.kv_bytes);
        if (row.tail < 0) fail(row.place, fmt::format("tail {}", row.tail), "0 or more");
    }
    for (auto const& entry : section.mixed) {
        MixedAttention const& mixed = entry.second;
        section::check_positive(mixed.place, "query_io", mixed.query_io.count);
        auto const check_kernel = [&](char const* key, std::string const& kernel) {
            auto const known = [&](auto const& row) { return row.first == kernel; };
            if (std::ranges::none_of(section.precisions, known)) {
                fail(mixed.place, fmt::format("{} {}", key, kernel), "a key of precisions");
            }
        };
        check_kernel("like", mixed.like);
        if (mixed.multi_query) check_kernel("multi_query", *mixed.multi_query);
    }
}

}  // namespace nvl72
