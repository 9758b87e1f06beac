#include "sim/interchange/moe_table.hpp"

#include "sim/base/text.hpp"

#include <array>
#include <fmt/format.h>
#include <limits>
#include <string_view>

namespace nvl72 {

namespace {

bool is_ours(CsvTable const& table) { return table.has("transport") && table.has("step"); }
bool is_published(CsvTable const& table) {
    // A table that lacks one of them is still known by the others.
    return int{table.has("topk")} + int{table.has("kernel")} + int{table.has("op")} >= 2;
}

/// A published operation: its step, and whether it travels in BF16 whatever the dtype.
struct PublishedOp {
    std::string_view name;
    MoeStep step;
    bool bf16;
};
constexpr std::array published_ops{
    PublishedOp{"alltoall_prepare", MoeStep::prepare, true},
    PublishedOp{"alltoall_dispatch", MoeStep::dispatch, false},
    PublishedOp{"alltoall_combine", MoeStep::combine, true},
    PublishedOp{"alltoall_combine_low_precision", MoeStep::combine, false},
};

struct PublishedKernel {
    std::string_view name;
    MoeTransport transport;
};
constexpr std::array published_kernels{
    PublishedKernel{"NVLinkTwoSided", MoeTransport::two_sided},
    PublishedKernel{"NVLinkOneSided", MoeTransport::one_sided},
};

/// The row of `named` that the cell names.
template <class Named, std::size_t size>
Named const& named_at(CsvTable const& table,
                      std::size_t row,
                      std::string_view column,
                      std::array<Named, size> const& named) {
    auto const word = trimmed(table.text(row, column));
    std::vector<std::string> names;
    for (auto const& entry : named) {
        if (entry.name == word) return entry;
        names.emplace_back(entry.name);
    }
    fail(table.place(row, column), fmt::format("'{}'", word), join(names, " | "));
}

template <class Enum>
Enum word_at(CsvTable const& table, std::size_t row, std::string_view column) {
    auto word = std::string(trimmed(table.text(row, column)));
    if (word == "bfloat16") word = "bf16";
    auto const words = ValueType<Enum>::words();
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words[i] == word) return static_cast<Enum>(i);
    }
    fail(table.place(row, column), fmt::format("'{}'", word), join(words, " | "));
}

int count_at(CsvTable const& table, std::size_t row, std::string_view column, std::int64_t least) {
    auto const number = table.whole(row, column, least);
    if (number > std::numeric_limits<int>::max()) {
        fail(table.place(row, column), fmt::format("{}", number), "at most 2147483647");
    }
    return static_cast<int>(number);
}

/// Step, transport and precision.
MoeExchange kind_at(CsvTable const& table, std::size_t row) {
    MoeExchange exchange;
    if (is_ours(table)) {
        exchange.step = word_at<MoeStep>(table, row, "step");
        exchange.transport = word_at<MoeTransport>(table, row, "transport");
        exchange.precision = word_at<Precision>(table, row, "precision");
        return exchange;
    }
    auto const& op = named_at(table, row, "op", published_ops);
    exchange.step = op.step;
    exchange.transport = named_at(table, row, "kernel", published_kernels).transport;
    auto const precision = word_at<Precision>(table, row, "dtype");
    if (!op.bf16) exchange.precision = precision;
    if (table.has("distribution") && trimmed(table.text(row, "distribution")) != "balanced") {
        fail(table.place(row, "distribution"), fmt::format("'{}'", table.text(row, "distribution")),
             "balanced");
    }
    return exchange;
}

}  // namespace

bool is_moe_table(CsvTable const& table) { return is_ours(table) || is_published(table); }

KernelTable read_moe_table(CsvTable const& table, std::string const& gpu) {
    bool const ours = is_ours(table);
    return read_rows(table, [&](std::size_t row) {
        KernelSample sample;
        sample.gpu = gpu_of_row(table, row, gpu);
        auto exchange = kind_at(table, row);
        exchange.tokens = table.whole(row, ours ? "tokens" : "tokens_per_gpu", 1);
        exchange.hidden = table.whole(row, "hidden", 1);
        exchange.top_k = count_at(table, row, ours ? "top_k" : "topk", 1);
        exchange.experts = count_at(table, row, "experts", 1);
        exchange.shape.ranks = exchange.shape.ranks_per_domain = count_at(table, row, "ep", 2);
        sample.query = exchange;
        if (table.has("time_us")) sample.seconds = table.positive_or_blank(row, "time_us") * 1e-6;
        return sample;
    });
}

}  // namespace nvl72
