#include "sim/study/serving_row.hpp"

#include "sim/base/error.hpp"

namespace nvl72 {

std::vector<ServingColumn> const& serving_columns() {
    using R = ServingRow;
    static std::vector<ServingColumn> const all{
        {"point", "", "row number; other tables refer to it", &R::point},
        {"kind", "", "system, sweep or measured", &R::kind},
        {"system", "", "label of the system", &R::system},
        {"group", "", "the system without load and layout", &R::group},
        {"variant", "", "what a sweep sets besides load and layout", &R::variant},
        {"cluster", "", "cluster config", &R::cluster},
        {"gpu", "", "GPU config", &R::gpu},
        {"gpus", "", "GPUs of all servers", &R::gpus},
        {"model", "", "model config", &R::model},
        {"engine", "", "serving software", &R::engine},
        {"precision", "", "precision of the engine", &R::precision},
        {"regime", "",
         "aggregated or disaggregated, dense or moe: whose rows tell how sure this is", &R::regime},
        {"tp", "", "ranks that share attention", &R::tp},
        {"pp", "", "pipeline stages", &R::pp},
        {"attention_dp", "", "groups of tp ranks with requests of their own", &R::attention_dp},
        {"expert_ep", "", "ranks that experts are spread over", &R::expert_ep},
        {"replicas", "", "servers that decode", &R::replicas},
        {"prefill_gpus", "", "GPUs of servers for prompts alone", &R::prefill_gpus},
        {"clients", "", "of the closed loop; 0: arrivals are open", &R::clients},
        {"rate", "1/s", "mean rate of open arrivals", &R::rate, true},
        {"requests", "", "served", &R::requests},
        {"samples", "", "answers to each question", &R::samples},
        {"input_mean", "tokens", "of prompts", &R::input_mean},
        {"output_mean", "tokens", "of answers", &R::output_mean},
        {"ttft_s", "s", "mean time to the first token", &R::ttft_s},
        {"ttft_p50_s", "s", "50 % of requests take less to the first token", &R::ttft_p50_s},
        {"ttft_p90_s", "s", "90 % of requests take less to the first token", &R::ttft_p90_s},
        {"ttft_p99_s", "s", "99 % of requests take less to the first token", &R::ttft_p99_s},
        {"ttft_p999_s", "s", "99.9 % of requests take less to the first token", &R::ttft_p999_s},
        {"tpot_s", "s", "mean time of a further token", &R::tpot_s},
        {"tpot_p50_s", "s", "50 % of requests take less of a further token", &R::tpot_p50_s},
        {"tpot_p90_s", "s", "90 % of requests take less of a further token", &R::tpot_p90_s},
        {"tpot_p99_s", "s", "99 % of requests take less of a further token", &R::tpot_p99_s},
        {"tpot_p999_s", "s", "99.9 % of requests take less of a further token", &R::tpot_p999_s},
        {"latency_s", "s", "mean time of a whole answer", &R::latency_s},
        {"latency_p50_s", "s", "50 % of requests take less of a whole answer", &R::latency_p50_s},
        {"latency_p90_s", "s", "90 % of requests take less of a whole answer", &R::latency_p90_s},
        {"latency_p99_s", "s", "99 % of requests take less of a whole answer", &R::latency_p99_s},
        {"latency_p999_s", "s", "99.9 % of requests take less of a whole answer",
         &R::latency_p999_s},
        {"question_s", "s", "mean time of all answers to a question", &R::question_s},
        {"question_p50_s", "s", "50 % of questions take less", &R::question_p50_s},
        {"question_p90_s", "s", "90 % of questions take less", &R::question_p90_s},
        {"question_p99_s", "s", "99 % of questions take less", &R::question_p99_s},
        {"ttft_low_s", "s", "80 % interval of the mean, by rows that the engine's fit had not seen",
         &R::ttft_low_s, true},
        {"ttft_high_s", "s", "its upper end", &R::ttft_high_s, true},
        {"tpot_low_s", "s", "80 % interval of the mean, by rows that the engine's fit had not seen",
         &R::tpot_low_s, true},
        {"tpot_high_s", "s", "its upper end", &R::tpot_high_s, true},
        {"tokens_per_s", "tokens/s", "output of all servers over the span", &R::tokens_per_s},
        {"tokens_per_s_per_gpu", "tokens/s", "the same per GPU", &R::tokens_per_s_per_gpu},
        {"tokens_per_s_per_user", "tokens/s", "1 / tpot_s", &R::tokens_per_s_per_user},
        {"requests_per_s", "1/s", "over the span", &R::requests_per_s},
        {"good_share", "1", "of requests that keep the SLO", &R::good_share},
        {"good_requests_per_s", "1/s", "goodput: requests that keep the SLO",
         &R::good_requests_per_s},
        {"hit_share", "1", "of prompts' tokens, found in prefix caches", &R::hit_share},
        {"cache_share", "1", "of the decoding servers' KV room in use, over their busy time",
         &R::cache_share},
        {"cache_most", "1", "largest share of it", &R::cache_most},
        {"sequences", "", "running on a server, over its busy time", &R::sequences},
        {"evictions", "", "sequences whose cache was taken away", &R::evictions},
        {"span_s", "s", "first request to last token", &R::span_s},
        {"prompt_share", "1", "of GPU time, steps with a prompt", &R::prompt_share},
        {"decode_share", "1", "of GPU time, steps without one", &R::decode_share},
        {"idle_share", "1", "of GPU time, nothing to do", &R::idle_share},
        {"gpu_w", "W", "mean draw of one GPU", &R::gpu_w, true},
        {"unit_w", "W", "mean draw of one rack or box", &R::unit_w, true},
        {"cluster_w", "W", "mean draw of all machines and network switches", &R::cluster_w, true},
        {"energy_per_token_j", "J", "of the machines, per token of an answer",
         &R::energy_per_token_j, true},
        {"energy_per_request_j", "J", "the same per request", &R::energy_per_request_j, true},
        {"carbon_g_per_mtoken", "g", "CO2 equivalent of a million answered tokens, with the PUE",
         &R::carbon_g_per_mtoken, true},
        {"usd_per_mtoken", "USD", "price of a million answered tokens", &R::usd_per_mtoken, true},
        {"usd_per_request", "USD", "price of a request", &R::usd_per_request, true},
        {"energy_per_question_j", "J", "of the machines, per question", &R::energy_per_question_j,
         true},
        {"usd_per_question", "USD", "price of a question", &R::usd_per_question, true},
        {"published_ttft_s", "s", "measured mean time to the first token", &R::published_ttft_s,
         true},
        {"published_tpot_s", "s", "measured mean time of a further token", &R::published_tpot_s,
         true},
        {"published_tokens_per_s", "tokens/s", "measured output", &R::published_tokens_per_s, true},
        {"basis", "", "what the calibration supports the prediction with", &R::basis},
        {"basis_share", "1", "share of the time that stands on that basis", &R::basis_share},
        {"best", "", "1: no other point of its group has more tokens/s both per GPU and per user",
         &R::best},
    };
    return all;
}

ResultTable to_table(std::vector<ServingRow> const& rows) {
    NVL72_EXPECT(!rows.empty(), "a result has at least one point");
    ResultTable table{"sweep", {}};
    for (ServingColumn const& column : serving_columns()) {
        std::visit(
            [&]<class T>(T ServingRow::* member) {
                std::vector<T> values;
                for (ServingRow const& row : rows) values.push_back(row.*member);
                table.columns.push_back({std::string(column.name), std::string(column.unit),
                                         std::string(column.help), std::move(values),
                                         column.optional});
            },
            column.member);
    }
    return table;
}

}  // namespace nvl72
