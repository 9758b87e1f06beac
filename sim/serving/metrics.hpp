#pragma once

#include "sim/serving/serve.hpp"

namespace nvl72 {

/// Of many values.
struct Percentiles {
    double mean = 0, p50 = 0, p90 = 0, p99 = 0, p999 = 0;
};
/// Nearest rank; all 0 of none. Reorders `values`.
Percentiles percentiles(std::vector<double>& values);

/// What a request must keep to count as good; none: nothing.
struct ServiceLimits {
    Place place;
    std::optional<Picoseconds> ttft, tpot, latency;

    [[nodiscard]] bool any() const { return ttft || tpot || latency; }
};
std::vector<Field<ServiceLimits>> const& fields_of(ServiceLimits const*);

/// A run in the field's terms. TTFT is from sending to the first token, TPOT the time of the
/// others over their number, both as the client sees them; means are over requests.
struct ServingMetrics {
    Percentiles ttft_s, tpot_s, latency_s;
    Percentiles question_s;          ///< until the last of a question's samples
    double span_s = 0;               ///< first request to last token
    double output_tokens_per_s = 0;  ///< over the span
    double input_tokens_per_s = 0;
    double requests_per_s = 0;
    double tokens_per_s_per_gpu = 0;   ///< output
    double tokens_per_s_per_user = 0;  ///< 1 / TPOT, mean
    double cache_share = 0;            ///< of the decoding servers' cache in use, over time
    double sequences = 0;              ///< running on a server, over time
    std::int64_t evictions = 0;
    double cache_most = 0;           ///< largest share of a decoding server's cache in use
    double hit_share = 0;            ///< of prompts' tokens, found in prefix caches
    double good_share = 1;           ///< of requests that keep all limits
    double good_requests_per_s = 0;  ///< goodput
    double prompt_s = 0, decode_s = 0, idle_s = 0;  ///< GPU-seconds of all servers, over the span
};
ServingMetrics metrics_of(Deployment const& deployment,
                          Requests const& requests,
                          ServingRun const& run,
                          ServiceLimits const& limits = {});

}  // namespace nvl72
