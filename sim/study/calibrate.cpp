#include "sim/study/calibrate.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/config/write.hpp"
#include "sim/cost/profile.hpp"
#include "sim/interchange/log_folder.hpp"
#include "sim/interchange/moe_table.hpp"
#include "sim/study/fit_microkernels.hpp"
#include "sim/study/fit_training.hpp"
#include "sim/study/given.hpp"
#include "sim/study/machine_samples.hpp"
#include "sim/study/measured_files.hpp"
#include "sim/study/section_fit.hpp"
#include "sim/trace/atomic_file.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <set>
#include <unistd.h>

namespace nvl72 {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t runs_least = 3;  // as rows a constant of a section

template <class Kernel>
bool any_of_kind(std::vector<KernelSample> const& samples) {
    return std::ranges::any_of(
        samples, [](KernelSample const& s) { return std::holds_alternative<Kernel>(s.query); });
}

/// Attention rows of generation, or of context.
bool any_attention(std::vector<KernelSample> const& samples, bool generation) {
    return std::ranges::any_of(samples, [&](KernelSample const& sample) {
        auto const* attention = std::get_if<Attention>(&sample.query);
        return attention != nullptr && is_generation(*attention) == generation;
    });
}

void append_name(std::string& names, std::string const& name) {
    names += (names.empty() ? "" : ", ") + name;
}

constexpr std::string_view profile_head =
    "# Written by nvl72sim calibrate from measurements; a new fit replaces it.\n";

/// When and on what the samples were taken.
void put_measurement(Value& root, MeasuredData const& data) {
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

/// The text of sections that the GPU's shipped profile has and `root` lacks, comments included.
struct KeptSections {
    std::string text;
    std::set<std::string> names;
};

KeptSections kept_sections(Library const& library,
                           std::string const& gpu,
                           std::set<std::string> const& fitted) {
    static std::set<std::string> const sections{
        "gemm", "attention", "memory", "generation", "collectives", "moe", "microkernels"};
    KeptSections kept;
    auto const path = fs::path(library.folder()) / "calibration" / (gpu + ".yaml");
    if (!fs::exists(path)) return kept;
    Value const shipped = load_yaml(path.string());
    std::ifstream in(path, std::ios::binary);
    std::string line, name;
    for (int number = 1; std::getline(in, line); ++number) {
        for (auto const& entry : shipped.entries) {
            if (entry.value.place.line == number) name = entry.name;
        }
        if (!sections.contains(name) || fitted.contains(name)) continue;
        kept.names.insert(name);
        kept.text += line + "\n";
    }
    return kept;
}

/// The collectives of the shipped profile of a GPU, or of the first sister that has some.
Value shipped_collectives(Library const& library, std::string name) {
    while (true) {
        auto const path = fs::path(library.folder()) / "calibration" / (name + ".yaml");
        if (fs::exists(path)) {
            Value const shipped = load_yaml(path.string());
            if (Value const* section = shipped.find("collectives")) return *section;
        }
        GpuSpec const spec = load_gpu(library, name, {"--gpu", 0, ""});
        if (!spec.sister) return {};
        name = *spec.sister;
    }
}

FittedCollectives fit_own_collectives(MeasuredData const& data, Library const& library) {
    if (data.collectives.empty()) return {};
    auto const given = collective_given(library, data.gpu);
    std::vector<CollectiveSample> samples;
    for (auto const& sample : data.collectives) {
        if (given.gpus.contains(sample.gpu)) samples.push_back(sample);
    }
    CollectiveSetting setting{data.gpu, given.section, {}, data.collective_origin};
    setting.shipped = shipped_collectives(library, data.gpu);
    return fit_collectives(samples, setting);
}

/// Without runs: as fitted for the shipped profile, else for the first sister that was fitted.
Value sustained_without_runs(Library const& library, std::string const& gpu, Value const& own) {
    std::string name = gpu;
    while (true) {
        auto const path = fs::path(library.folder()) / "calibration" / (name + ".yaml");
        Value const shipped = fs::exists(path) ? load_yaml(path.string()) : Value{};
        Value const* factor = shipped.find("sustained");
        if (factor != nullptr && factor->source.starts_with("fitted:")) {
            if (name == gpu) return *factor;
            return leaf(factor->scalar,
                        fmt::format("assumed: as the {}; no published run of the {} to fit it to",
                                    name, gpu));
        }
        GpuSpec const spec = load_gpu(library, name, {"--gpu", 0, ""});
        Value const* given = name == gpu ? own.find("scaled_from") : nullptr;
        if (given != nullptr) {
            name = given->scalar;
        } else if (spec.sister) {
            name = *spec.sister;
        } else {
            return leaf("1", "assumed: no published runs of this GPU or of a sister");
        }
    }
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
        if (runs.size() > before) append_name(origin, fs::path(path).stem().string());
        if (others > 0) {
            notes.push_back(
                fmt::format("{}: {} published runs of other GPUs left aside", path, others));
        }
    }
    fs::remove(file);
    return runs;
}

/// The spread rows of what was fitted, and as shipped of what was not.
Value spread_of_fits(Calibration const& calibration,
                     std::set<std::string> const& kept_sections,
                     Library const& library,
                     std::string const& gpu) {
    Value spread;
    for (auto const& fit : calibration.fits) section_fit::put_spread(spread, fit);
    auto const path = fs::path(library.folder()) / "calibration" / (gpu + ".yaml");
    Value const shipped = fs::exists(path) ? load_yaml(path.string()) : Value{};
    Value const* rows = shipped.find("spread");
    if (rows == nullptr) return spread;
    for (auto const& row : rows->entries) {
        if (spread.find(row.name) != nullptr) continue;
        auto const space = row.name.find(' ');
        bool const section_kept = kept_sections.contains(row.name.substr(0, space));
        bool const branch_kept = row.name.starts_with("collectives ") &&
                                 std::ranges::find(calibration.kept, row.name.substr(space + 1)) !=
                                     calibration.kept.end();
        if (section_kept || branch_kept) put(spread, row.name, row.value);
    }
    return spread;
}

void append_entries(Value& map, Value const& more) {
    for (auto const& entry : more.entries) put(map, entry.name, entry.value);
}

/// The draws of what was fitted, and as shipped of the constants in sections that were not.
Value draws_with_kept(Value draws,
                      std::set<std::string> const& kept_sections,
                      Library const& library,
                      std::string const& gpu) {
    auto const path = fs::path(library.folder()) / "calibration" / (gpu + ".yaml");
    Value const shipped = fs::exists(path) ? load_yaml(path.string()) : Value{};
    Value const* fits = shipped.find("draws");
    if (fits == nullptr) return draws;
    for (auto const& fit : fits->entries) {
        if (draws.find(fit.name) != nullptr) continue;
        bool const kept = std::ranges::all_of(fit.value.entries, [&](auto const& constant) {
            return kept_sections.contains(constant.name.substr(0, constant.name.find('.')));
        });
        if (kept) put(draws, fit.name, fit.value);
    }
    return draws;
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

/// The collectives of a table, a log, or a folder of logs that are fit for a fit.
std::vector<CollectiveSample> collectives_in(std::string const& path,
                                             MeasuredFileKind kind,
                                             std::string const& gpu,
                                             Library const& library,
                                             std::vector<std::string>& notes) {
    if (kind == MeasuredFileKind::collectives) {
        return samples_to_fit(read_collective_table(CsvTable::load(path), gpu));
    }
    LogFolder folder;
    if (kind == MeasuredFileKind::log_folder) {
        folder = read_log_folder(path);
    } else {
        auto const log = read_nccl_log(path);
        folder.logs.push_back({facts_of(log, "", gpu), log});
    }
    notes.insert(notes.end(), folder.notes.begin(), folder.notes.end());
    std::vector<CollectiveSample> samples;
    for (auto const& log : folder.logs) {
        notes.insert(notes.end(), log.log.notes.begin(), log.log.notes.end());
        auto const own = samples_to_fit(measured_rows(log, library.names("gpus")));
        samples.insert(samples.end(), own.begin(), own.end());
    }
    return samples;
}

}  // namespace

namespace {

/// Adds what nvl72-measure left of a machine to `data`; its kernels are a table like others.
void add_samples(MeasuredData& data,
                 std::vector<std::pair<std::string, KernelTable>>& tables,
                 std::set<std::string>& gpus,
                 std::string const& name,
                 MachineSamples machine) {
    gpus.insert(machine.gpu);
    data.device = machine.device;
    data.date = machine.date;
    data.notes.insert(data.notes.end(), machine.notes.begin(), machine.notes.end());
    if (!machine.kernels.empty()) tables.emplace_back(name, KernelTable{machine.kernels});
    if (!machine.collectives.empty()) append_name(data.collective_origin, name);
    if (!machine.microkernels.empty()) append_name(data.microkernel_origin, name);
    data.nvlink = machine.nvlink;
    std::ranges::copy(machine.collectives, std::back_inserter(data.collectives));
    std::ranges::copy(machine.microkernels, std::back_inserter(data.microkernels));
}

/// A CPU's profile: what its threads did, and nothing of kernels.
Calibration calibrate_host(MeasuredData const& data, FittedMicrokernels microkernels) {
    if (!microkernels.section.yaml.is_map()) {
        throw ConfigError(
            fmt::format("{}: no microkernels of at least two sizes, out of place (expected "
                        "nvl72-measure --device host with its suite collectives)",
                        data.microkernel_origin.empty() ? "--from" : data.microkernel_origin));
    }
    Value root;
    put(root, "gpu", leaf(data.gpu));
    put_measurement(root, data);
    put(root, "microkernels", microkernels.section.yaml);
    Calibration result;
    result.fits = std::move(microkernels.section.fits);
    result.notes = std::move(microkernels.notes);
    Value spread;
    for (auto const& fit : result.fits) section_fit::put_spread(spread, fit);
    if (spread.is_map()) put(root, "spread", spread);
    result.text = std::string(profile_head) + yaml_text(root);
    return result;
}

}  // namespace

std::vector<std::string> fitted_gpus(Library const& library) {
    std::vector<std::string> notes;
    std::set<std::string> gpus;
    for (auto const& file : measured_files({library.folder() + "/measurements"}, notes)) {
        if (file.kind != MeasuredFileKind::kernels) continue;
        for (auto const& sample : read_kernel_table(CsvTable::load(file.path), "").samples) {
            gpus.insert(sample.gpu);
        }
    }
    return {gpus.begin(), gpus.end()};
}

MeasuredData read_measured_data(std::vector<std::string> const& paths,
                                Library const& library,
                                std::string const& gpu) {
    MeasuredData data;
    std::set<std::string> gpus;
    std::vector<std::pair<std::string, KernelTable>> tables;
    for (auto const& [path, kind] : measured_files(paths, data.notes)) {
        auto const name = fs::path(path).filename().string();
        if (kind == MeasuredFileKind::experiments) {
            for (auto const& own : experiments_named_in(path, library)) {
                data.experiments.push_back(own);
            }
        } else if (kind == MeasuredFileKind::kernels || kind == MeasuredFileKind::moe) {
            auto const csv = CsvTable::load(path);
            tables.emplace_back(name, kind == MeasuredFileKind::moe ? read_moe_table(csv, gpu)
                                                                    : read_kernel_table(csv, gpu));
            auto const& table = tables.back().second;
            for (auto const& sample : table.samples) gpus.insert(sample.gpu);
        } else if (kind == MeasuredFileKind::samples) {
            add_samples(data, tables, gpus, name,
                        machine_samples(read_samples(path), library, gpu));
        } else {
            auto const samples = collectives_in(path, kind, gpu, library, data.notes);
            for (auto const& sample : samples) gpus.insert(sample.gpu);
            append_name(data.collective_origin, name);
            data.collectives.insert(data.collectives.end(), samples.begin(), samples.end());
        }
    }
    std::vector<std::string> const names(gpus.begin(), gpus.end());
    if (names.empty()) {
        throw ConfigError("--from: no GEMM, attention, MoE or collective rows, and no samples");
    }
    if (gpu.empty() && names.size() > 1) {
        throw ConfigError(
            fmt::format("--from: rows of {} (expected one GPU, or --gpu NAME)", join(names)));
    }
    data.gpu = gpu.empty() ? names.front() : gpu;
    if (!gpus.contains(data.gpu)) {
        throw ConfigError(
            fmt::format("--gpu: no rows of {} (they are of {})", data.gpu, join(names)));
    }
    for (auto const& entry : tables) {
        std::vector<KernelSample> own;
        for (auto const& sample : entry.second.samples) {
            if (sample.gpu == data.gpu) own.push_back(sample);
        }
        if (any_of_kind<Gemm>(own)) append_name(data.gemm_origin, entry.first);
        if (any_attention(own, false)) append_name(data.attention_origin, entry.first);
        if (any_attention(own, true)) append_name(data.generation_origin, entry.first);
        if (any_of_kind<MoeExchange>(own)) append_name(data.moe_origin, entry.first);
        data.samples.insert(data.samples.end(), own.begin(), own.end());
    }
    return data;
}

Calibration calibrate_profile(MeasuredData const& data, Library const& library) {
    FitSetting setting;
    setting.gpu = load_gpu(library, data.gpu, {"--gpu", 0, ""});
    auto microkernels = fit_microkernels(data.microkernels, {data.microkernel_origin, data.nvlink});
    if (setting.gpu.architecture == GpuArchitecture::cpu) {
        return calibrate_host(data, std::move(microkernels));
    }
    setting.given = load_yaml(library.folder() + "/measurements/kernels/given.yaml");
    setting.own = given_through_sisters(setting.given, setting.gpu, library);
    Value const own = given_of(setting.given, data.gpu);

    setting.origin = data.gemm_origin;
    auto gemm = fit_gemm(data.samples, setting);
    setting.origin = data.attention_origin;
    auto attention = fit_attention(data.samples, setting);
    setting.origin = data.generation_origin;
    auto generation = fit_generation(data.samples, setting);
    setting.origin = data.moe_origin;
    auto moe = fit_moe(data.samples, setting);

    auto collectives = fit_own_collectives(data, library);

    std::set<std::string> sections;
    if (gemm.yaml.is_map()) sections.insert({"gemm", "memory"});
    if (attention.yaml.is_map()) sections.insert("attention");
    if (generation.yaml.is_map()) sections.insert("generation");
    if (collectives.section.yaml.is_map()) sections.insert("collectives");
    if (microkernels.section.yaml.is_map()) sections.insert("microkernels");
    if (moe.yaml.is_map()) sections.insert("moe");
    auto const kept = kept_sections(library, data.gpu, sections);
    sections.insert(kept.names.begin(), kept.names.end());
    bool const complete = sections.contains("gemm") && sections.contains("attention");

    Value body;
    Calibration result;
    if (gemm.yaml.is_map()) {
        if (Value const* likened = own.find("likened")) put(gemm.yaml, "likened", *likened);
        put(body, "gemm", gemm.yaml);
    }
    if (attention.yaml.is_map()) put(body, "attention", attention.yaml);
    if (gemm.yaml.is_map()) put(body, "memory", memory_of(gemm.yaml, data.gemm_origin));
    if (generation.yaml.is_map()) put(body, "generation", generation.yaml);
    result.fits = std::move(gemm.fits);
    result.kept = std::move(collectives.kept);
    for (auto const* section :
         {&attention, &generation, &moe, &collectives.section, &microkernels.section}) {
        result.fits.insert(result.fits.end(), section->fits.begin(), section->fits.end());
    }
    Value draws;
    for (auto const* section : {&gemm, &attention, &generation, &moe, &collectives.section}) {
        append_entries(draws, section->draws);
    }
    add_memory_draws(draws);
    result.notes = microkernels.notes;
    Value last;
    if (collectives.section.yaml.is_map()) put(last, "collectives", collectives.section.yaml);
    if (moe.yaml.is_map()) put(last, "moe", moe.yaml);
    if (microkernels.section.yaml.is_map()) put(last, "microkernels", microkernels.section.yaml);
    auto unfitted = kept.names;
    unfitted.insert({"training", "sustained"});
    auto const text_with = [&](Value const& sustained) {
        Value spread;
        put(spread, "spread", spread_of_fits(result, unfitted, library, data.gpu));
        auto const moves = draws_with_kept(draws, unfitted, library, data.gpu);
        if (moves.is_map()) put(spread, "draws", moves);
        Value head = head_of(setting.gpu, own, sustained, complete);
        put_measurement(head, data);
        return fmt::format("{}{}{}{}{}{}", profile_head, yaml_text(head),
                           body.is_map() ? yaml_text(body) : std::string(), kept.text,
                           last.is_map() ? yaml_text(last) : std::string(), yaml_text(spread));
    };
    result.text = text_with(sustained_without_runs(library, data.gpu, own));
    if (data.experiments.empty()) return result;
    std::string origin;
    auto const runs = published_runs(data, library, result.text, origin, result.notes);
    if (runs.size() < runs_least) {
        result.notes.push_back(
            fmt::format("{} published runs of {}: too few (expected {}) to fit sustained to",
                        runs.size(), data.gpu, runs_least));
        return result;
    }
    auto const training = fit_sustained(runs, origin);
    result.fits.push_back(training.fit);
    append_entries(draws, training.draws);
    result.text = text_with(training.yaml);
    return result;
}

}  // namespace nvl72
