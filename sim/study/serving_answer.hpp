#pragma once

#include "sim/base/table.hpp"
#include "sim/study/serving_row.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// Sets `best` of the points that no other of their group beats both per GPU and per user.
void mark_best(std::vector<ServingRow>& rows);

/// Tokens/s per GPU, per user, use, energy and money of every point; of long sweeps the best ones.
Table throughput_table(std::vector<ServingRow> const& rows);

/// TTFT, TPOT and whole answers, their tails, and what was measured.
Table latency_table(std::vector<ServingRow> const& rows);

/// Of a sweep: the tokens/s/GPU that each group reaches at so many tokens/s/user, between its best
/// points.
Table speed_table(std::vector<ServingRow> const& rows);

/// The columns of /sweep.
Table full_table(std::vector<ServingRow> const& rows);

/// What the rows say, a sentence each: the ratio of two groups, the rates that keep the SLO.
std::vector<std::string> serving_sentences(std::vector<ServingRow> const& rows);

}  // namespace nvl72
