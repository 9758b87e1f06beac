#include "sim/study/training_rows.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/interchange/measured_collective.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <fmt/format.h>
#include <limits>
#include <utility>

namespace nvl72 {

namespace {

std::string letters_and_digits(std::string_view text) {
    std::string kept;
    for (char const c : text) {
        if (std::isalnum(static_cast<unsigned char>(c)) != 0)
            kept += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return kept;
}

/// The letters a name begins with, and its word of digits that ends in b: "llama", "70b".
std::pair<std::string, std::string> family_and_size(std::string const& name) {
    auto const plain = letters_and_digits(name);
    auto const letters = std::ranges::find_if(
        plain, [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; });
    std::string size, word;
    for (char const c : name + "-") {
        if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.') {
            word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
            continue;
        }
        bool const sizes = word.size() > 1 && word.back() == 'b' &&
                           std::isdigit(static_cast<unsigned char>(word.front())) != 0;
        if (sizes && size.empty()) size = word;
        word.clear();
    }
    return {{plain.begin(), letters}, size};
}

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

/// Builds one run's system; `note` collects what the table left open.
class RunBuilder {
public:
    RunBuilder(MeasuredTraining const& run, Library const& library)
        : run_(run), library_(library), place_{run.source, run.line, ""} {}

    /// The job that the row tells of, as an experiment would describe it.
    SystemSpec system() {
        if (!run_.unreadable.empty()) throw ConfigError(run_.unreadable);
        SystemSpec system;
        system.place = place_;
        std::string const gpu = gpu_name(run_.gpu);
        GpuSpec const spec = load_gpu(library_, gpu, place_);
        if (!run_.gpus) fail(place_, "no number of GPUs", "gpus");
        system.name = fmt::format("{} {}", gpu, run_.model);
        system.cluster = cluster(gpu, *run_.gpus);
        auto const model = model_named(run_.model, library_, place_);
        if (letters_and_digits(model) != letters_and_digits(run_.model))
            note_.push_back("model " + model);
        auto const recipe = recipe_named(run_, name_of(spec.architecture), library_);
        system.model = {model, place_, {}};
        system.recipe = {recipe, place_, {}};
        Recipe const loaded = load_recipe(library_.path("recipes", recipe, place_));
        if (!run_.release.empty() && loaded.release.value_or("") != run_.release)
            note_.push_back(fmt::format("recipe {} for {}", recipe, run_.release));
        system.precision = {precision(loaded), place_, {}};
        system.sequence_length = {run_.sequence.value_or(4096), place_, {}};
        if (!run_.sequence) note_.emplace_back("sequence 4096");
        fill_layout(system, model_of(model));
        return system;
    }

    /// What the row left open, so far.
    [[nodiscard]] std::vector<std::string> const& notes() const { return note_; }

    TrainingRun build(GivenProfiles const& given) {
        Point point;
        point.kind = PointKind::measured;
        point.system = system();
        TrainingRun built{load_point(point, library_, given), {}};
        adapt(built.point);
        recompute_until_it_fits(built.point);
        built.defaulted = std::move(note_);
        return built;
    }

private:
    /// A cluster with the job's racks filled alike: Slurm's segment of equal parts.
    ClusterChoice cluster(std::string const& gpu, std::int64_t gpus) {
        ClusterChoice choice;
        choice.place = choice.name_place = choice.gpus_place = choice.nvlink_domain_place = place_;
        choice.name = cluster_named(gpu, gpus, library_, place_);
        choice.gpus = gpus;
        ClusterSpec const spec = load_cluster(library_, choice.name, place_);
        if (gpus <= spec.gpus_per_unit || gpus % spec.gpus_per_unit == 0) return choice;
        for (int part = spec.gpus_per_unit; part > spec.gpus_per_tray; part -= spec.gpus_per_tray) {
            if (gpus % part != 0) continue;
            choice.nvlink_domain = part;
            break;
        }
        return choice;
    }

    [[nodiscard]] Architecture model_of(std::string const& name) const {
        return load_architecture(library_.path("models", name, place_));
    }

    std::string precision(Recipe const& recipe) {
        auto const asked = letters_and_digits(run_.precision);
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

    void fill_layout(SystemSpec& system, Architecture const& model) {
        Layout& layout = system.layout;
        layout.place = place_;
        layout.tp = degree(run_.tp, "tp");
        layout.pp = degree(run_.pp, "pp");
        layout.cp = degree(run_.cp, "cp");
        layout.vp = run_.vp ? degree(run_.vp, "vp") : 1;
        if (!run_.vp && layout.pp > 1) note_.emplace_back("vp 1");
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

    /// What the row says of the software beyond its release.
    void adapt(LoadedPoint& point) const {
        point.must_fit = false;
        auto const note = letters_and_digits(run_.note);
        Recipe& recipe = point.recipe;
        if (note.find("womtp") != std::string::npos) point.model.mtp_layers = 0;
        if (note.find("tokendrop") != std::string::npos) recipe.moe.capacity = 1;
        if (run_.task == "lora" || run_.task == "peft") recipe.trains_weights = false;
        if (run_.recompute == "full") recipe.full_recompute = true;
        if (!run_.async_tp) recipe.overlap.tp = false;
        point.parallel =
            check_layout(point.system.layout, point.fabric.gpus(), point.model,
                         point.system.global_batch.value, point.system.sequence_length.value);
    }

    /// A table that does not say what is recomputed: the least that fits, as people choose it.
    void recompute_until_it_fits(LoadedPoint& point) {
        if (!run_.recompute.empty() || point.recipe.full_recompute) return;
        auto const fits = [&] { return memory_fits(point); };
        auto const recipe = point.recipe;
        if (fits()) return;
        point.recipe.recompute = recipe.selective;
        if (!recipe.selective.empty() && fits()) {
            note_.emplace_back("selective recomputation, to fit");
            return;
        }
        point.recipe.full_recompute = true;
        if (fits()) {
            note_.emplace_back("full recomputation, to fit");
            return;
        }
        point.recipe = recipe;  // our count of memory must be wrong: it ran
    }

    MeasuredTraining const& run_;
    Library const& library_;
    Place place_;
    std::vector<std::string> note_;
};

}  // namespace

std::string model_named(std::string const& words, Library const& library, Place const& asked) {
    if (words.ends_with(".yaml") || words.ends_with(".json")) return words;  // a file of the user's
    auto const wanted = letters_and_digits(words);
    auto const names = library.names("models");
    for (auto const& name : names) {
        if (letters_and_digits(name) == wanted) return name;
    }
    // Of the same family and size, the one whose name agrees longest: 3 with 3.1 rather than
    // with 2.
    auto const kind = family_and_size(words);
    std::string best;
    std::ptrdiff_t agrees = 0;
    for (auto const& name : names) {
        if (kind.second.empty() || family_and_size(name) != kind) continue;
        auto const plain = letters_and_digits(name);
        auto const length = std::ranges::mismatch(plain, wanted).in1 - plain.begin();
        if (length <= agrees) continue;
        agrees = length;
        best = name;
    }
    if (!best.empty()) return best;
    fail(asked, fmt::format("model '{}'", words),
         "a model of nvl72sim list models, or its config.json in configs/models");
}

std::string recipe_named(MeasuredTraining const& run,
                         std::string const& architecture,
                         Library const& library) {
    struct Candidate {
        bool software, own_gpu, compiled, no_newer;
        std::vector<int> release;
        std::string name;
    };
    auto const asked = numbers_of(run.release);
    std::optional<Candidate> best;
    for (auto const& name : library.names("recipes")) {
        auto const recipe = load_recipe(library.path("recipes", name, {}));
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

std::string cluster_named(std::string const& gpu,
                          std::int64_t gpus,
                          Library const& library,
                          Place const& asked) {
    std::string best;
    std::int64_t fewest = std::numeric_limits<std::int64_t>::max();
    std::int64_t most = 0;
    for (auto const& name : library.names("clusters")) {
        ClusterSpec const spec = load_cluster(library, name, asked);
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
    RunBuilder builder(run, library);
    auto system = builder.system();
    defaulted = builder.notes();
    return system;
}

TrainingRun training_run(MeasuredTraining const& run,
                         Library const& library,
                         GivenProfiles const& given) {
    return RunBuilder(run, library).build(given);
}

}  // namespace nvl72
