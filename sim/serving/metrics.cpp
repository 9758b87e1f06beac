#include "sim/serving/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace nvl72 {

Percentiles percentiles(std::vector<double>& values) {
    if (values.empty()) return {};
    std::ranges::sort(values);
    auto const rank = [&](double share) {
        auto const index = std::ceil(share * static_cast<double>(values.size())) - 1;
        return values[static_cast<std::size_t>(std::max(0.0, index))];
    };
    double const sum = std::accumulate(values.begin(), values.end(), 0.0);
    return {sum / static_cast<double>(values.size()), rank(0.5), rank(0.9), rank(0.99)};
}

ServingMetrics metrics_of(Deployment const& deployment,
                          Requests const& requests,
                          ServingRun const& run) {
    ServingMetrics metrics;
    std::vector<double> ttft, tpot, latency;
    double input = 0, output = 0;
    Picoseconds start = requests.arrival.empty() ? Picoseconds{0} : requests.arrival.front();
    for (std::size_t i = 0; i < requests.size(); ++i) {
        start = std::min(start, requests.arrival[i]);
        ttft.push_back(to_seconds(requests.first[i] - requests.arrival[i]));
        latency.push_back(to_seconds(requests.last[i] - requests.arrival[i]));
        if (requests.output[i] > 1) {
            tpot.push_back(to_seconds(requests.last[i] - requests.first[i]) /
                           (requests.output[i] - 1));
        }
        input += requests.input[i];
        output += requests.output[i];
    }
    metrics.ttft_s = percentiles(ttft);
    metrics.tpot_s = percentiles(tpot);
    metrics.latency_s = percentiles(latency);
    metrics.span_s = to_seconds(run.end - start);
    if (metrics.span_s > 0) {
        metrics.output_tokens_per_s = output / metrics.span_s;
        metrics.input_tokens_per_s = input / metrics.span_s;
        metrics.requests_per_s = static_cast<double>(requests.size()) / metrics.span_s;
        metrics.tokens_per_s_per_gpu =
            metrics.output_tokens_per_s / static_cast<double>(deployment.gpus());
    }
    if (metrics.tpot_s.mean > 0) metrics.tokens_per_s_per_user = 1 / metrics.tpot_s.mean;
    double busy = 0;
    auto const decoding = static_cast<std::size_t>(deployment.pool.servers);
    for (std::size_t i = 0; i < run.use.size(); ++i) {
        metrics.evictions += run.use[i].evictions;
        if (i >= decoding) continue;
        busy += run.use[i].busy_s;
        metrics.cache_share += run.use[i].cache_seconds;
        metrics.sequences += run.use[i].sequence_seconds;
    }
    if (busy > 0) {
        metrics.cache_share /= busy;
        metrics.sequences /= busy;
    }
    return metrics;
}

}  // namespace nvl72
