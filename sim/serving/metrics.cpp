#include "sim/serving/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <span>

namespace nvl72 {

Percentiles percentiles(std::vector<double>& values) {
    if (values.empty()) return {};
    std::ranges::sort(values);
    auto const rank = [&](double share) {
        auto const index = std::ceil(share * static_cast<double>(values.size())) - 1;
        return values[static_cast<std::size_t>(std::max(0.0, index))];
    };
    double const sum = std::accumulate(values.begin(), values.end(), 0.0);
    return {sum / static_cast<double>(values.size()), rank(0.5), rank(0.9), rank(0.99),
            rank(0.999)};
}

std::vector<Field<ServiceLimits>> const& fields_of(ServiceLimits const*) {
    static std::vector<Field<ServiceLimits>> const fields{
        optional("ttft", &ServiceLimits::ttft, "", "longest wait for the first token"),
        optional("tpot", &ServiceLimits::tpot, "", "longest mean time of a further token"),
        optional("latency", &ServiceLimits::latency, "", "longest time of a whole answer"),
    };
    return fields;
}

namespace {

/// What the servers of one pool did, in GPU-seconds.
void add_use(ServingMetrics& metrics, Pool const& pool, std::span<ServerUse const> use) {
    double const gpus = pool.cost->replica().layout.gpus();
    for (ServerUse const& each : use) {
        metrics.decode_s += gpus * each.decode_s;
        metrics.prompt_s += gpus * (each.busy_s - each.decode_s);
        metrics.idle_s += gpus * std::max(0.0, metrics.span_s - each.busy_s);
    }
}

}  // namespace

ServingMetrics metrics_of(Deployment const& deployment,
                          Requests const& requests,
                          ServingRun const& run,
                          ServiceLimits const& limits) {
    ServingMetrics metrics;
    std::vector<double> ttft, tpot, latency;
    double input = 0, output = 0, cached = 0, good = 0;
    auto const within = [](double seconds, std::optional<Picoseconds> const& most) {
        return !most || seconds <= to_seconds(*most);
    };
    Picoseconds start = requests.arrival.empty() ? Picoseconds{0} : requests.arrival.front();
    for (std::size_t i = 0; i < requests.size(); ++i) {
        start = std::min(start, requests.arrival[i]);
        ttft.push_back(to_seconds(requests.first[i] - requests.arrival[i]));
        latency.push_back(to_seconds(requests.last[i] - requests.arrival[i]));
        if (requests.output[i] > 1) {
            tpot.push_back(to_seconds(requests.last[i] - requests.first[i]) /
                           (requests.output[i] - 1));
        }
        bool const quick = requests.output[i] <= 1 || within(tpot.back(), limits.tpot);
        good += quick && within(ttft.back(), limits.ttft) && within(latency.back(), limits.latency);
        if (!requests.cached.empty()) cached += requests.cached[i];
        input += requests.input[i];
        output += requests.output[i];
    }
    std::vector<double> questions;
    for (std::size_t i = 0; i < latency.size(); ++i) {
        if (i % static_cast<std::size_t>(requests.samples) == 0) questions.push_back(0);
        questions.back() = std::max(questions.back(), latency[i]);
    }
    metrics.question_s = percentiles(questions);
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
    auto const all = static_cast<double>(requests.size());
    if (all > 0) metrics.good_share = good / all;
    metrics.good_requests_per_s = metrics.requests_per_s * metrics.good_share;
    if (input > 0) metrics.hit_share = cached / input;
    if (metrics.tpot_s.mean > 0) metrics.tokens_per_s_per_user = 1 / metrics.tpot_s.mean;
    double busy = 0;
    auto const decoding = static_cast<std::size_t>(deployment.pool.servers);
    for (std::size_t i = 0; i < run.use.size(); ++i) {
        metrics.evictions += run.use[i].evictions;
        if (i >= decoding) continue;
        busy += run.use[i].busy_s;
        metrics.cache_most = std::max(metrics.cache_most, run.use[i].cache_most);
        metrics.cache_share += run.use[i].cache_seconds;
        metrics.sequences += run.use[i].sequence_seconds;
    }
    if (busy > 0) {
        metrics.cache_share /= busy;
        metrics.sequences /= busy;
    }
    std::span<ServerUse const> const use(run.use);
    add_use(metrics, deployment.pool, use.first(decoding));
    if (deployment.apart) add_use(metrics, deployment.apart->prefill, use.subspan(decoding));
    return metrics;
}

}  // namespace nvl72
