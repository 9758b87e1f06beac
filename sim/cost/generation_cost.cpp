#include "sim/cost/generation_cost.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/cost/attention_cost.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace nvl72 {

namespace {

constexpr std::int64_t new_tokens_most = 8;      // of speculative decoding
constexpr std::int64_t tokens_of_a_block = 128;  // of TensorRT-LLM's rule

double as_real(std::int64_t value) { return static_cast<double>(value); }

Basis basis_for(GenerationSection const& section, Attention const& attention) {
    static section::Grid const one_token{1};
    return section::basis_of(
        "generation",
        {{"batch", attention.batch, &section.batch},
         {"new tokens", attention.query_tokens, &one_token},
         {"kv tokens", attention.kv_tokens, &section.kv_tokens},
         {"batch x tokens", attention.batch * attention.kv_tokens, &section.tokens},
         {"heads", attention.heads, &section.heads},
         {"kv heads", attention.kv_heads, &section.kv_heads},
         {"head dim", attention.head_dim, &section.head_dim}},
        section.scaled);
}

}  // namespace

bool is_generation(Attention const& attention) {
    return !attention.backward && attention.query_tokens <= new_tokens_most &&
           attention.kv_tokens > attention.query_tokens;
}

bool takes_grouped(GenerationSection const& section,
                   GenerationRow const& row,
                   int sms,
                   Attention const& attention) {
    double const group = static_cast<double>(attention.heads) / attention.kv_heads;
    if (group < section.heads_min || group > section.heads_max) return false;
    auto const cached = attention.kv_tokens - attention.query_tokens;
    auto const parts = std::max<std::int64_t>(1, cached / tokens_of_a_block);
    return as_real(attention.batch * attention.kv_heads * parts) >= row.grouped_from * sms;
}

section::Time generation_time(GenerationKernel const& kernel,
                              bool grouped,
                              double kv_bytes,
                              GenerationGpu gpu,
                              Attention const& attention,
                              double slowdown) {
    double const batch = as_real(attention.batch);
    double const cached = as_real(attention.kv_tokens);
    double const queries = as_real(attention.query_tokens) * attention.heads;
    double const units = batch * (grouped ? attention.kv_heads : attention.heads);
    double const served = batch * queries / units;
    double const parts = std::min(std::max(1.0, kernel.waves * gpu.sms / units),
                                  std::max(1.0, cached / kernel.split_tokens));

    double const one = kernel.block.count + served * kernel.head.count;
    double const blocks = units * parts * one / gpu.sms;
    double const arithmetic =
        4 * batch * queries * cached * attention.head_dim / kernel.rate.count * slowdown;
    double const bytes = 2 * batch * attention.kv_heads * cached * attention.head_dim * kv_bytes;
    double const resident = std::clamp(gpu.l2 - bytes, 0.0, bytes);
    double const memory = (bytes - resident) / kernel.hbm.count;
    double const longest =
        one + cached / parts * kernel.token.count + (parts - 1) * kernel.merge.count;

    double const p = kernel.overlap_norm;
    double const sum =
        std::pow(blocks, p) + std::pow(arithmetic, p) + std::pow(memory, p) + std::pow(longest, p);
    return {kernel.launch.count, std::pow(sum, 1 / p)};
}

Cost generation_cost(GenerationSection const& section,
                     Attention const& attention,
                     GenerationGpu gpu,
                     double slowdown) {
    NVL72_EXPECT(attention.batch > 0 && attention.query_tokens > 0 && attention.heads > 0 &&
                     attention.kv_heads > 0 && attention.head_dim > 0,
                 "attention has work");
    auto const name = attention_name(attention);
    std::vector<std::string> known;
    for (auto const& entry : section.precisions) {
        known.push_back(entry.first);
        if (entry.first != name) continue;
        GenerationRow const& row = entry.second;
        bool const grouped = takes_grouped(section, row, gpu.sms, attention);
        auto const& kernel = grouped ? row.grouped : row.per_head;
        if (!kernel) {
            fail(row.place,
                 fmt::format("no {} kernel, which {} heads over {} take",
                             grouped ? "grouped" : "per_head", attention.heads, attention.kv_heads),
                 "a fit to a generation table with such heads");
        }
        return section::rounded(
            generation_time(*kernel, grouped, row.kv_bytes, gpu, attention, slowdown),
            basis_for(section, attention));
    }
    fail(section.place, fmt::format("no {} generation attention", name), join(known, " | "));
}

std::vector<Field<GenerationKernel>> const& fields_of(GenerationKernel const*) {
    static std::vector<Field<GenerationKernel>> const fields{
        required("launch", &GenerationKernel::launch, "time of the shortest call"),
        required("block", &GenerationKernel::block, "start and end of a thread block"),
        optional("head", &GenerationKernel::head, "0 s", "and for each query head it serves"),
        required("rate", &GenerationKernel::rate, "arithmetic of all SMs"),
        required("hbm", &GenerationKernel::hbm, "rate of the cache's reads"),
        required("overlap_norm", &GenerationKernel::overlap_norm, "p of what overlaps"),
        required("token", &GenerationKernel::token, "a block's time for each cached token"),
        optional("merge", &GenerationKernel::merge, "0 s", "time to merge one more part"),
        required("split_tokens", &GenerationKernel::split_tokens, "least tokens of a part"),
        required("waves", &GenerationKernel::waves, "blocks to an SM that cutting aims at"),
    };
    return fields;
}

std::vector<Field<GenerationRow>> const& fields_of(GenerationRow const*) {
    static std::vector<Field<GenerationRow>> const fields{
        required("kv_bytes", &GenerationRow::kv_bytes, "bytes of a cached element"),
        required("grouped_from", &GenerationRow::grouped_from,
                 "blocks to an SM from which the grouped kernel is taken"),
        optional("grouped", &GenerationRow::grouped, "", "query heads share a KV head's reads"),
        optional("per_head", &GenerationRow::per_head, "", "each query head reads for itself"),
    };
    return fields;
}

std::vector<Field<GenerationSection>> const& fields_of(GenerationSection const*) {
    static std::vector<Field<GenerationSection>> const fields{
        required("heads_min", &GenerationSection::heads_min,
                 "fewest query heads to a KV head of the grouped kernel"),
        required("heads_max", &GenerationSection::heads_max, "and most"),
        required("batch", &GenerationSection::batch, "measured batch sizes"),
        required("kv_tokens", &GenerationSection::kv_tokens, "measured cached tokens"),
        required("tokens", &GenerationSection::tokens, "measured batch x cached tokens"),
        required("heads", &GenerationSection::heads, "measured query heads"),
        required("kv_heads", &GenerationSection::kv_heads, "measured key and value heads"),
        required("head_dim", &GenerationSection::head_dim, "measured head dimensions"),
        required("precisions", &GenerationSection::precisions, "one row each"),
    };
    return fields;
}

void check(GenerationSection const& section) {
    if (section.heads_min < 1 || section.heads_max < section.heads_min) {
        fail(section.place,
             fmt::format("heads_min {}, heads_max {}", section.heads_min, section.heads_max),
             "1 or more, in this order");
    }
    section::check_grid(section.place, "batch", section.batch);
    section::check_grid(section.place, "kv_tokens", section.kv_tokens);
    section::check_grid(section.place, "tokens", section.tokens);
    section::check_grid(section.place, "heads", section.heads);
    section::check_grid(section.place, "kv_heads", section.kv_heads);
    section::check_grid(section.place, "head_dim", section.head_dim);
    if (section.precisions.empty()) fail(section.place, "no precisions", "at least one");
    for (auto const& entry : section.precisions) {
        GenerationRow const& row = entry.second;
        section::check_positive(row.place, "kv_bytes", row.kv_bytes);
        if (!(row.grouped_from >= 0)) {
            fail(row.place, fmt::format("grouped_from {}", row.grouped_from), "0 or more");
        }
        if (!row.grouped && !row.per_head) fail(row.place, "no kernel", "grouped or per_head");
        for (auto const& kernel : {row.grouped, row.per_head}) {
            if (!kernel) continue;
            section::check_positive(kernel->place, "block", kernel->block.count);
            section::check_positive(kernel->place, "rate", kernel->rate.count);
            section::check_positive(kernel->place, "hbm", kernel->hbm.count);
            section::check_positive(kernel->place, "overlap_norm", kernel->overlap_norm);
            section::check_positive(kernel->place, "split_tokens", kernel->split_tokens);
            section::check_positive(kernel->place, "waves", kernel->waves);
        }
    }
}

}  // namespace nvl72
