#pragma once

#include "sim/serving/serve.hpp"

namespace nvl72 {

/// Of many values.
struct Percentiles {
    double mean = 0, p50 = 0, p90 = 0, p99 = 0;
};
/// Nearest rank; all 0 of none. Reorders `values`.
Percentiles percentiles(std::vector<double>& values);

/// A run in the field's terms. TTFT is from sending to the first token, TPOT the time of the
/// others over their number, both as the client sees them; means are over requests.
struct ServingMetrics {
    Percentiles ttft_s, tpot_s, latency_s;
    double span_s = 0;               ///< first request to last token
    double output_tokens_per_s = 0;  ///< over the span
    double input_tokens_per_s = 0;
    double requests_per_s = 0;
    double tokens_per_s_per_gpu = 0;   ///< output
    double tokens_per_s_per_user = 0;  ///< 1 / TPOT, mean
    double cache_share = 0;            ///< of the decoding servers' cache in use, over time
    double sequences = 0;              ///< running on a server, over time
    std::int64_t evictions = 0;
};
ServingMetrics metrics_of(Deployment const& deployment,
                          Requests const& requests,
                          ServingRun const& run);

}  // namespace nvl72
