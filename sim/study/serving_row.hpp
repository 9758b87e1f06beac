#pragma once

#include "sim/trace/result_file.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace nvl72 {

/// One served point, as /sweep of the result file holds it. NaN: none.
struct ServingRow {
    static constexpr double none = std::numeric_limits<double>::quiet_NaN();
    std::int64_t point = 0;
    std::string kind, system, group, variant, cluster, gpu, model, engine, precision, regime;
    std::int64_t gpus = 0, tp = 1, pp = 1, attention_dp = 1, expert_ep = 1, replicas = 1;
    std::int64_t prefill_gpus = 0, clients = 0, requests = 0, samples = 1;
    double rate = none, input_mean = 0, output_mean = 0;
    double ttft_s = 0, ttft_p50_s = 0, ttft_p90_s = 0, ttft_p99_s = 0, ttft_p999_s = 0;
    double tpot_s = 0, tpot_p50_s = 0, tpot_p90_s = 0, tpot_p99_s = 0, tpot_p999_s = 0;
    double latency_s = 0, latency_p50_s = 0, latency_p90_s = 0, latency_p99_s = 0,
           latency_p999_s = 0;
    double question_s = 0, question_p50_s = 0, question_p90_s = 0, question_p99_s = 0;
    double ttft_low_s = none, ttft_high_s = none, tpot_low_s = none, tpot_high_s = none;
    double tokens_per_s = 0, tokens_per_s_per_gpu = 0, tokens_per_s_per_user = 0;
    double requests_per_s = 0, good_share = 1, good_requests_per_s = 0;
    double hit_share = 0, cache_share = 0, cache_most = 0, sequences = 0;
    std::int64_t evictions = 0;
    double span_s = 0, prompt_share = 0, decode_share = 0, idle_share = 0;
    double gpu_w = none, unit_w = none, cluster_w = none;
    double energy_per_token_j = none, energy_per_request_j = none;
    double carbon_g_per_mtoken = none, usd_per_mtoken = none, usd_per_request = none;
    double energy_per_question_j = none, usd_per_question = none;
    double published_ttft_s = none, published_tpot_s = none, published_tokens_per_s = none;
    std::string basis;
    double basis_share = 1;
    std::int64_t best = 0;  ///< 1: no other of its system has more tokens/s both ways
};

/// A column of /sweep and its member.
struct ServingColumn {
    std::string_view name, unit, help;
    std::variant<std::int64_t ServingRow::*, double ServingRow::*, std::string ServingRow::*>
        member;
    bool optional = false;
};
std::vector<ServingColumn> const& serving_columns();

ResultTable to_table(std::vector<ServingRow> const& rows);

}  // namespace nvl72
