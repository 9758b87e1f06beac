#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace nvl72::measure {

/// Which case a time belongs to: the columns before `block` in kernels/SAMPLES.md, which explains
/// each. One struct and one column table (row_columns below) per table of the file.
struct CollectiveRow {
    std::string suite, op, algorithm, protocol, launch, wiring;
    std::int64_t ranks = 0, nodes = 1, channels = 0, bytes = 0, tokens = 0, top_k = 0;
    std::string dtype = "float32";
    std::int64_t in_place = 0;
};
struct GemmRow {
    std::string precision;
    std::int64_t m = 0, n = 0, k = 0;
    std::string launch;
};
struct MemoryRow {
    std::string kind;
    std::int64_t bytes = 0, traffic_bytes = 0;
};
struct CopyRow {
    std::string from, to, engine;
    std::int64_t bytes = 0;
};
struct LaunchRow {
    std::string kind;
};
struct OverlapRow {
    std::string what, precision;
    std::int64_t m = 0, n = 0, k = 0;
    std::string op, algorithm, protocol;
    std::int64_t ranks = 0, bytes = 0, sms = 0;
};
using CaseRow = std::variant<CollectiveRow, GemmRow, MemoryRow, CopyRow, LaunchRow, OverlapRow>;

/// One block of one case.
struct Timing {
    std::int64_t block = 0, order = 0, iterations = 0;
    double time_s = 0;  ///< per operation
    std::int64_t outlier = 0;
};

/// A case and its blocks, in the order of the blocks.
struct CaseTimes {
    CaseRow row;
    std::vector<Timing> blocks = {};
};

/// The device's state before the timing numbered `order`; 0 where the driver does not tell.
struct ClockRow {
    std::int64_t order = 0, device = 0, core_clock_hz = 0, memory_clock_hz = 0;
    double power_w = 0, temperature_degc = 0;
};
/// What was asked for and not measured.
struct SkippedRow {
    std::string suite, subject, reason;
};

/// A column of the samples file: its name, unit (empty: a count or a name), one sentence of help
/// and where the row holds it.
template <class Row>
struct RowColumn {
    char const* name;
    char const* unit;
    char const* help;
    std::variant<std::int64_t Row::*, double Row::*, std::string Row::*> member;
};

/// The name of Row's table in the file.
template <class Row>
char const* table_name();
/// Row's columns, in the file's order.
template <class Row>
std::vector<RowColumn<Row>> row_columns();

/// A case in a few words, for progress and /skipped: `all_reduce ring ll, 2 ranks, 4096 bytes`.
std::string describe(CaseRow const& row);
/// The name of the table that `row` goes to.
std::string table_of(CaseRow const& row);

}  // namespace nvl72::measure
