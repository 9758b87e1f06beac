#include "sim/study/calibrate.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/config/write.hpp"
#include "sim/study/fit_collectives.hpp"
#include "sim/study/fit_memory.hpp"
#include "sim/study/fit_microkernels.hpp"
#include "sim/study/fit_training.hpp"
#include "sim/study/given.hpp"
#include "sim/study/section_fit.hpp"
#include "sim/study/shipped_parts.hpp"
#include "sim/trace/atomic_file.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <iterator>
#include <optional>
#include <set>
#include <unistd.h>

namespace nvl72 {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t runs_least = 3;  // as rows a constant of a section

constexpr std::string_view profile_head =
    "# Written by nvl72sim calibrate from measurements; a new fit replaces it.\n";

/// When and on what the samples were taken.
void put_measurement(Value& root, MeasuredData const& data) {
    if (!data.logs.empty()) {
        put(root, "logs", leaf(data.logs, "measured: by nccl-tests, logs given to calibrate"));
    }
    if (data.date.empty()) return;
    auto const source = "measured: by nvl72-measure, as its samples file says";
    put(root, "date", leaf(data.date, source));
    put(root, "device", leaf(data.device, source));
}

/// The profile's head: its GPU, the load factor, and the sister that fills missing sections.
Value head_of(GpuSpec const& gpu, Value const& own, Value const& sustained, bool complete) {
    Value root;
    put(root, "gpu", leaf(gpu.name));
    put(root, "sustained", sustained);
    if (complete) return root;
    if (Value const* sister = own.find("scaled_from")) {
        put(root, "scaled_from", *sister);
    } else if (gpu.sister) {
        put(root, "scaled_from",
            leaf(*gpu.sister, "assumed: the sister that the GPU's own file names"));
    } else {
        fail(gpu.place, "no sister GPU to scale the missing sections from",
             "GEMM and attention tables, or sister");
    }
    return root;
}

FittedCollectives fit_own_collectives(MeasuredData const& data, Library const& library) {
    if (data.collectives.empty()) return {};
    auto const given = collective_given(library, data.gpu);
    std::vector<CollectiveSample> samples;
    for (auto const& sample : data.collectives) {
        if (given.gpus.contains(sample.gpu)) samples.push_back(sample);
    }
    CollectiveSetting setting{
        data.gpu, given.section, {}, data.collective_origin, given.another_count};
    setting.shipped = shipped_collectives(library, data.gpu);
    return fit_collectives(samples, setting);
}

/// The published runs of `gpu` in the experiments, priced by the profile `text`; the runs of other
/// GPUs are counted in `notes`.
std::vector<LoadedPoint> published_runs(MeasuredData const& data,
                                        Library const& library,
                                        std::string const& text,
                                        std::string& origin,
                                        std::vector<std::string>& notes) {
    auto const file = fs::temp_directory_path() / fmt::format("nvl72sim-{}.yaml", ::getpid());
    write_whole(file.string(), {text.begin(), text.end()});
    std::vector<LoadedPoint> runs;
    std::vector<std::string> origins;
    for (auto const& path : data.experiments) {
        std::size_t others = 0;
        std::size_t const before = runs.size();
        for (auto const& point : load_experiment(path, {}).points) {
            auto const& published = point.system.published;
            if (!published.tokens_per_s_per_gpu && !published.step) continue;
            if (build_fabric(point.system.cluster, library, nullptr).gpu().name != data.gpu) {
                ++others;
            } else {
                runs.push_back(load_point(point, library, {file.string()}));
            }
        }
        if (runs.size() > before) origins.push_back(fs::path(path).stem().string());
        if (others > 0) {
            notes.push_back(
                fmt::format("{}: {} published runs of other GPUs left aside", path, others));
        }
    }
    fs::remove(file);
    origin = join(origins);
    return runs;
}

/// The load factor, fitted to the published runs of the GPU, priced by the profile as it is without
/// them; none without enough of them, which a note says.
std::optional<FittedTraining> fit_to_runs(MeasuredData const& data,
                                          Library const& library,
                                          Calibration& calibration) {
    if (data.experiments.empty()) return std::nullopt;
    std::string origin;
    auto const runs = published_runs(data, library, calibration.text, origin, calibration.notes);
    if (runs.size() >= runs_least) return fit_sustained(runs, origin);
    calibration.notes.push_back(
        fmt::format("{} published runs of {}: too few (expected {}) to fit sustained to",
                    runs.size(), data.gpu, runs_least));
    return std::nullopt;
}

/// The GEMM section, with the precisions that given.yaml likens to measured ones.
FittedSection with_likeness(FittedSection gemm, Value const& own) {
    Value const* likened = own.find("likened");
    if (likened != nullptr && gemm.yaml.is_map()) put(gemm.yaml, "likened", *likened);
    return gemm;
}

void append_entries(Value& map, Value const& more) {
    for (auto const& entry : more.entries) put(map, entry.name, entry.value);
}

/// Memory's constants are the GEMMs' (memory_of), and err with them.
void add_memory_draws(Value& draws) {
    auto const fit = std::ranges::find(draws.entries, "gemm", &NamedValue::name);
    if (fit == draws.entries.end()) return;
    for (auto const& [own, gemm] : {std::pair{"memory.rate", "gemm.hbm"},
                                    std::pair{"memory.launch", "gemm.precisions.bf16.launch"}}) {
        Value const* moves = fit->value.find(gemm);
        if (moves != nullptr) put(fit->value, own, Value(*moves));
    }
}

/// Elementwise kernels move data as memory-bound GEMMs do, until some are measured.
Value memory_of(Value const& gemm, std::string const& origin) {
    auto const source = "fitted: HBM rate and BF16 launch of the GEMMs of " + origin;
    Value memory;
    put(memory, "rate", leaf(gemm.find("hbm")->scalar, source));
    put(memory, "launch",
        leaf(gemm.find("precisions")->entries.front().value.find("launch")->scalar, source));
    put(memory, "borrowed", leaf("memory-bound GEMMs", source));
    return memory;
}

/// Text of a fitted section's leaf; "" where it has none.
std::string text_of(Value const* leaf) { return leaf == nullptr ? std::string() : leaf->scalar; }

/// What the simulator reckons with beside the machine's own times.
ReckonedTimes reckoned_times(GpuSpec const& gpu, Value const& gemm, Value const* memory) {
    ReckonedTimes reckoned{gpu.sms, "", ""};
    if (gemm.is_map()) {
        reckoned.gemm_launch =
            text_of(gemm.find("precisions")->entries.front().value.find("launch"));
    }
    if (memory != nullptr) reckoned.memory_launch = text_of(memory->find("launch"));
    return reckoned;
}

/// Notes memory rows that were not enough.
void note_memory(std::vector<std::string>& notes,
                 MeasuredData const& data,
                 FittedSection const& memory) {
    if (data.memory.empty() || !memory.fits.empty()) return;
    notes.push_back(
        fmt::format("memory: {} rows of {} left aside: too few to tell a rate from a launch "
                    "(expected 6, of several sizes)",
                    data.memory.size(), data.memory_origin));
}

/// A CPU's profile: its memory and what its threads did, and nothing of kernels.
Calibration calibrate_host(MeasuredData const& data,
                           FittedSection const& memory,
                           FittedMicrokernels const& microkernels) {
    if (!microkernels.section.yaml.is_map()) {
        throw ConfigError(
            fmt::format("{}: no microkernels of at least two sizes, out of place (expected "
                        "nvl72-measure --device host with its suite collectives)",
                        data.microkernel_origin.empty() ? "--from" : data.microkernel_origin));
    }
    Value root;
    put(root, "gpu", leaf(data.gpu));
    put_measurement(root, data);
    Calibration result;
    if (memory.yaml.is_map()) put(root, "memory", memory.yaml);
    put(root, "microkernels", microkernels.section.yaml);
    result.fits = memory.fits;
    std::ranges::copy(microkernels.section.fits, std::back_inserter(result.fits));
    result.unpriced = microkernels.unpriced;
    result.notes = microkernels.notes;
    note_memory(result.notes, data, memory);
    Value spread;
    for (auto const& fit : result.fits) section_fit::put_spread(spread, fit);
    if (spread.is_map()) put(root, "spread", spread);
    result.text = std::string(profile_head) + yaml_text(root);
    return result;
}

/// A profile before its load factor is known.
struct Draft {
    Value first, last;  ///< fitted sections before and behind the kept ones
    Value draws;        ///< of the fits
    KeptSections kept;

    [[nodiscard]] bool has(std::string const& section) const {
        return first.find(section) != nullptr || kept.names.contains(section);
    }
};

void put_fitted(Value& sections, std::string const& name, FittedSection const& fitted) {
    if (fitted.yaml.is_map()) put(sections, name, fitted.yaml);
}

std::set<std::string> names_in(Draft const& draft) {
    std::set<std::string> names;
    for (auto const* part : {&draft.first, &draft.last}) {
        for (auto const& entry : part->entries) names.insert(entry.name);
    }
    return names;
}

std::string text_of(Draft const& draft,
                    Value const& head,
                    Value const& spread,
                    Value const& draws) {
    auto const text = [](Value const& map) { return map.is_map() ? yaml_text(map) : ""; };
    Value named;
    put(named, "spread", spread);
    if (draws.is_map()) put(named, "draws", draws);
    return fmt::format("{}{}{}{}{}{}", profile_head, yaml_text(head), text(draft.first),
                       draft.kept.text, text(draft.last), yaml_text(named));
}

}  // namespace

Calibration calibrate_profile(MeasuredData const& data, Library const& library) {
    FitSetting setting;
    setting.gpu = load_gpu(library, data.gpu, {"--gpu", 0, ""});
    auto const microkernels =
        fit_microkernels(data.microkernels, {data.microkernel_origin, data.nvlink});
    auto const memory = fit_memory(data.memory, data.memory_origin);
    if (setting.gpu.architecture == GpuArchitecture::cpu) {
        return calibrate_host(data, memory, microkernels);
    }
    setting.given = load_yaml(library.folder() + "/measurements/kernels/given.yaml");
    setting.own = given_through_sisters(setting.given, setting.gpu, library);
    Value const own = given_of(setting.given, data.gpu);
    auto const fitted = [&](auto fit, std::string const& origin) {
        setting.origin = origin;
        return fit(data.samples, setting);
    };
    auto const gemm = with_likeness(fitted(fit_gemm, data.gemm_origin), own);
    auto const attention = fitted(fit_attention, data.attention_origin);
    auto const generation = fitted(fit_generation, data.generation_origin);
    auto const moe = fitted(fit_moe, data.moe_origin);
    auto const collectives = fit_own_collectives(data, library);

    Draft draft;
    put_fitted(draft.first, "gemm", gemm);
    put_fitted(draft.first, "attention", attention);
    bool const borrowed = !memory.yaml.is_map() && gemm.yaml.is_map();
    if (borrowed) put(draft.first, "memory", memory_of(gemm.yaml, data.gemm_origin));
    put_fitted(draft.first, "memory", memory);
    put_fitted(draft.first, "generation", generation);
    put_fitted(draft.last, "collectives", collectives.section);
    put_fitted(draft.last, "moe", moe);
    put_fitted(draft.last, "microkernels", microkernels.section);
    draft.kept = kept_sections(library, data.gpu, names_in(draft));

    Calibration result;
    result.kept = collectives.kept;
    result.notes = microkernels.notes;
    note_memory(result.notes, data, memory);
    result.unpriced = microkernels.unpriced;
    result.reckoned = reckoned_times(setting.gpu, gemm.yaml, draft.first.find("memory"));
    for (auto const* section : {&gemm, &attention, &memory, &generation, &moe, &collectives.section,
                                &microkernels.section}) {
        result.fits.insert(result.fits.end(), section->fits.begin(), section->fits.end());
    }
    for (auto const* section : {&gemm, &attention, &generation, &moe, &collectives.section}) {
        append_entries(draft.draws, section->draws);
    }
    if (borrowed) add_memory_draws(draft.draws);
    auto const put_text = [&](Value const& sustained) {
        bool const complete = draft.has("gemm") && draft.has("attention");
        Value head = head_of(setting.gpu, own, sustained, complete);
        put_measurement(head, data);
        Value spread;
        for (auto const& fit : result.fits) section_fit::put_spread(spread, fit);
        auto unfitted = draft.kept.names;
        unfitted.insert({"training", "sustained"});
        keep_spread(spread, unfitted, result.kept, library, data.gpu);
        Value draws = draft.draws;
        keep_draws(draws, unfitted, library, data.gpu);
        result.text = text_of(draft, head, spread, draws);
    };
    put_text(sustained_without_runs(library, data.gpu, own));
    if (auto const training = fit_to_runs(data, library, result)) {
        result.fits.push_back(training->fit);
        append_entries(draft.draws, training->draws);
        put_text(training->yaml);
    }
    return result;
}

}  // namespace nvl72
