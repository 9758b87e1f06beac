#include "sim/study/section_fit.hpp"

#include <algorithm>
#include <map>

namespace nvl72 {

namespace {

using section_fit::Knob;
using MoeSample = section_fit::Row<MoeExchange>;

using MoeKnobs = std::vector<Knob<MoeKernels>>;

MoeKnobs shared_knobs() {
    return {
        {"start_norm", Dimension::number, 1.1, 1, 4,
         [](MoeKernels& k) -> double& { return k.start_norm; }},
        {"copy_norm", Dimension::number, 2, 1, 16,
         [](MoeKernels& k) -> double& { return k.copy_norm; }},
    };
}

/// The knobs of row `i`.
MoeKnobs row_knobs(std::size_t i, bool moves, double nvlink) {
    auto const in_row = [i](auto member) {
        return [i, member](MoeKernels& k) -> double& { return member(k.rows[i].second); };
    };
    MoeKnobs knobs{
        {"base", Dimension::seconds, 10e-6, 1e-6, 100e-6,
         in_row([](MoeRow& r) -> double& { return r.base.count; })},
        {"hop", Dimension::seconds, 1e-6, 0.01e-6, 20e-6,
         in_row([](MoeRow& r) -> double& { return r.hop.count; })},
    };
    if (!moves) {
        knobs.push_back({"route", Dimension::seconds, 1e-9, 0.01e-9, 100e-9,
                         in_row([](MoeRow& r) -> double& { return r.route->count; })});
        return knobs;
    }
    knobs.push_back({"copy", Dimension::bytes_per_second, 0.6 * nvlink, 0.05 * nvlink, nvlink,
                     in_row([](MoeRow& r) -> double& { return r.copy->count; })});
    knobs.push_back({"local", Dimension::bytes_per_second, 0.5 * nvlink, 0.02 * nvlink, 20 * nvlink,
                     in_row([](MoeRow& r) -> double& { return r.local->count; })});
    return knobs;
}

Value const& given_value(FitSetting const& setting, char const* key) {
    Value const* moe = setting.own.find("moe");
    Value const* value = moe == nullptr ? nullptr : moe->find(key);
    if (value == nullptr) {
        fail(setting.given.place, fmt::format("no gpus.{}.moe.{}", setting.gpu.name, key),
             "its value and source");
    }
    return *value;
}

/// Bytes of an element that travels in a precision: those of a GEMM's operand, scales included.
Value const& element_bytes(FitSetting const& setting, Precision precision) {
    Value const* moe = setting.given.find("moe");
    Value const* bytes = moe == nullptr ? nullptr : moe->find("bytes");
    Value const* own = bytes == nullptr ? nullptr : bytes->find(name_of(precision));
    if (own == nullptr) {
        fail(setting.given.place, "no moe.bytes." + name_of(precision), "bytes of an element");
    }
    return *own;
}

/// Kernels with a row for each kind of exchange among the samples, unfitted.
MoeKernels unfitted(std::vector<MoeSample> const& rows, FitSetting const& setting) {
    MoeKernels kernels;
    auto const known = [&](std::string const& name) {
        return std::ranges::any_of(kernels.rows,
                                   [&](auto const& row) { return row.first == name; });
    };
    for (auto const& sample : rows) {
        auto const name = moe_row_name(sample.kernel);
        if (known(name)) continue;
        MoeRow row;
        if (sample.kernel.step == MoeStep::prepare) {
            row.route = Seconds{};
        } else {
            row.copy = row.local = BytesPerSecond{};
            row.bytes = ValueType<double>::read(element_bytes(setting, sample.kernel.precision));
        }
        kernels.rows.emplace_back(name, row);
    }
    std::ranges::sort(kernels.rows, {}, [](auto const& row) { return row.first; });
    return kernels;
}

/// How well the rows named `name` are predicted, seen and unseen.
SectionFit judge(std::string const& transport,
                 std::string const& name,
                 std::size_t constants,
                 std::vector<MoeSample> const& rows,
                 std::vector<double> const& predicted,
                 section_fit::Unseen const& unseen,
                 std::string const& origin) {
    std::vector<double> measured, seen;
    std::vector<MoeExchange> kernels;
    SectionFit fit{"moe", transport + " " + name, 0, constants, {}, "", {}, {}, {}, origin};
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (moe_row_name(rows[i].kernel) != name) continue;
        kernels.push_back(rows[i].kernel);
        measured.push_back(rows[i].seconds);
        seen.push_back(predicted[i]);
        section_fit::add_unseen(fit, rows[i], unseen.inside[i], unseen.outside[i]);
    }
    fit.rows = measured.size();
    fit.in_sample = errors_of(measured, seen);
    auto const& worst = kernels[fit.in_sample.worst_row];
    fit.worst_at = fmt::format("tokens {}, ep {}", worst.tokens, worst.shape.ranks);
    fit.left_out = section_fit::errors_inside(fit);
    return fit;
}

/// Fits the kernels of one transport together and writes them.
std::vector<SectionFit> fit_transport(std::string const& transport,
                                      std::vector<MoeSample> const& rows,
                                      BytesPerSecond nvlink,
                                      FitSetting const& setting,
                                      Value& written,
                                      Value& draws) {
    auto kernels = unfitted(rows, setting);
    auto const in = fmt::format("moe.{}.", transport);
    auto const shared = section_fit::knobs_in(in, shared_knobs());
    auto knobs = shared;
    std::vector<MoeKnobs> own;
    for (std::size_t i = 0; i < kernels.rows.size(); ++i) {
        own.push_back(section_fit::knobs_in(
            fmt::format("{}rows.{}.", in, kernels.rows[i].first),
            row_knobs(i, kernels.rows[i].second.copy.has_value(), nvlink.count)));
        knobs.insert(knobs.end(), own.back().begin(), own.back().end());
    }
    section_fit::expect_enough(transport + " MoE", setting.origin, rows.size(), knobs.size());
    section_fit::SecondsOf<MoeKernels, MoeExchange> const seconds_of =
        [nvlink](MoeKernels const& k, MoeExchange const& exchange) {
            auto const name = moe_row_name(exchange);
            auto const row = std::ranges::find(k.rows, name, [](auto const& r) { return r.first; });
            auto const time = moe_time(k, row->second, nvlink, exchange);
            return time.latency + time.rest;
        };
    auto const unseen = section_fit::predict_unseen(kernels, knobs, rows, seconds_of);
    kernels = section_fit::fit_section(kernels, knobs, rows, seconds_of);
    auto const predicted = section_fit::predict(kernels, rows, seconds_of);
    section_fit::put_draws(draws, "moe " + transport, knobs, kernels, unseen);

    auto const source = fmt::format("fitted: {} {} rows of {}, all together", rows.size(),
                                    transport, setting.origin);
    section_fit::put_knobs(written, kernels, shared, source);
    Value table;
    std::vector<SectionFit> fits;
    for (std::size_t i = 0; i < kernels.rows.size(); ++i) {
        auto const& name = kernels.rows[i].first;
        auto const fit =
            judge(transport, name, own[i].size(), rows, predicted, unseen, setting.origin);
        Value row;
        section_fit::put_knobs(row, kernels, own[i], section_fit::source_text(fit));
        if (kernels.rows[i].second.copy) {
            auto const sample =
                std::ranges::find(rows, name, [](auto const& r) { return moe_row_name(r.kernel); });
            put(row, "bytes", element_bytes(setting, sample->kernel.precision));
        }
        put(table, name, std::move(row));
        fits.push_back(fit);
    }
    put(written, "rows", std::move(table));
    return fits;
}

}  // namespace

FittedSection fit_moe(std::vector<KernelSample> const& samples, FitSetting const& setting) {
    auto rows = section_fit::rows_of<MoeExchange>(samples);
    if (rows.empty()) return {};
    FittedSection result;
    auto const& nvlink_given = given_value(setting, "nvlink");
    auto const nvlink = ValueType<BytesPerSecond>::read(nvlink_given);
    put(result.yaml, "nvlink", nvlink_given);
    for (auto& row : rows) row.kernel.shape.in_domain = nvlink;
    std::map<std::int64_t, std::size_t> edges;  // each number of ranks is one
    for (auto const& row : rows) edges.emplace(row.kernel.shape.ranks, 0);
    std::size_t number = 0;
    for (auto& edge : edges) edge.second = ++number;
    for (auto& row : rows) row.edge = edges.at(row.kernel.shape.ranks);
    auto const axis = [&](char const* name, auto value_of) {
        put(result.yaml, name, section_fit::grid_leaf(rows, value_of));
    };
    axis("tokens", [](MoeExchange const& e) { return e.tokens; });
    axis("ep", [](MoeExchange const& e) { return e.shape.ranks; });
    axis("hidden", [](MoeExchange const& e) { return e.hidden; });
    axis("top_k", [](MoeExchange const& e) { return e.top_k; });
    axis("experts", [](MoeExchange const& e) { return e.experts; });
    for (auto const transport : {MoeTransport::two_sided, MoeTransport::one_sided}) {
        std::vector<MoeSample> own;
        for (auto const& row : rows) {
            if (row.kernel.transport == transport) own.push_back(row);
        }
        if (own.empty()) continue;
        Value written;
        auto const fits =
            fit_transport(name_of(transport), own, nvlink, setting, written, result.draws);
        put(result.yaml, name_of(transport), std::move(written));
        result.fits.insert(result.fits.end(), fits.begin(), fits.end());
    }
    return result;
}

}  // namespace nvl72
