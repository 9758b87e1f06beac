#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// A printed number, and half a unit of its last digit.
struct Printed {
    double value = 0, half_unit = 0;
};

/// One time of a row as nccl-tests prints it: microseconds, GB/s.
struct NcclTime {
    Printed time_us, algbw, busbw;
    std::optional<double> wrong;  ///< results that failed their check; none where not checked
};

/// A row of the table. Sizes count the full buffer, as the tool prints them.
struct NcclRow {
    int line = 0;            ///< physical line where the row begins
    std::string op;          ///< "all_reduce"; empty where neither the log nor the reader knows
    std::int64_t ranks = 0;  ///< 0: likewise
    std::int64_t hosts = 0;  ///< of its test; 0: not told
    std::int64_t bytes = 0, count = 0;
    std::string type, redop;
    /// Times with wrong results are left out: `dropped` says so.
    std::optional<NcclTime> out_of_place, in_place;
    std::string dropped;
};

/// What a log says. What it does not say is empty, 0, or -1 where 0 would be a value.
struct NcclLog {
    std::string file;
    std::string op;          ///< of the first row
    std::int64_t ranks = 0;  ///< the most that a list of devices names
    std::int64_t hosts = 0;
    std::vector<std::string> devices;  ///< names of GPUs, each once
    std::string nccl;                  ///< "2.29.2"
    int warmup = -1, iterations = -1;
    int graph = -1;            ///< launches of a CUDA graph; 0: without
    int gpus_per_thread = -1;  ///< that one host thread launches for (-g)
    std::vector<NcclRow> rows;
    std::vector<std::string> notes;  ///< `file:line: found (expected)` of what was not taken
};

/// What is known of a log from elsewhere (INDEX.csv, --op); it goes before the log's own word.
struct LogHints {
    std::string op;
    std::int64_t ranks = 0;
};

/// Reads the output of nccl-tests or rccl-tests: the text of any version, bare or behind a
/// launcher's prefixes, and their -J JSON. Damaged rows become notes; so do rows whose bandwidth is
/// more than 2 % beyond rounding from what size and time give. A log without a whole row is an
/// error.
NcclLog read_nccl_log(std::string const& path, LogHints const& hints = {});
NcclLog parse_nccl_log(std::string const& text,
                       std::string const& file,
                       LogHints const& hints = {});

/// True for such output, whatever the file's name.
bool is_nccl_log(std::string const& path);
bool is_nccl_log_text(std::string const& text);

/// Bus bandwidth over algorithm bandwidth, as nccl-tests defines it; none for an unknown one.
std::optional<double> bus_factor(std::string_view op, std::int64_t ranks);

}  // namespace nvl72
