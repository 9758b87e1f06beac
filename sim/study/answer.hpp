#pragma once

#include "sim/base/table.hpp"
#include "sim/study/sweep_row.hpp"
#include "sim/study/unfit_point.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// The answer first: predicted, published, error, MFU, basis of every row; one line each.
/// `unfit`: points without a step, each with the line that says why.
Table prediction_table(std::vector<SweepRow> const& rows,
                       std::vector<UnfitPoint> const& unfit = {});

/// Every column of /sweep, for csv and json: the same names as in the result file.
Table full_table(std::vector<SweepRow> const& rows);

/// Where the step went, in percent of it.
Table breakdown_table(std::vector<SweepRow> const& rows);

/// Who owns the memory of the fullest GPU: a line per compared system. `memory` holds a
/// memory_table per row, by its point.
Table memory_summary(std::vector<SweepRow> const& rows, std::vector<Table> const& memory);

/// The collectives of a run: time, bus bandwidth and its interval by size.
Table collectives_summary(ResultFile const& file);

/// One factor of a ratio: how much faster `to` is than `from` by this part of the step alone.
struct RatioFactor {
    std::string name;   ///< "compute", "exposed TP", ...
    double from_s = 0;  ///< GPU-seconds per million tokens
    double to_s = 0;
    double factor = 1;
};

/// The ratio of tokens/s/GPU (to over from) as a product over the parts of the step, which are
/// exchanged one by one in drawing order: each factor is the time before over the time after.
struct RatioExplained {
    double ratio = 1;
    std::vector<RatioFactor> factors;
};
RatioExplained explain_ratio(SweepRow const& from, SweepRow const& to);

/// The factors as a table, and the largest in a sentence.
Table ratio_table(SweepRow const& from, SweepRow const& to);
std::string ratio_sentence(SweepRow const& from, SweepRow const& to);

/// The line Megatron-LM prints after an iteration, which users' parsers look for.
std::string megatron_line(SweepRow const& row);

}  // namespace nvl72
