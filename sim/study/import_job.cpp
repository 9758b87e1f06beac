#include "sim/study/import_job.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/interchange/measured_collective.hpp"
#include "sim/study/import_parts.hpp"
#include "sim/study/point.hpp"
#include "sim/study/training_rows.hpp"
#include "sim/trace/atomic_file.hpp"

#include <algorithm>
#include <exception>
#include <fmt/format.h>
#include <optional>
#include <ranges>
#include <utility>

namespace nvl72 {

namespace fs = std::filesystem;

namespace {

/// Files that go again, or are again what they were, unless they are kept.
class WrittenFiles {
public:
    WrittenFiles() = default;
    WrittenFiles(WrittenFiles const&) = delete;
    WrittenFiles& operator=(WrittenFiles const&) = delete;
    ~WrittenFiles() {
        for (auto const& old : std::ranges::reverse_view(old_)) restore(old);
    }

    void write(ImportedFile const& file) {
        std::optional<std::vector<char>> before;
        if (fs::exists(file.path)) before = read_whole(file.path);
        write_whole(file.path, {file.text.begin(), file.text.end()});
        old_.push_back({file.path, std::move(before)});
    }
    void keep() { old_.clear(); }

private:
    struct Old {
        std::string path;
        std::optional<std::vector<char>> bytes;  ///< none: there was no file
    };

    static void restore(Old const& old) noexcept {
        try {
            if (old.bytes) {
                write_whole(old.path, *old.bytes);
            } else {
                fs::remove(old.path);
            }
        } catch (std::exception const&) {
            return;  // the error that led here is the one to tell
        }
    }

    std::vector<Old> old_;
};

/// The job's GPU in our name: of --cluster, --gpu, or as the file says.
std::string gpu_of(ImportDraft const& draft) {
    auto const& options = draft.options;
    auto const& job = draft.job;
    if (!options.cluster.empty())
        return load_cluster(draft.library, options.cluster, {"--cluster", 0, ""}).gpu;
    if (!options.gpu.empty()) return gpu_name(options.gpu);
    auto const& words = draft.result.facts.run.gpu;
    if (words.empty()) {
        fail({job.file, 0, "cluster"}, "no GPU is named, or several are",
             "--cluster hgx-h100-superpod, or --gpu h100; see nvl72sim list clusters");
    }
    auto const named = named_gpu(words);
    return named.gpu.empty() ? gpu_name(words) : named.gpu;
}

void choose_system(ImportDraft& draft) {
    auto& facts = draft.result.facts;
    auto& run = facts.run;
    auto const& layout = facts.layout;
    run.line = draft.job.gpu_place.line;
    run.model = draft.system.model.value;
    run.tp = layout.tp;
    run.pp = layout.pp;
    run.cp = layout.cp;
    run.vp = layout.vp;
    run.ep = layout.ep;
    auto const model = draft.system.model.value;
    draft.system = system_of_run(run, draft.library, draft.defaulted);
    auto& built = draft.system.layout;
    built.place = layout.place;
    built.places = layout.places;
    built.ep = layout.ep;
    built.order = layout.order;
    // A dump has an expert_tp for dense models too.
    bool const experts =
        load_architecture(draft.library.path("models", model, draft.job.model_place)).experts > 0;
    built.expert_tp = experts ? layout.expert_tp : 1;
    built.sequence_parallel = layout.sequence_parallel;
    if (layout.embedding_and_loss_as_layers) {
        built.embedding_and_loss_as_layers = true;
        built.uneven_layers = false;
    }
    draft.system.precision.place = facts.precision_place;
    draft.system.sequence_length.place = facts.sequence_place;
    draft.system.global_batch.place = facts.batch_place;
    draft.system.cluster.gpus_place = facts.gpus_place;
    if (!draft.options.cluster.empty()) {
        draft.system.cluster.name = draft.options.cluster;
        draft.system.cluster.name_place = {"--cluster", 0, ""};
    }
    draft.base_recipe = draft.system.recipe.value;
}

Recipe base_recipe(ImportDraft const& draft) {
    return load_recipe(draft.library.path("recipes", draft.base_recipe, {}), nullptr,
                       &draft.library);
}

void write_recipe(ImportDraft& draft, WrittenFiles& written) {
    auto const base = base_recipe(draft);
    draft.switches = different_switches(base, draft.result.facts.switches);
    bool const told = draft.job.software == base.software.value_or("");
    draft.recipe_source = fmt::format("{}: the nearest release{}", told ? "derived" : "assumed",
                                      told ? "" : "; no recipe of Megatron-LM alone is shipped");
    if (draft.switches.empty()) {
        draft.recipe_name = draft.base_recipe;
        draft.system.recipe.value = draft.base_recipe;
        return;
    }
    auto const path = draft.beside("recipe", ".yaml");
    draft.recipe_name = fs::path(path).filename().string();
    draft.system.recipe.value = path;
    auto const of = fs::path(draft.job.file).filename().string();
    ImportedFile const file{path, recipe_text(draft.base_recipe, draft.switches, of)};
    std::erase_if(draft.result.files, [&](auto const& other) { return other.path == path; });
    draft.result.files.push_back(file);
    written.write(file);
}

/// The least recomputation that fits, where the file does not say: as a table's row is read.
void recompute_until_it_fits(ImportDraft& draft, WrittenFiles& written) {
    Point const point{PointKind::system, draft.system};
    auto loaded = load_point(point, draft.library, draft.options.calibrations);
    if (memory_fits(loaded)) return;
    auto& facts = draft.result.facts;
    auto const fits_not = [&] {
        draft.result.warnings.emplace_back(
            "by our count the job does not fit the GPU's memory: run says what is short");
    };
    if (facts.recompute_told) return fits_not();
    std::string const source = "assumed: it fits only so, and the file does not say";
    auto const recipe = loaded.recipe;
    loaded.recipe.recompute = recipe.selective;
    auto const told = facts.switches;
    if (!recipe.selective.empty() && memory_fits(loaded)) {
        facts.switches.push_back({"recompute", "[" + join(recipe.selective) + "]", source});
    } else {
        loaded.recipe.full_recompute = true;
        if (!memory_fits(loaded)) return fits_not();
        facts.switches.push_back({"full_recompute", "true", source});
    }
    facts.assumed.emplace_back("recomputation: the least with which the job fits");
    write_recipe(draft, written);
}

/// What the resolver says of a table's row, without what the import tells in its own words.
void trim_defaulted(ImportDraft& draft) {
    std::erase_if(draft.defaulted, [](std::string const& note) {
        return note.starts_with("model ") || note.starts_with("micro-batch");
    });
}

void check_output(ImportOptions const& options, ForeignJob const& job) {
    std::error_code ignored;
    if (!options.output.ends_with(".yaml"))
        throw ConfigError(
            fmt::format("-o: {} (expected a name that ends in .yaml)", options.output));
    if (fs::equivalent(options.output, job.file, ignored))
        throw ConfigError(
            fmt::format("-o: {} is the file itself (expected another name)", options.output));
    check_writable(options.output);
}

}  // namespace

ImportedJob import_job(ForeignJob const& job,
                       ImportOptions const& options,
                       Library const& library) {
    check_output(options, job);
    ForeignJob own = job;
    if (own.steps_source.empty()) {
        own.steps_source =
            fmt::format("{}, {} steps", fs::path(job.file).filename().string(), job.steps_s.size());
    }
    ImportDraft draft{own, options, library, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
    auto& result = draft.result;
    result.facts = job_facts(own);
    result.facts.run.gpu = gpu_of(draft);
    if (!result.facts.run.sequence) {
        fail({job.file, 0, "seq_length"}, "not told",
             "tokens; nvl72sim import FILE seq_length=N gives them");
    }
    if (result.facts.gpus_assumed && !job.steps_s.empty()) {
        result.facts.assumed.emplace_back(
            "the measured steps are left out: they are of a number of GPUs that the file does not "
            "tell");
    }
    WrittenFiles written;
    choose_model(draft);
    for (auto const& file : result.files) written.write(file);
    choose_system(draft);
    write_recipe(draft, written);
    recompute_until_it_fits(draft, written);
    trim_defaulted(draft);
    result.files.insert(result.files.begin(), {options.output, experiment_text(draft)});
    written.write(result.files.front());
    if (has_figures(draft)) {
        result.files.push_back({draft.beside("row", ".csv"), row_text(draft)});
        written.write(result.files.back());
    }
    // As run will read it.
    auto const experiment = load_experiment(options.output, {});
    for (auto const& point : experiment.points)
        (void)load_point(point, library, options.calibrations);
    written.keep();
    return std::move(draft.result);
}

}  // namespace nvl72
