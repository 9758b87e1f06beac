#include "sim/study/section_fit.hpp"

#include "sim/cost/profile.hpp"

#include <algorithm>

namespace nvl72 {

namespace {

using section_fit::Knob;
using GemmSample = section_fit::Row<Gemm>;

/// Bounds: HBM and tensor cores never beat the datasheet; times as kernels of any GPU show them.
std::vector<Knob<GemmSection>> shared_knobs(GpuSpec const& gpu) {
    double const hbm = gpu.hbm_bandwidth.count;
    return {
        {"hbm", Dimension::bytes_per_second, 0.8 * hbm, 0.3 * hbm, hbm,
         [](GemmSection& s) -> double& { return s.hbm.count; }},
        {"l2", Dimension::bytes_per_second, 25e12, 3e12, 100e12,
         [](GemmSection& s) -> double& { return s.l2.count; }},
        {"split", Dimension::seconds, 5e-6, 0.5e-6, 20e-6,
         [](GemmSection& s) -> double& { return s.split.count; }},
        {"overlap_norm", Dimension::number, 2, 1, 6,
         [](GemmSection& s) -> double& { return s.overlap_norm; }},
    };
}

std::vector<Knob<GemmSection>> row_knobs(std::size_t row, bool quantised, double peak) {
    auto const on_row = [row](auto member) {
        return
            [row, member](GemmSection& s) -> double& { return member(s.precisions[row].second); };
    };
    std::vector<Knob<GemmSection>> knobs{
        {"launch", Dimension::seconds, 5e-6, 0.5e-6, 30e-6,
         on_row([](GemmRow& r) -> double& { return r.launch.count; })},
        {"peak", Dimension::flops_per_second, 0.7 * peak, 0.2 * peak, peak,
         on_row([](GemmRow& r) -> double& { return r.peak.count; })},
        {"tile", Dimension::seconds, 0.5e-6, 0.02e-6, 5e-6,
         on_row([](GemmRow& r) -> double& { return r.tile.count; })},
        {"wave_quantisation", Dimension::number, 0.3, 0.02, 1,
         on_row([](GemmRow& r) -> double& { return r.wave_quantisation; })},
    };
    if (quantised) {
        knobs.push_back({"quantise", Dimension::bytes_per_second, 3e12, 0.3e12, 20e12,
                         on_row([](GemmRow& r) -> double& { return r.quantise->count; })});
    }
    return knobs;
}

/// The rows' precisions with their formats, nothing fitted yet.
GemmSection unfitted(std::vector<Precision> const& precisions, FitSetting const& setting) {
    GemmSection section;
    Value const* formats = setting.given.find("precisions");
    for (auto const precision : precisions) {
        auto const name = name_of(precision);
        Value const* format = formats == nullptr ? nullptr : formats->find(name);
        if (format == nullptr)
            fail(setting.given.place, "no format of " + name, "precisions." + name);
        auto const read = read_spec<GemmFormat>(*format, nullptr);
        GemmRow row;
        row.operand_bytes = read.operand_bytes;
        row.tile_rows = read.tile_rows;
        row.splits = read.splits;
        if (precision != Precision::bf16) row.quantise = BytesPerSecond{1e12};
        section.precisions.emplace_back(name, row);
    }
    return section;
}

std::vector<Precision> precisions_in(std::vector<GemmSample> const& rows) {
    std::set<Precision> found;
    for (auto const& row : rows) found.insert(row.kernel.precision);
    return {found.begin(), found.end()};
}

/// How well one precision's rows are predicted, seen and unseen.
SectionFit judge(Precision precision,
                 std::size_t constants,
                 std::vector<GemmSample> const& rows,
                 std::vector<double> const& predicted,
                 section_fit::Unseen const& unseen,
                 std::string const& origin) {
    std::vector<double> measured, seen;
    SectionFit fit{"gemm", name_of(precision), 0, constants, {}, "", {}, {}, {}, origin};
    std::vector<Gemm> kernels;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (rows[i].kernel.precision != precision) continue;
        kernels.push_back(rows[i].kernel);
        measured.push_back(rows[i].seconds);
        seen.push_back(predicted[i]);
        section_fit::add_unseen(fit, rows[i], unseen.inside[i], unseen.outside[i]);
    }
    fit.rows = measured.size();
    fit.in_sample = errors_of(measured, seen);
    auto const& worst = kernels[fit.in_sample.worst_row];
    fit.worst_at = fmt::format("m {}, n {}, k {}", worst.m, worst.n, worst.k);
    fit.left_out = section_fit::errors_inside(fit);
    return fit;
}

}  // namespace

std::vector<Field<GemmFormat>> const& fields_of(GemmFormat const*) {
    static std::vector<Field<GemmFormat>> const fields{
        required("operand_bytes", &GemmFormat::operand_bytes, "bytes of an element with its scale"),
        required("tile_rows", &GemmFormat::tile_rows, "tile heights to choose from"),
        required("splits", &GemmFormat::splits, "cuts of k to choose from"),
    };
    return fields;
}

FittedSection fit_gemm(std::vector<KernelSample> const& samples, FitSetting const& setting) {
    auto rows = section_fit::rows_of<Gemm>(samples);
    if (rows.empty()) return {};
    section_fit::mark_largest(rows, [](Gemm const& g) {
        return static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k);
    });
    auto const precisions = precisions_in(rows);

    GemmSection section = unfitted(precisions, setting);
    auto const shared = section_fit::knobs_in("gemm.", shared_knobs(setting.gpu));
    auto knobs = shared;
    std::vector<std::vector<Knob<GemmSection>>> own;
    for (std::size_t i = 0; i < precisions.size(); ++i) {
        auto const peak = datasheet_peak(setting.gpu, precisions[i]);
        if (!peak) {
            fail(setting.gpu.place, fmt::format("no {} peak", name_of(precisions[i])),
                 "one, as there are rows of it");
        }
        own.push_back(section_fit::knobs_in(
            fmt::format("gemm.precisions.{}.", name_of(precisions[i])),
            row_knobs(i, section.precisions[i].second.quantise.has_value(), peak->count)));
        knobs.insert(knobs.end(), own.back().begin(), own.back().end());
    }
    section_fit::expect_enough("gemm", setting.origin, rows.size(), knobs.size());

    int const sms = setting.gpu.sms;
    section_fit::SecondsOf<GemmSection, Gemm> const seconds_of = [&](GemmSection const& s,
                                                                     Gemm const& g) {
        auto const row = std::ranges::find(precisions, g.precision) - precisions.begin();
        auto const time =
            gemm_time(s, s.precisions[static_cast<std::size_t>(row)].second, sms,
                      static_cast<double>(g.m), static_cast<double>(g.n), static_cast<double>(g.k));
        return time.latency + time.rest;
    };
    auto const unseen = section_fit::predict_unseen(section, knobs, rows, seconds_of);
    section = section_fit::fit_section(section, knobs, rows, seconds_of);
    auto const predicted = section_fit::predict(section, rows, seconds_of);

    FittedSection result;
    section_fit::put_draws(result.draws, "gemm", knobs, section, unseen);
    auto const source =
        fmt::format("fitted: {} rows of {}, all precisions together", rows.size(), setting.origin);
    section_fit::put_knobs(result.yaml, section, shared, source);
    put(result.yaml, "m", section_fit::grid_leaf(rows, [](Gemm const& g) { return g.m; }));
    put(result.yaml, "n", section_fit::grid_leaf(rows, [](Gemm const& g) { return g.n; }));
    put(result.yaml, "k", section_fit::grid_leaf(rows, [](Gemm const& g) { return g.k; }));
    Value table;
    for (std::size_t i = 0; i < precisions.size(); ++i) {
        auto const fit =
            judge(precisions[i], own[i].size(), rows, predicted, unseen, setting.origin);
        Value row;
        section_fit::put_knobs(row, section, own[i], section_fit::source_text(fit));
        for (auto const& entry : setting.given.find("precisions")->find(fit.precision)->entries) {
            put(row, entry.name, entry.value);
        }
        put(table, fit.precision, std::move(row));
        result.fits.push_back(fit);
    }
    put(result.yaml, "precisions", std::move(table));
    return result;
}

}  // namespace nvl72
