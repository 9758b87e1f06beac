#include "sim/study/training_rows.hpp"

#include "sim/base/error.hpp"
#include "sim/base/names.hpp"
#include "sim/base/text.hpp"
#include "sim/interchange/measured_collective.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <limits>
#include <utility>

namespace nvl72 {

namespace {

/// "26.06.01" -> 26, 6, 1.
std::vector<int> numbers_of(std::string_view release) {
    std::vector<int> numbers;
    auto const* at = release.data();
    auto const* const end = at + release.size();
    while (at < end) {
        int number = 0;
        auto const [next, error] = std::from_chars(at, end, number);
        if (error != std::errc{}) {
            ++at;
            continue;
        }
        numbers.push_back(number);
        at = next;
    }
    return numbers;
}

/// What tables call training of all weights, and of adapters beside frozen ones.
constexpr std::array<std::string_view, 4> pretraining_tasks{"pretrain", "pretraining", "training",
                                                            "pretrained"};
constexpr std::array<std::string_view, 3> adapter_tasks{"lora", "peft", "qlora"};

template <std::size_t size>
bool is_one_of(std::string const& word, std::array<std::string_view, size> const& words) {
    return std::ranges::find(words, word) != words.end();
}

/// Builds one run's system; `note` collects what the table left open.
class RunBuilder {
public:
    RunBuilder(MeasuredTraining const& run, LoadedConfigs& configs)
        : run_(run),
          configs_(configs),
          library_(configs.library()),
          place_{run.source, run.line, ""} {}

    /// The job that the row tells of, as an experiment would describe it.
    SystemSpec system() {
        if (!run_.unreadable.empty()) throw ConfigError(run_.unreadable);
        SystemSpec system;
        system.place = place_;
        if (run_.gpu.empty()) fail(place_, "no GPU", "gpu or system");
        std::string const gpu = gpu_name(run_.gpu);
        GpuSpec const spec = load_gpu(library_, gpu, place_);
        if (!run_.gpus) fail(place_, "no number of GPUs", "gpus");
        system.name = fmt::format("{} {}", gpu, run_.model);
        system.cluster = cluster(gpu, *run_.gpus);
        auto const model = model_named(run_.model, library_, place_);
        if (letters_and_digits(model) != letters_and_digits(run_.model))
            note_.push_back("model " + model);
        auto const recipe = recipe_named(run_, name_of(spec.architecture), configs_);
        system.model = {model, place_, {}};
        system.recipe = {recipe, place_, {}};
        Recipe const& loaded = configs_.recipe(library_.path("recipes", recipe, place_));
        if (run_.release_missing) {
            note_.push_back("recipe " + recipe);
        } else if (!run_.release.empty() && loaded.release.value_or("") != run_.release) {
            note_.push_back(fmt::format("recipe {} for {}", recipe, run_.release));
        }
        system.precision = {precision(loaded), place_, {}};
        system.sequence_length = {run_.sequence.value_or(4096), place_, {}};
        if (!run_.sequence) note_.emplace_back("sequence 4096");
        fill_layout(system, configs_.architecture(library_.path("models", model, place_)));
        note_task();
        return system;
    }

    /// What the row left open, so far.
    [[nodiscard]] std::vector<std::string> const& notes() const { return note_; }

    TrainingRun build() {
        Point point;
        point.kind = PointKind::measured;
        point.system = system();
        TrainingRun built{load_point(point, configs_), {}, choices()};
        adapt(built);
        for (auto const& note : built.point.parallel.notes) note_.push_back(note);
        recompute_until_it_fits(built);
        built.point.known_software = fitted_to_software(
            configs_.recipe(library_.path("recipes", point.system.recipe.value, place_)));
        built.defaulted = std::move(note_);
        return built;
    }

private:
    /// A cluster with the job's racks filled alike: Slurm's segment of equal parts.
    ClusterChoice cluster(std::string const& gpu, std::int64_t gpus) {
        ClusterChoice choice;
        choice.place = choice.name_place = choice.gpus_place = choice.nvlink_domain_place = place_;
        choice.name = cluster_named(gpu, gpus, configs_, place_);
        choice.gpus = gpus;
        ClusterSpec const& spec = std::ranges::find(configs_.clusters(), choice.name,
                                                    &std::pair<std::string, ClusterSpec>::first)
                                      ->second;
        choice.nvlink_domain = even_domain(spec, gpus);
        return choice;
    }

    std::string precision(Recipe const& recipe) {
        auto asked = letters_and_digits(run_.precision);
        // "bf16_with_fp8_current_scaling_mixed", as Megatron-Bridge names its policies.
        constexpr std::string_view before = "bf16with", after = "mixed";
        if (asked.starts_with(before)) asked.erase(0, before.size());
        if (asked.ends_with(after)) asked.erase(asked.size() - after.size());
        std::vector<std::string> words;
        for (auto const& [name, policy] : recipe.precisions) {
            if (letters_and_digits(name) == asked) return name;
            for (auto const& other : policy.also) {
                if (letters_and_digits(other) == asked) return name;
            }
            words.push_back(name);
        }
        if (asked.empty() && !words.empty()) {
            note_.push_back("precision " + words.front());
            return words.front();
        }
        fail(place_, fmt::format("precision '{}'", run_.precision), join(words, " | "));
    }

    int degree(std::optional<std::int64_t> const& given, char const* name) {
        if (!given) {
            if (std::string_view(name) != "ep") note_.push_back(fmt::format("{} 1", name));
            return 1;
        }
        if (*given > 100'000) fail(place_, fmt::format("{} {}", name, *given), "at most 100000");
        return static_cast<int>(*given);
    }

    /// Ours of that name, by letters and digits: "1F1B", "Zero Bubble", "Interleaved1F1B".
    [[nodiscard]] std::string schedule() const {
        auto const asked = letters_and_digits(run_.schedule);
        std::string words;
        for (auto const& known : pipeline_schedules) {
            auto const own = letters_and_digits(std::string(known.name));
            if (asked == own || asked == own + "1f1b") return std::string(known.name);
            words += (words.empty() ? "" : " | ") + std::string(known.name);
        }
        fail(place_, "schedule: '" + run_.schedule + "'", words);
    }

    void fill_layout(SystemSpec& system, Architecture const& model) {
        Layout& layout = system.layout;
        layout.place = place_;
        layout.tp = degree(run_.tp, "tp");
        layout.pp = degree(run_.pp, "pp");
        layout.cp = degree(run_.cp, "cp");
        layout.vp = run_.vp ? degree(run_.vp, "vp") : 1;
        if (!run_.vp && layout.pp > 1) note_.emplace_back("vp 1");
        if (layout.vp > 1 && layout.pp == 1) {
            layout.vp = 1;
            note_.emplace_back("vp 1, as there is one stage");
        }
        if (!run_.schedule.empty()) layout.schedule = schedule();
        layout.ep = model.experts > 0 ? degree(run_.ep, "ep") : 1;
        // A summary's zero or one says "not"; its other values are the shards.
        layout.fsdp = run_.fsdp ? std::max<std::int64_t>(1, *run_.fsdp) : 1;
        std::int64_t const chunks = std::int64_t{layout.pp} * layout.vp;
        bool const plain = model.layers % chunks == 0;
        layout.embedding_and_loss_as_layers = !plain && (model.layers + 2) % chunks == 0;
        layout.uneven_layers = !plain && !layout.embedding_and_loss_as_layers;
        std::int64_t const replica = std::int64_t{layout.tp} * layout.pp * layout.cp;
        std::int64_t const dp = std::max<std::int64_t>(1, *run_.gpus / replica);
        if (run_.local_batch) {
            layout.micro_batch = *run_.local_batch;
            system.global_batch = {*run_.local_batch * dp, place_, {}};
            return;
        }
        layout.micro_batch = run_.micro_batch.value_or(1);
        if (!run_.micro_batch) note_.emplace_back("micro-batch 1");
        system.global_batch = {run_.global_batch.value_or(0), place_, {}};
        if (run_.global_batch) return;
        std::int64_t const count = run_.micro_batches.value_or(4 * layout.pp);
        system.global_batch.value = dp * layout.micro_batch * count;
        if (!run_.micro_batches)
            note_.push_back(fmt::format("global batch {}", system.global_batch.value));
    }

    /// Whether runs of this very software and release are among those of the recipe.
    [[nodiscard]] bool fitted_to_software(Recipe const& recipe) const {
        if (recipe.software != run_.software) return false;
        return run_.release.empty() || recipe.release == run_.release ||
               std::ranges::find(recipe.also, run_.release) != recipe.also.end();
    }

    [[nodiscard]] RunChoices choices() const {
        RunChoices choices;
        choices.drops_tokens = note_has("tokendrop");
        choices.adapters_only = is_one_of(task(), adapter_tasks);
        choices.full_recompute = run_.recompute == "full";
        choices.selective = run_.recompute == "selective";
        choices.tp_alone = !run_.async_tp;
        return choices;
    }

    /// What the row trains for; where no cell says so, its model's words may ("Llama 3 8B SFT").
    [[nodiscard]] std::string task() const {
        auto told = letters_and_digits(run_.task);
        if (!told.empty()) return told;
        auto const model = letters_and_digits(run_.model);
        for (std::string_view const word : {"qlora", "lora", "sft"}) {
            if (model.ends_with(word)) return std::string(word);
        }
        return told;
    }

    /// What a task is priced as, where that is not the task itself.
    void note_task() {
        auto const asked = task();
        if (asked.empty() || is_one_of(asked, pretraining_tasks)) return;
        if (!is_one_of(asked, adapter_tasks)) {
            note_.push_back(fmt::format("task {} as pre-training on full sequences of {}",
                                        run_.task.empty() ? asked : run_.task,
                                        run_.sequence.value_or(4096)));
        } else if (asked == "qlora") {
            note_.emplace_back("task qlora as lora, weights not in four bits");
        }
    }

    [[nodiscard]] bool note_has(char const* words) const {
        return letters_and_digits(run_.note).find(words) != std::string::npos;
    }

    void adapt(TrainingRun& run) const {
        LoadedPoint& point = run.point;
        point.must_fit = false;
        if (note_has("womtp")) point.model.mtp_layers = 0;
        point.recipe = with_choices(std::move(point.recipe), run.choices);
        point.parallel =
            check_layout(point.system.layout, point.fabric.gpus(), point.model,
                         point.system.global_batch.value, point.system.sequence_length.value);
    }

    /// A table that does not say what is recomputed: the least that fits, as people choose it. None
    /// where nothing fits: our count of memory must be wrong, as it ran.
    void recompute_until_it_fits(TrainingRun& run) {
        if (!run_.recompute.empty() || run.point.recipe.full_recompute) return;
        if (memory_fits(run.point)) return;
        auto const recipe = run.point.recipe;
        auto const fits_with = [&](bool RunChoices::* choice) {
            auto tried = run.choices;
            tried.*choice = true;
            run.point.recipe = with_choices(recipe, tried);
            if (!memory_fits(run.point)) return false;
            run.choices = tried;
            return true;
        };
        if (!recipe.selective.empty() && fits_with(&RunChoices::selective)) {
            note_.emplace_back("selective recomputation, to fit");
        } else if (fits_with(&RunChoices::full_recompute)) {
            note_.emplace_back("full recomputation, to fit");
        } else {
            run.point.recipe = recipe;
        }
    }

    MeasuredTraining const& run_;
    LoadedConfigs& configs_;
    Library const& library_;
    Place place_;
    std::vector<std::string> note_;
};

}  // namespace

std::string recipe_named(MeasuredTraining const& run,
                         std::string const& architecture,
                         LoadedConfigs& configs) {
    struct Candidate {
        bool software, own_gpu, compiled, no_newer;
        std::vector<int> release;
        std::string name;
    };
    auto const asked = numbers_of(run.release);
    std::optional<Candidate> best;
    for (auto const& [name, recipe] : configs.recipes()) {
        bool const other_gpu =
            recipe.architecture.has_value() && recipe.architecture != architecture;
        if (!recipe.software || other_gpu) continue;
        auto const release = numbers_of(recipe.release.value_or(""));
        Candidate const next{recipe.software == run.software,
                             recipe.architecture.has_value(),
                             recipe.compiled == run.compiled,
                             asked.empty() || release <= asked,
                             release,
                             name};
        auto const better = [&] {
            auto const key = [](Candidate const& c) {
                return std::tuple(c.software, c.compiled, c.no_newer, c.own_gpu);
            };
            if (key(next) != key(*best)) return key(next) > key(*best);
            // The newest that is no newer, else the oldest.
            return next.release != best->release && next.no_newer == (next.release > best->release);
        };
        if (!best || better()) best = next;
    }
    if (!best) fail({run.source, run.line, ""}, "no recipe", "one in configs/recipes");
    return best->name;
}

std::int64_t even_domain(ClusterSpec const& spec, std::int64_t gpus) {
    if (gpus <= spec.gpus_per_unit || gpus % spec.gpus_per_unit == 0) return 0;
    for (int part = spec.gpus_per_unit; part > spec.gpus_per_tray; part -= spec.gpus_per_tray) {
        if (gpus % part == 0) return part;
    }
    return 0;
}

std::string cluster_named(std::string const& gpu,
                          std::int64_t gpus,
                          LoadedConfigs& configs,
                          Place const& asked) {
    std::string best;
    std::int64_t fewest = std::numeric_limits<std::int64_t>::max();
    std::int64_t most = 0;
    for (auto const& [name, spec] : configs.clusters()) {
        if (spec.gpu != gpu) continue;
        most = std::max(most, spec.gpus_max());
        if (spec.gpus_max() < gpus || spec.gpus_max() >= fewest) continue;
        best = name;
        fewest = spec.gpus_max();
    }
    if (best.empty()) {
        fail(asked, fmt::format("{} GPUs of {}", gpus, gpu),
             most > 0 ? fmt::format("at most {}", most) : "a GPU that a cluster has");
    }
    return best;
}

SystemSpec system_of_run(MeasuredTraining const& run,
                         Library const& library,
                         std::vector<std::string>& defaulted) {
    LoadedConfigs configs(library, {});
    RunBuilder builder(run, configs);
    auto system = builder.system();
    defaulted = builder.notes();
    return system;
}

Recipe with_choices(Recipe recipe, RunChoices const& choices) {
    if (choices.drops_tokens) recipe.moe.capacity = 1;
    if (choices.adapters_only) recipe.trains_weights = false;
    if (choices.tp_alone) recipe.overlap.tp = false;
    if (choices.selective) recipe.recompute = recipe.selective;
    if (choices.full_recompute) recipe.full_recompute = true;
    return recipe;
}

TrainingRun training_run(MeasuredTraining const& run,
                         Library const& library,
                         GivenProfiles const& given) {
    LoadedConfigs configs(library, given);
    return training_run(run, configs);
}

TrainingRun training_run(MeasuredTraining const& run, LoadedConfigs& configs) {
    return RunBuilder(run, configs).build();
}

}  // namespace nvl72
