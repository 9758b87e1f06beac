#pragma once

#include "sim/cost/query.hpp"
#include "sim/interchange/csv.hpp"

#include <functional>
#include <string>
#include <vector>

namespace nvl72 {

/// One measured kernel.
struct KernelSample {
    std::string gpu;
    Query query;          ///< a Gemm, an Attention or a MoeExchange
    double seconds = 0;   ///< 0: not measured; it can be predicted all the same
    int line = 0;         ///< physical, in its file
    std::string aside{};  ///< why it is neither scored nor fitted to; "": it is
};

/// A row that could not be read, with the message that says why.
struct UnreadRow {
    int line = 0;
    std::string why;
};

/// The kernels of one file.
struct KernelTable {
    std::vector<KernelSample> samples;
    std::vector<UnreadRow> unread{};
};

/// True for a header that read_kernel_table knows.
bool is_kernel_table(CsvTable const& table);

/// Reads kernel times in any of these forms, told apart by their headers:
///   ours       gpu, kind (gemm | attention), precision, sizes, time_us
///   GEMM       dtype, m, n, k, time_us            as aiconfigurator publishes them
///   attention  attn_dtype, kv_dtype, batch, isl, step, heads, kv_heads, time_us: isl new tokens
///              after step cached ones
/// Ours may name a kv_precision other than the precision.
/// `gpu` names the GPU of a table without the column; its rows are unread where that is "" too.
KernelTable read_kernel_table(CsvTable const& table, std::string const& gpu);

/// A row's GPU by its shipped name: of its column, else `told`; fails where neither tells.
std::string gpu_of_row(CsvTable const& table, std::size_t row, std::string const& told);

/// Every row that `read` can read, in order, and why it could not read the others.
KernelTable read_rows(CsvTable const& table,
                      std::function<KernelSample(std::size_t row)> const& read);

}  // namespace nvl72
