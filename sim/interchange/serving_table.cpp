#include "sim/interchange/serving_table.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <string_view>

namespace nvl72 {

namespace {

constexpr std::array concurrency_columns{"silicon_data_source", "system", "isl", "osl",
                                         "silicon_ttft_ms"};
constexpr std::array own_columns{"software", "clients", "input", "output", "ttft_ms", "tpot_ms"};
constexpr std::array mlperf_columns{"scenario", "tokens_s", "ttft_p50", "tpot_p50"};

/// All of a form's columns but two: a table that lacks some is still known by the others.
template <class Columns>
bool known_by(CsvTable const& table, Columns const& columns) {
    auto const here =
        std::ranges::count_if(columns, [&](auto const* column) { return table.has(column); });
    return here + 2 >= std::ssize(columns);
}

std::string cell(CsvTable const& table, std::size_t row, std::string_view column) {
    bool const told = table.has(column) && !table.blank(row, column);
    return told ? std::string(trimmed(table.text(row, column))) : std::string();
}

std::optional<double> number(CsvTable const& table, std::size_t row, std::string_view column) {
    if (!table.has(column) || table.blank(row, column)) return std::nullopt;
    return table.positive(row, column);
}

/// A whole number, which these tables also write as 4.0; 0 where there is none.
std::int64_t count(CsvTable const& table, std::size_t row, std::string_view column) {
    auto const value = number(table, row, column);
    if (!value) return 0;
    if (*value != std::floor(*value)) {
        fail(table.place(row, column), cell(table, row, column), "a whole number");
    }
    return static_cast<std::int64_t>(*value);
}

MeasuredCut cut_of(CsvTable const& table, std::size_t row, std::string const& prefix) {
    auto const of = [&](char const* name) { return count(table, row, prefix + name); };
    return {of("num_workers"), of("tp_size"),     of("pp_size"),   of("attention_dp_size"),
            of("moe_tp_size"), of("moe_ep_size"), of("batch_size")};
}

MeasuredServing concurrency_row(CsvTable const& table, std::size_t row, MeasuredServing run) {
    run.gpu = cell(table, row, "system");
    run.model = cell(table, row, "model_path");
    run.software = cell(table, row, "backend");
    run.release = cell(table, row, "backend_version");
    run.precision = cell(table, row, "gemm_quant_mode");
    run.expert_precision = cell(table, row, "moe_quant_mode");
    run.input = count(table, row, "isl");
    run.output = count(table, row, "osl");
    run.disaggregated = cell(table, row, "mode") == "disagg";
    run.cut = cut_of(table, row, run.disaggregated ? "decode_" : "");
    if (run.disaggregated) run.prefill = cut_of(table, row, "prefill_");
    run.ttft_ms = number(table, row, "silicon_ttft_ms");
    run.tpot_ms = number(table, row, "silicon_tpot_ms");
    constexpr std::string_view concurrency = "concurrency=";
    auto const source = cell(table, row, "silicon_data_source");
    if (source.starts_with(concurrency)) {
        auto const text = std::string_view(source).substr(concurrency.size());
        std::from_chars(text.data(), text.data() + text.size(), run.clients);
    }
    return run;
}

/// Our own: a cut is written as it is meant, prompts of servers of their own as prefill_*.
MeasuredServing own_row(CsvTable const& table, std::size_t row, MeasuredServing run) {
    auto const of = [&](std::string const& prefix) {
        auto const whole = [&](char const* name) { return count(table, row, prefix + name); };
        return MeasuredCut{whole("workers"),   whole("tp"),        whole("pp"),   whole("dp"),
                           whole("expert_tp"), whole("expert_ep"), whole("batch")};
    };
    run.gpu = cell(table, row, "gpu");
    run.model = cell(table, row, "model");
    run.software = cell(table, row, "software");
    run.release = cell(table, row, "release");
    run.precision = cell(table, row, "precision");
    run.expert_precision = cell(table, row, "expert_precision");
    run.input = count(table, row, "input");
    run.output = count(table, row, "output");
    run.clients = count(table, row, "clients");
    run.cut = of("");
    run.prefill = of("prefill_");
    run.disaggregated = run.prefill.workers > 0;
    run.ttft_ms = number(table, row, "ttft_ms");
    run.tpot_ms = number(table, row, "tpot_ms");
    return run;
}

MeasuredServing mlperf_row(CsvTable const& table, std::size_t row, MeasuredServing run) {
    run.gpu = cell(table, row, "gpu");
    run.gpus = count(table, row, "gpus");
    run.model = cell(table, row, "model");
    run.scenario = cell(table, row, "scenario");
    run.tokens_per_s = number(table, row, "tokens_s");
    run.ttft_ms = number(table, row, "ttft_p50");
    run.ttft_p99_ms = number(table, row, "ttft_p99");
    run.tpot_ms = number(table, row, "tpot_p50");
    run.tpot_p99_ms = number(table, row, "tpot_p99");
    auto const site = cell(table, row, "source");
    run.software = site.ends_with("vLLM") ? "vllm" : "trtllm";
    run.release = "mlperf";
    return run;
}

using Reader = MeasuredServing (*)(CsvTable const&, std::size_t, MeasuredServing);

/// Of the form that the table has; null where of none.
Reader reader_of(CsvTable const& table) {
    if (known_by(table, concurrency_columns)) return concurrency_row;
    if (known_by(table, mlperf_columns)) return mlperf_row;
    if (table.has("clients") && known_by(table, own_columns)) return own_row;
    return nullptr;
}

}  // namespace

bool is_serving_table(CsvTable const& table) { return reader_of(table) != nullptr; }

std::vector<MeasuredServing> read_serving_table(CsvTable const& table) {
    auto const read = reader_of(table);
    std::vector<MeasuredServing> runs;
    for (std::size_t row = 0; read != nullptr && row < table.rows(); ++row) {
        MeasuredServing run;
        run.source = table.file();
        run.line = table.place(row, "").line;
        try {
            run.aside = aside_of(table, row);
            runs.push_back(read(table, row, run));
        } catch (ConfigError const& error) {
            run.unreadable = error.what();
            runs.push_back(std::move(run));
        }
    }
    return runs;
}

}  // namespace nvl72
