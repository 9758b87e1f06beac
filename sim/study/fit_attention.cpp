#include "sim/study/section_fit.hpp"

#include "sim/cost/generation_cost.hpp"
#include "sim/cost/profile.hpp"

#include <map>

namespace nvl72 {

namespace {

using section_fit::Knob;
using AttentionSample = section_fit::Row<Attention>;

std::vector<Knob<AttentionRow>> knobs_of(GpuSpec const& gpu, double peak) {
    double const hbm = gpu.hbm_bandwidth.count;
    return {
        {"launch", Dimension::seconds, 14e-6, 2e-6, 40e-6,
         [](AttentionRow& r) -> double& { return r.launch.count; }},
        {"peak", Dimension::flops_per_second, 0.5 * peak, 0.1 * peak, peak,
         [](AttentionRow& r) -> double& { return r.peak.count; }},
        {"cta", Dimension::seconds, 1.5e-6, 0.02e-6, 10e-6,
         [](AttentionRow& r) -> double& { return r.cta.count; }},
        {"tail", Dimension::number, 0.5, 0.05, 3,
         [](AttentionRow& r) -> double& { return r.tail; }},
        {"query_io", Dimension::bytes_per_second, 0.4 * hbm, 0.05 * hbm, 4 * hbm,
         [](AttentionRow& r) -> double& { return r.query_io.count; }},
        {"kv_io", Dimension::bytes_per_second, 2 * hbm, 0.05 * hbm, 40 * hbm,
         [](AttentionRow& r) -> double& { return r.kv_io.count; }},
    };
}

Value const& given_value(Value const& given, std::string const& name) {
    Value const* attention = given.find("attention");
    Value const* value = attention == nullptr ? nullptr : attention->find(name);
    if (value == nullptr) fail(given.place, "no attention." + name, "its value and source");
    return *value;
}

std::string place_of(Attention const& attention) {
    return fmt::format("batch {}, tokens {}, heads {}, kv heads {}", attention.batch,
                       attention.query_tokens, attention.heads, attention.kv_heads);
}

/// Fits `row` by its knobs, and says how well.
SectionFit fit_row(std::string const& name,
                   AttentionRow& row,
                   std::vector<Knob<AttentionRow>> const& knobs,
                   std::vector<AttentionSample> const& rows,
                   FitSetting const& setting,
                   Value& draws) {
    section_fit::expect_enough(name + " attention", setting.origin, rows.size(), knobs.size());
    int const sms = setting.gpu.sms;
    section_fit::SecondsOf<AttentionRow, Attention> const seconds_of = [sms](AttentionRow const& r,
                                                                             Attention const& a) {
        auto const time = attention_time(r, sms, a);
        return time.latency + time.rest;
    };
    SectionFit fit{"attention", name, rows.size(), knobs.size(), {},
                   "",          {},   {},          {},           setting.origin};
    auto const measured = section_fit::measured(rows);
    auto const unseen = section_fit::predict_unseen(row, knobs, rows, seconds_of);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        section_fit::add_unseen(fit, rows[i], unseen.inside[i], unseen.outside[i]);
    }
    fit.left_out = section_fit::errors_inside(fit);
    row = section_fit::fit_section(row, knobs, rows, seconds_of);
    section_fit::put_draws(draws, "attention " + name, knobs, row, unseen);
    fit.in_sample = errors_of(measured, section_fit::predict(row, rows, seconds_of));
    fit.worst_at = place_of(rows[fit.in_sample.worst_row].kernel);
    return fit;
}

/// Fits one precision and writes its row.
SectionFit fit_precision(Precision precision,
                         std::vector<AttentionSample> const& rows,
                         FitSetting const& setting,
                         AttentionRow& row,
                         FittedSection& result,
                         Value& table) {
    auto const name = name_of(precision);
    auto const peak = datasheet_peak(setting.gpu, precision);
    if (!peak)
        fail(setting.gpu.place, fmt::format("no {} peak", name), "one, as there are rows of it");
    Value const* kv_bytes = given_value(setting.given, "kv_bytes").find(name);
    if (kv_bytes == nullptr)
        fail(setting.given.place, "no attention.kv_bytes." + name, "bytes of an element");
    row.kv_bytes = ValueType<double>::read(*kv_bytes);
    auto const knobs = section_fit::knobs_in(fmt::format("attention.precisions.{}.", name),
                                             knobs_of(setting.gpu, peak->count));
    auto fit = fit_row(name, row, knobs, rows, setting, result.draws);
    Value written;
    section_fit::put_knobs(written, row, knobs, section_fit::source_text(fit));
    put(written, "kv_bytes", *kv_bytes);
    put(table, name, std::move(written));
    return fit;
}

using FittedRows = std::map<Precision, AttentionRow>;

/// Fits caches of another precision: they run the kernel of the cache's, whose row is `fitted`.
std::vector<SectionFit> fit_mixed(std::vector<AttentionSample> const& rows,
                                  FittedRows const& fitted,
                                  FitSetting const& setting,
                                  FittedSection& result,
                                  Value& table) {
    std::map<std::string, std::vector<AttentionSample>> kinds;
    for (auto const& row : rows) kinds[attention_name(row.kernel)].push_back(row);
    std::vector<SectionFit> fits;
    for (auto const& [name, own] : kinds) {
        auto const cache = own.front().kernel.cache();
        auto const like = fitted.find(cache);
        if (like == fitted.end()) {
            throw ConfigError(
                fmt::format("{}: {} attention rows (expected rows of {} too, whose "
                            "kernel they run)",
                            setting.origin, name, name_of(cache)));
        }
        auto knobs = section_fit::knobs_in(fmt::format("attention.mixed.{}.", name),
                                           knobs_of(setting.gpu, like->second.peak.count));
        std::erase_if(
            knobs, [](auto const& knob) { return knob.key != "launch" && knob.key != "query_io"; });
        AttentionRow row = like->second;
        auto const fit = fit_row(name, row, knobs, own, setting, result.draws);
        Value written;
        put(written, "like", leaf(name_of(cache), "derived: of the precisions the nearest"));
        section_fit::put_knobs(written, row, knobs, section_fit::source_text(fit));
        put(table, name, std::move(written));
        fits.push_back(fit);
    }
    return fits;
}

}  // namespace

FittedSection fit_attention(std::vector<KernelSample> const& samples, FitSetting const& setting) {
    std::vector<AttentionSample> rows, mixed;
    for (auto const& row : section_fit::rows_of<Attention>(samples)) {
        if (is_generation(row.kernel)) continue;
        (row.kernel.kv_precision ? mixed : rows).push_back(row);
    }
    if (rows.empty() && mixed.empty()) return {};
    for (auto* kind : {&rows, &mixed}) {
        if (kind->empty()) continue;
        section_fit::mark_largest(*kind, [](Attention const& a) {
            return static_cast<double>(a.batch * a.heads) * static_cast<double>(a.query_tokens) *
                   static_cast<double>(a.kv_tokens);
        });
    }
    FittedSection result;
    put(result.yaml, "backward", given_value(setting.given, "backward"));
    auto const axis = [&](char const* name, auto value_of) {
        put(result.yaml, name, section_fit::grid_leaf(rows, value_of));
    };
    axis("batch", [](Attention const& a) { return a.batch; });
    axis("query_tokens", [](Attention const& a) { return a.query_tokens; });
    axis("tokens", [](Attention const& a) { return a.batch * a.query_tokens; });
    axis("heads", [](Attention const& a) { return a.heads; });
    axis("kv_heads", [](Attention const& a) { return a.kv_heads; });
    axis("head_dim", [](Attention const& a) { return a.head_dim; });
    Value table;
    FittedRows fitted;
    for (std::size_t i = 0; i < EnumNames<Precision>::words.size(); ++i) {
        std::vector<AttentionSample> own;
        for (auto const& row : rows) {
            if (row.kernel.precision == static_cast<Precision>(i)) own.push_back(row);
        }
        if (own.empty()) continue;
        auto const precision = static_cast<Precision>(i);
        result.fits.push_back(
            fit_precision(precision, own, setting, fitted[precision], result, table));
    }
    put(result.yaml, "precisions", std::move(table));
    Value mixed_table;
    auto const mixed_fits = fit_mixed(mixed, fitted, setting, result, mixed_table);
    if (mixed_table.is_map()) put(result.yaml, "mixed", std::move(mixed_table));
    result.fits.insert(result.fits.end(), mixed_fits.begin(), mixed_fits.end());
    return result;
}

}  // namespace nvl72
