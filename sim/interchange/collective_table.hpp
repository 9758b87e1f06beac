#pragma once

#include "sim/interchange/csv.hpp"
#include "sim/interchange/measured_collective.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// True for a header that read_collective_table knows.
bool is_collective_table(CsvTable const& table);

/// Reads collective times, row by row: columns gpu, collective, gpus; type or dtype; bytes or
/// message_bytes (the full buffer, as nccl-tests counts it); and time_us, or out_of_place_us and
/// in_place_us. `domains` (1) and `nic_gbps` (of one GPU) tell of groups beyond one NVLink domain,
/// equally shared. Optional: launch, gpus_per_thread (that one host thread launches for), algorithm
/// (that the run forced), fabric, site (the cluster), quality, whose rows but "ok" are set
/// aside. "H100-SXM" is read as h100. `gpu` names the GPU of a table without the column. A row that
/// cannot be read is skipped with its reason.
std::vector<MeasuredCollective> read_collective_table(CsvTable const& table,
                                                      std::string const& gpu);

}  // namespace nvl72
