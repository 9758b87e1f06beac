#pragma once

#include "sim/cost/query.hpp"
#include "sim/interchange/csv.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// One measured collective. The query has neither an algorithm nor the rate of its NVLink, which
/// no table states.
struct CollectiveSample {
    std::string gpu;
    Collective query;
    double seconds = 0;
};

/// True for a header that read_collective_table knows.
bool is_collective_table(CsvTable const& table);

/// Reads collective times: columns gpu, collective, gpus; type or dtype; bytes or message_bytes
/// (the full buffer, as nccl-tests counts it); and time_us, or out_of_place_us and in_place_us, of
/// which an all-reduce counts both, one sample each, and other operations the first that a row
/// states, as the profile prices them out of place. `domains` (1) and `nic_gbps` (of one GPU) tell
/// of groups beyond one NVLink domain, equally shared. "H100-SXM" is read as h100. `gpu` names the
/// GPU of a table without the column; "" is then an error.
std::vector<CollectiveSample> read_collective_table(CsvTable const& table, std::string const& gpu);

}  // namespace nvl72
