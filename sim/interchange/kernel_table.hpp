#pragma once

#include "sim/cost/query.hpp"
#include "sim/interchange/csv.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// One measured kernel.
struct KernelSample {
    std::string gpu;
    Query query;         ///< a Gemm, an Attention or a MoeExchange
    double seconds = 0;  ///< 0: not measured; it can be predicted all the same
    int line = 0;        ///< physical, in its file
};

/// The kernels of one file.
struct KernelTable {
    std::vector<KernelSample> samples;
};

/// True for a header that read_kernel_table knows.
bool is_kernel_table(CsvTable const& table);

/// Reads kernel times in any of these forms, told apart by their headers:
///   ours       gpu, kind (gemm | attention), precision, sizes, time_us
///   GEMM       dtype, m, n, k, time_us            as aiconfigurator publishes them
///   attention  attn_dtype, kv_dtype, batch, isl, step, heads, kv_heads, time_us: isl new tokens
///              after step cached ones
/// Ours may name a kv_precision other than the precision.
/// `gpu` names the GPU of a table without the column; "" is then an error.
KernelTable read_kernel_table(CsvTable const& table, std::string const& gpu);

}  // namespace nvl72
