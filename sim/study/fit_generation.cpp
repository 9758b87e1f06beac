#include "sim/study/section_fit.hpp"

#include "sim/cost/attention_cost.hpp"
#include "sim/cost/profile.hpp"

#include <map>

namespace nvl72 {

namespace {

using section_fit::Knob;
using GenerationSample = section_fit::Row<Attention>;
using Kernel = GenerationKernel;

/// Where the two kernels differ: what their blocks share, and how they cut a cache.
std::vector<Knob<Kernel>> own_knobs(bool grouped, double peak) {
    if (!grouped) {
        return {
            {"rate", Dimension::flops_per_second, 0.007 * peak, 0.0001 * peak, peak,
             [](Kernel& k) -> double& { return k.rate.count; }},
            {"split_tokens", Dimension::number, 600, 16, 8192,
             [](Kernel& k) -> double& { return k.split_tokens; }},
            {"waves", Dimension::number, 1, 0.25, 30, [](Kernel& k) -> double& { return k.waves; }},
        };
    }
    return {
        {"rate", Dimension::flops_per_second, 0.35 * peak, 0.001 * peak, peak,
         [](Kernel& k) -> double& { return k.rate.count; }},
        {"split_tokens", Dimension::number, 128, 16, 8192,
         [](Kernel& k) -> double& { return k.split_tokens; }},
        {"waves", Dimension::number, 8, 0.25, 30, [](Kernel& k) -> double& { return k.waves; }},
        {"head", Dimension::seconds, 60e-9, 0.1e-9, 1e-6,
         [](Kernel& k) -> double& { return k.head.count; }},
        {"merge", Dimension::seconds, 50e-9, 0.1e-9, 5e-6,
         [](Kernel& k) -> double& { return k.merge.count; }},
    };
}

std::vector<Knob<Kernel>> knobs_of(GpuSpec const& gpu, bool grouped) {
    double const hbm = gpu.hbm_bandwidth.count;
    std::vector<Knob<Kernel>> knobs{
        {"launch", Dimension::seconds, 9e-6, 1e-6, 30e-6,
         [](Kernel& k) -> double& { return k.launch.count; }},
        {"block", Dimension::seconds, 1e-6, 0.01e-6, 20e-6,
         [](Kernel& k) -> double& { return k.block.count; }},
        {"hbm", Dimension::bytes_per_second, 0.9 * hbm, 0.8 * hbm, hbm,
         [](Kernel& k) -> double& { return k.hbm.count; }},
        {"overlap_norm", Dimension::number, 1.7, 1, 6,
         [](Kernel& k) -> double& { return k.overlap_norm; }},
        {"token", Dimension::seconds, 10e-9, 0.01e-9, 1e-6,
         [](Kernel& k) -> double& { return k.token.count; }},
    };
    auto const own = own_knobs(grouped, gpu.peak.bf16.count);
    knobs.insert(knobs.end(), own.begin(), own.end());
    return knobs;
}

/// A row's times in seconds: of the fit, and of fits without it.
struct Prediction {
    GenerationSample sample;
    double seen, inside, outside;
};

/// Fits one kernel of the precision `name` to its rows, and predicts them: fitted, left out inside,
/// and beyond an edge.
Kernel fit_kernel(std::string const& name,
                  std::vector<GenerationSample> const& rows,
                  bool grouped,
                  double kv_bytes,
                  FitSetting const& setting,
                  std::vector<Prediction>& predictions,
                  Value& draws) {
    char const* const kind = grouped ? "grouped" : "per_head";
    auto const knobs = section_fit::knobs_in(
        fmt::format("generation.precisions.{}.{}.", name, kind), knobs_of(setting.gpu, grouped));
    section_fit::expect_enough(grouped ? "grouped generation" : "per-head generation",
                               setting.origin, rows.size(), knobs.size());
    GenerationGpu const gpu{setting.gpu.sms, static_cast<double>(setting.gpu.l2.count)};
    section_fit::SecondsOf<Kernel, Attention> const seconds_of = [=](Kernel const& kernel,
                                                                     Attention const& attention) {
        auto const time = generation_time(kernel, grouped, kv_bytes, gpu, attention);
        return time.latency + time.rest;
    };
    auto const unseen = section_fit::predict_unseen(Kernel{}, knobs, rows, seconds_of);
    auto const kernel = section_fit::fit_section(Kernel{}, knobs, rows, seconds_of);
    auto const seen = section_fit::predict(kernel, rows, seconds_of);
    section_fit::put_draws(draws, fmt::format("generation {} {}", name, kind), knobs, kernel,
                           unseen);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        predictions.push_back({rows[i], seen[i], unseen.inside[i], unseen.outside[i]});
    }
    return kernel;
}

/// How well both kernels of a precision are predicted.
SectionFit judge(std::string const& name,
                 std::size_t constants,
                 std::vector<Prediction> const& predictions,
                 std::string const& origin) {
    SectionFit fit{"generation", name, predictions.size(), constants, {}, "", {}, {}, {}, origin};
    std::vector<double> measured, seen;
    for (auto const& row : predictions) {
        measured.push_back(row.sample.seconds);
        seen.push_back(row.seen);
        section_fit::add_unseen(fit, row.sample, row.inside, row.outside);
    }
    fit.in_sample = errors_of(measured, seen);
    fit.left_out = section_fit::errors_inside(fit);
    auto const& worst = predictions[fit.in_sample.worst_row].sample.kernel;
    fit.worst_at = fmt::format("batch {}, kv tokens {}, heads {}, kv heads {}", worst.batch,
                               worst.kv_tokens, worst.heads, worst.kv_heads);
    return fit;
}

/// `own.generation.key`, or `own.generation.key.name`.
Value const& given_value(FitSetting const& setting,
                         std::string const& key,
                         std::string const& name = {}) {
    Value const* value = setting.own.find("generation");
    if (value != nullptr) value = value->find(key);
    if (value != nullptr && !name.empty()) value = value->find(name);
    if (value == nullptr) {
        fail(setting.given.place,
             fmt::format("no gpus.{}.generation.{}", setting.gpu.name,
                         name.empty() ? key : key + "." + name),
             "its value and source");
    }
    return *value;
}

/// Fits the kernels of one precision and writes its row.
SectionFit fit_precision(GenerationSection const& section,
                         std::string const& name,
                         std::vector<GenerationSample> const& rows,
                         FitSetting const& setting,
                         FittedSection& result,
                         Value& table) {
    Value const* attention = setting.given.find("attention");
    Value const* bytes = attention == nullptr ? nullptr : attention->find("kv_bytes");
    auto const cache = name_of(rows.front().kernel.cache());
    Value const* kv_bytes = bytes == nullptr ? nullptr : bytes->find(cache);
    if (kv_bytes == nullptr) {
        fail(setting.given.place, "no attention.kv_bytes." + cache, "bytes of an element");
    }
    GenerationRow row;
    row.kv_bytes = ValueType<double>::read(*kv_bytes);
    auto const& from = given_value(setting, "grouped_from", name);
    row.grouped_from = ValueType<double>::read(from);

    std::vector<Prediction> predictions;
    std::size_t constants = 0;
    for (bool const grouped : {true, false}) {
        std::vector<GenerationSample> own;
        for (auto const& sample : rows) {
            if (takes_grouped(section, row, setting.gpu.sms, sample.kernel) == grouped) {
                own.push_back(sample);
            }
        }
        if (own.empty()) continue;
        auto& kernel = grouped ? row.grouped : row.per_head;
        kernel = fit_kernel(name, own, grouped, row.kv_bytes, setting, predictions, result.draws);
        constants += knobs_of(setting.gpu, grouped).size();
    }
    auto const fit = judge(name, constants, predictions, setting.origin);
    Value written;
    put(written, "kv_bytes", *kv_bytes);
    put(written, "grouped_from", from);
    for (bool const grouped : {true, false}) {
        auto const& kernel = grouped ? row.grouped : row.per_head;
        if (!kernel) continue;
        Value knobs;
        section_fit::put_knobs(knobs, *kernel, knobs_of(setting.gpu, grouped),
                               section_fit::source_text(fit));
        put(written, grouped ? "grouped" : "per_head", std::move(knobs));
    }
    put(table, name, std::move(written));
    return fit;
}

}  // namespace

FittedSection fit_generation(std::vector<KernelSample> const& samples, FitSetting const& setting) {
    std::map<std::string, std::vector<GenerationSample>> precisions;
    auto rows = section_fit::rows_of<Attention>(samples);
    std::erase_if(rows, [](auto const& row) { return !is_generation(row.kernel); });
    if (rows.empty()) return {};
    section_fit::mark_largest(rows, [](Attention const& a) {
        return static_cast<double>(a.batch * a.kv_heads) * static_cast<double>(a.kv_tokens);
    });
    for (auto const& row : rows) precisions[attention_name(row.kernel)].push_back(row);
    FittedSection result;
    GenerationSection section;
    put(result.yaml, "heads_min", given_value(setting, "heads_min"));
    put(result.yaml, "heads_max", given_value(setting, "heads_max"));
    section.heads_min = ValueType<int>::read(given_value(setting, "heads_min"));
    section.heads_max = ValueType<int>::read(given_value(setting, "heads_max"));
    auto const axis = [&](char const* name, auto value_of) {
        put(result.yaml, name, section_fit::grid_leaf(rows, value_of));
    };
    axis("batch", [](Attention const& a) { return a.batch; });
    axis("kv_tokens", [](Attention const& a) { return a.kv_tokens; });
    axis("tokens", [](Attention const& a) { return a.batch * a.kv_tokens; });
    axis("heads", [](Attention const& a) { return a.heads; });
    axis("kv_heads", [](Attention const& a) { return a.kv_heads; });
    axis("head_dim", [](Attention const& a) { return a.head_dim; });
    Value table;
    for (auto const& [name, own] : precisions) {
        result.fits.push_back(fit_precision(section, name, own, setting, result, table));
    }
    put(result.yaml, "precisions", std::move(table));
    return result;
}

}  // namespace nvl72
