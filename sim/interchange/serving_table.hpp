#pragma once

#include "sim/interchange/csv.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// How a table says that servers of one kind are cut; 0: not told.
struct MeasuredCut {
    std::int64_t workers = 0, tp = 0, pp = 0, attention_dp = 0, expert_tp = 0, expert_ep = 0;
    std::int64_t batch = 0;  ///< sequences of one group of attention ranks
};

/// One measured run of served requests, in the table's own words.
struct MeasuredServing {
    std::string source;
    std::int64_t line = 0;
    std::string unreadable;  ///< why the row cannot be read; or empty
    std::string aside;       ///< why it is not scored; or empty
    std::string gpu, model, software, release;
    std::string precision;               ///< of linear layers
    std::string expert_precision;        ///< of routed experts
    std::int64_t gpus = 0;               ///< 0: as the cut says
    std::int64_t input = 0, output = 0;  ///< tokens
    std::int64_t clients = 0;            ///< of a closed loop; 0: none
    std::string scenario;                ///< MLPerf's: Offline, Server, Interactive
    bool disaggregated = false;
    MeasuredCut cut, prefill;  ///< of all servers, or of those that decode; of those for prompts
    std::optional<double> ttft_ms, tpot_ms, ttft_p99_ms, tpot_p99_ms, tokens_per_s;
};

/// Tables of served requests: ours (software, clients, ttft_ms), InferenceMAX runs as
/// aiconfigurator keeps them (silicon_ttft_ms), and MLPerf Inference results (scenario, tokens_s).
bool is_serving_table(CsvTable const& table);
std::vector<MeasuredServing> read_serving_table(CsvTable const& table);

}  // namespace nvl72
