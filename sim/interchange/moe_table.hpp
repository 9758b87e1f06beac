#pragma once

#include "sim/interchange/kernel_table.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// True for a header that read_moe_table knows.
bool is_moe_table(CsvTable const& table);

/// Reads the times of MoE exchanges under balanced routing, one NVLink domain, in either form:
///   ours       gpu, transport, step, precision (of what travels), tokens, hidden, top_k, experts,
///              ep, time_us
///   published  gpu, kernel, op, dtype, tokens_per_gpu, hidden, topk, experts, ep, distribution,
///              time_us      as aiconfigurator publishes them: alltoall_combine travels in BF16
///              whatever the dtype, alltoall_combine_low_precision in the dtype
/// The shape holds the ranks only: no table states the rate of its NVLink. `gpu` names the GPU of a
/// table without the column; its rows are unread where that is "" too.
KernelTable read_moe_table(CsvTable const& table, std::string const& gpu);

}  // namespace nvl72
