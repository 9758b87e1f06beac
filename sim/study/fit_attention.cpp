#include "sim/study/section_fit.hpp"

#include "sim/cost/generation_cost.hpp"
#include "sim/cost/profile.hpp"

#include <functional>
#include <map>
#include <optional>

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

using SecondsOf = section_fit::SecondsOf<AttentionRow, Attention>;

/// How the rows that `keep` of a fit with `knobs` constants compare, seen and left out.
SectionFit judged(std::string const& name,
                  std::vector<AttentionSample> const& rows,
                  section_fit::Unseen const& unseen,
                  std::vector<double> const& seen,
                  FitSetting const& setting,
                  std::function<bool(Attention const&)> const& keep) {
    SectionFit fit{"attention", name, 0, 0, {}, "", {}, {}, {}, setting.origin};
    std::vector<double> measured, predicted;
    std::vector<std::size_t> kept;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!keep(rows[i].kernel)) continue;
        section_fit::add_unseen(fit, rows[i], unseen.inside[i], unseen.outside[i]);
        measured.push_back(rows[i].seconds);
        predicted.push_back(seen[i]);
        kept.push_back(i);
    }
    fit.rows = kept.size();
    if (kept.empty()) return fit;
    fit.in_sample = errors_of(measured, predicted);
    fit.left_out = section_fit::errors_inside(fit);
    fit.worst_at = place_of(rows[kept[fit.in_sample.worst_row]].kernel);
    return fit;
}

/// A row of constants as fitted: to all its rows, and its parts, which differ in how sure they are.
struct RowFit {
    SectionFit whole;
    std::vector<SectionFit> parts;
};

/// Fits `row` by its knobs, and says how well.
RowFit fit_row(std::string const& name,
               AttentionRow& row,
               std::vector<Knob<AttentionRow>> const& knobs,
               std::vector<AttentionSample> const& rows,
               SecondsOf const& seconds_of,
               FitSetting const& setting,
               Value& draws) {
    section_fit::expect_enough(name + " attention", setting.origin, rows.size(), knobs.size());
    auto const unseen = section_fit::predict_unseen(row, knobs, rows, seconds_of);
    row = section_fit::fit_section(row, knobs, rows, seconds_of);
    section_fit::put_draws(draws, "attention " + name, knobs, row, unseen);
    auto const seen = section_fit::predict(row, rows, seconds_of);
    auto const is_short = [](Attention const& a) {
        return attention_flops(a) < attention_short_below;
    };
    RowFit fit{judged(name, rows, unseen, seen, setting, [](auto const&) { return true; }), {}};
    fit.whole.parameters = knobs.size();
    fit.parts.push_back(judged(name, rows, unseen, seen, setting, std::not_fn(is_short)));
    fit.parts.push_back(judged(name + " short", rows, unseen, seen, setting, is_short));
    std::erase_if(fit.parts, [](auto const& part) { return part.rows == 0; });
    fit.parts.front().parameters = knobs.size();  // counted once
    return fit;
}

/// Launch and work of `attention` on a kernel.
double seconds_on(AttentionRow const& row, int sms, Attention const& attention) {
    auto const time = attention_time(row, sms, attention);
    return time.latency + time.rest;
}

/// Fits one precision and writes its row.
std::vector<SectionFit> fit_precision(Precision precision,
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
    auto fit = fit_row(
        name, row, knobs, rows,
        [&](auto const& r, auto const& a) { return seconds_on(r, setting.gpu.sms, a); }, setting,
        result.draws);
    Value written;
    section_fit::put_knobs(written, row, knobs, section_fit::source_text(fit.whole));
    put(written, "kv_bytes", *kv_bytes);
    put(table, name, std::move(written));
    return fit.parts;
}

using FittedRows = std::map<Precision, AttentionRow>;

/// The precision whose kernel attention of one key and value head over a cache of another runs:
/// that of the queries where it is nearer to the rows than that of the cache; none where no row
/// tells.
std::optional<Precision> multi_query_kernel(std::vector<AttentionSample> const& rows,
                                            FittedRows const& fitted,
                                            int sms) {
    std::vector<double> measured, queries, cache;
    for (auto const& row : rows) {
        auto const own = fitted.find(row.kernel.precision);
        if (row.kernel.kv_heads != 1 || own == fitted.end()) continue;
        measured.push_back(row.seconds);
        queries.push_back(seconds_on(own->second, sms, row.kernel));
        cache.push_back(seconds_on(fitted.at(row.kernel.cache()), sms, row.kernel));
    }
    if (measured.empty()) return {};
    bool const nearer = errors_of(measured, queries).median < errors_of(measured, cache).median;
    return nearer ? rows.front().kernel.precision : rows.front().kernel.cache();
}

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
        auto const multi_query = multi_query_kernel(own, fitted, setting.gpu.sms);
        auto const seconds_of = [&](AttentionRow const& r, Attention const& a) {
            auto const kernel = a.kv_heads == 1 ? multi_query.value_or(cache) : cache;
            MixedAttention const mixed{{}, {}, {}, r.launch, r.query_io};
            return seconds_on(on_kernel(fitted.at(kernel), mixed), setting.gpu.sms, a);
        };
        AttentionRow row = like->second;
        auto const fit = fit_row(name, row, knobs, own, seconds_of, setting, result.draws);
        Value written;
        put(written, "like", leaf(name_of(cache), "derived: of the precisions the nearest"));
        if (multi_query) {
            put(written, "multi_query",
                leaf(name_of(*multi_query),
                     "derived: of the two precisions the nearer for a single key and value head"));
        }
        section_fit::put_knobs(written, row, knobs, section_fit::source_text(fit.whole));
        put(table, name, std::move(written));
        fits.insert(fits.end(), fit.parts.begin(), fit.parts.end());
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
        auto const fits = fit_precision(precision, own, setting, fitted[precision], result, table);
        result.fits.insert(result.fits.end(), fits.begin(), fits.end());
    }
    put(result.yaml, "precisions", std::move(table));
    Value mixed_table;
    auto const mixed_fits = fit_mixed(mixed, fitted, setting, result, mixed_table);
    if (mixed_table.is_map()) put(result.yaml, "mixed", std::move(mixed_table));
    result.fits.insert(result.fits.end(), mixed_fits.begin(), mixed_fits.end());
    return result;
}

}  // namespace nvl72
