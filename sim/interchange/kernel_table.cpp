#include "sim/interchange/kernel_table.hpp"

#include "sim/base/error.hpp"
#include "sim/base/names.hpp"
#include "sim/base/text.hpp"
#include "sim/interchange/measured_collective.hpp"

#include <fmt/format.h>
#include <limits>

namespace nvl72 {

namespace {

constexpr int published_head_dim = 128;  // of every published attention table

Precision precision_at(CsvTable const& table, std::size_t row, std::string_view column) {
    auto const word = std::string(trimmed(table.text(row, column)));
    auto const plain = letters_and_digits(word);
    if (plain == "bfloat16") return Precision::bf16;
    auto const words = ValueType<Precision>::words();
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (letters_and_digits(words[i]) == plain) return static_cast<Precision>(i);
    }
    fail(table.place(row, column), fmt::format("'{}'", word), join(words, " | "));
}

int count_at(CsvTable const& table, std::size_t row, std::string_view column) {
    auto const number = table.whole(row, column, 1);
    if (number > std::numeric_limits<int>::max()) {
        fail(table.place(row, column), fmt::format("{}", number), "at most 2147483647");
    }
    return static_cast<int>(number);
}

Gemm gemm_at(CsvTable const& table, std::size_t row, std::string_view precision) {
    return {precision_at(table, row, precision), table.whole(row, "m", 1), table.whole(row, "n", 1),
            table.whole(row, "k", 1)};
}

/// The cache's precision where it is another than the arithmetic's.
void set_cache(Attention& attention, Precision cache) {
    if (cache != attention.precision) attention.kv_precision = cache;
}

Attention attention_at(CsvTable const& table, std::size_t row) {
    Attention attention;
    attention.precision = precision_at(table, row, "precision");
    if (table.has("kv_precision")) set_cache(attention, precision_at(table, row, "kv_precision"));
    attention.batch = table.whole(row, "batch", 1);
    attention.query_tokens = table.whole(row, "query_tokens", 1);
    attention.kv_tokens = table.whole(row, "kv_tokens", attention.query_tokens);
    attention.heads = count_at(table, row, "heads");
    attention.kv_heads = count_at(table, row, "kv_heads");
    attention.head_dim = count_at(table, row, "head_dim");
    return attention;
}

// A table that lacks a column is still known by the others: its rows then say which.
bool is_published_gemm(CsvTable const& table) {
    return table.has("k") && (table.has("dtype") || (table.has("m") && table.has("n")));
}
bool is_published_attention(CsvTable const& table) {
    return table.has("attn_dtype") || (table.has("isl") && table.has("kv_heads"));
}
bool is_ours(CsvTable const& table) { return table.has("kind") && table.has("precision"); }

/// The query of a published attention row: `isl` new tokens after `step` cached ones.
Attention published_attention(CsvTable const& table, std::size_t row) {
    Attention attention;
    attention.precision = precision_at(table, row, "attn_dtype");
    set_cache(attention, precision_at(table, row, "kv_dtype"));
    attention.batch = table.whole(row, "batch", 1);
    attention.query_tokens = table.whole(row, "isl", 1);
    attention.kv_tokens = attention.query_tokens + table.whole(row, "step", 0);
    attention.heads = count_at(table, row, "heads");
    attention.kv_heads = count_at(table, row, "kv_heads");
    attention.head_dim = published_head_dim;
    return attention;
}

}  // namespace

bool is_kernel_table(CsvTable const& table) {
    return is_ours(table) || is_published_gemm(table) || is_published_attention(table);
}

std::string gpu_of_row(CsvTable const& table, std::size_t row, std::string const& told) {
    if (table.has("gpu") && !table.blank(row, "gpu")) return gpu_name(table.text(row, "gpu"));
    if (!told.empty()) return told;
    fail({table.file(), 1, ""}, "no column 'gpu'", "the column, or --gpu NAME");
}

KernelTable read_kernel_table(CsvTable const& table, std::string const& gpu) {
    if (!is_kernel_table(table)) {
        fail({table.file(), 1, ""}, "columns of no kernel table",
             "gpu,kind,precision,...,time_us; dtype,m,n,k,time_us; or "
             "attn_dtype,kv_dtype,...,time_us");
    }
    return read_rows(table, [&](std::size_t row) {
        KernelSample sample;
        sample.gpu = gpu_of_row(table, row, gpu);
        if (table.has("time_us")) sample.seconds = table.positive_or_blank(row, "time_us") * 1e-6;
        if (is_ours(table)) {
            auto const kind = trimmed(table.text(row, "kind"));
            if (kind == "gemm") {
                sample.query = gemm_at(table, row, "precision");
            } else if (kind == "attention") {
                sample.query = attention_at(table, row);
            } else {
                fail(table.place(row, "kind"), fmt::format("'{}'", kind), "gemm | attention");
            }
        } else if (is_published_gemm(table)) {
            sample.query = gemm_at(table, row, "dtype");
        } else {
            sample.query = published_attention(table, row);
        }
        return sample;
    });
}

KernelTable read_rows(CsvTable const& table,
                      std::function<KernelSample(std::size_t row)> const& read) {
    KernelTable result;
    for (std::size_t row = 0; row < table.rows(); ++row) {
        int const line = table.place(row, "").line;
        try {
            result.samples.push_back(read(row));
            result.samples.back().line = line;
            result.samples.back().aside = aside_of(table, row);
        } catch (ConfigError const& error) {
            result.unread.push_back({line, error.what()});
        }
    }
    return result;
}

}  // namespace nvl72
