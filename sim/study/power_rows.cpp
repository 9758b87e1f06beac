#include "sim/study/power_rows.hpp"

#include "sim/base/error.hpp"
#include "sim/base/names.hpp"
#include "sim/base/text.hpp"
#include "sim/interchange/training_table.hpp"
#include "sim/study/point.hpp"
#include "sim/study/training_rows.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <tuple>

namespace nvl72 {

std::vector<Field<BenchmarkRun>> const& fields_of(BenchmarkRun const*) {
    using R = BenchmarkRun;
    static std::vector<Field<R>> const fields{
        required("model", &R::model, "as tables of power name it"),
        required("gpu", &R::gpu, "of configs/gpus"),
        required("gpus", &R::gpus, "of the run"),
        optional("task", &R::task, "pretrain", "pretrain | lora"),
        required("precision", &R::precision, "of the recipe nemo-mlperf"),
        required("sequence", &R::sequence, "tokens"),
        required("global_batch", &R::global_batch, "sequences"),
        required("micro_batch", &R::micro_batch, "sequences"),
        optional("tp", &R::tp, "1", "tensor parallel size"),
        optional("pp", &R::pp, "1", "pipeline stages"),
        optional("cp", &R::cp, "1", "context parallel size"),
        optional("vp", &R::vp, "1", "chunks a stage"),
    };
    return fields;
}

std::vector<Field<PoweredSystem>> const& fields_of(PoweredSystem const*) {
    static std::vector<Field<PoweredSystem>> const fields{
        required("words", &PoweredSystem::words, "that its description has"),
        required("cooling", &PoweredSystem::cooling, "air | liquid | immersion"),
    };
    return fields;
}

std::vector<Field<Benchmarks>> const& fields_of(Benchmarks const*) {
    static std::vector<Field<Benchmarks>> const fields{
        required("nodes", &Benchmarks::nodes, "how nodes are cooled"),
        required("runs", &Benchmarks::runs, "how benchmarks are run"),
    };
    return fields;
}

Benchmarks load_benchmarks(Library const& library) {
    return load_spec<Benchmarks>(library.folder() + "/measurements/power/benchmarks.yaml");
}

namespace {

/// Words in lower case, parted by whatever is no letter and no digit.
std::vector<std::string> words_of(std::string const& text) {
    std::vector<std::string> words(1);
    for (char const c : text) {
        if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
            words.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        } else if (!words.back().empty()) {
            words.emplace_back();
        }
    }
    if (words.back().empty()) words.pop_back();
    return words;
}

bool holds_all(std::vector<std::string> const& words, std::vector<std::string> const& asked) {
    return std::ranges::all_of(asked, [&](std::string const& word) {
        return std::ranges::find(words, word) != words.end();
    });
}

std::optional<Cooling> cooling_in(std::vector<std::string> const& words) {
    struct Said {
        std::string_view word;
        Cooling cooling;
    };
    static constexpr std::array said{
        Said{"immersion", Cooling::immersion}, Said{"immersed", Cooling::immersion},
        Said{"liquid", Cooling::liquid},       Said{"dlc", Cooling::liquid},
        Said{"water", Cooling::liquid},        Said{"air", Cooling::air}};
    for (auto const& [word, cooling] : said) {
        if (std::ranges::find(words, word) != words.end()) return cooling;
    }
    return std::nullopt;
}

/// Tables write one benchmark in several ways, and the oldest of them without its size.
bool same_benchmark(std::string const& known, std::string const& asked) {
    auto const name = letters_and_digits(known);
    auto const given = letters_and_digits(asked);
    return name == given || (given == "gpt3" && name.starts_with(given));
}

class PowerRows {
public:
    PowerRows(std::vector<MeasuredPower> const& runs,
              Library const& library,
              GivenProfiles const& given)
        : runs_(runs), library_(library), given_(given), benchmarks_(load_benchmarks(library)) {}

    std::vector<ValidationRow> all() {
        std::vector<ValidationRow> rows;
        for (auto const& run : runs_) rows.push_back(row_of(run));
        return rows;
    }

private:
    ValidationRow row_of(MeasuredPower const& run) {
        ValidationRow row;
        row.table = name_of(ValidationKind::power);
        row.source = run.source;
        row.line = run.line;
        row.metric = "node_w";
        row.unit = "W";
        row.gpus = run.gpus.value_or(0);
        row.subject = run.model;
        row.measured = run.node_w;
        row.part = "node power";
        try {
            fill(row, run);
            if (!run.aside.empty()) {
                row.status = "set_aside";
                row.reason = run.aside;
            }
        } catch (DoesNotFit const& error) {
            row.status = "does_not_fit";
            row.reason = split(error.what(), '\n').front();
        } catch (Error const& error) {  // whatever a row asks for, the others are answered
            row.status = "skipped";
            row.reason = split(error.what(), '\n').front();
            row.predicted.reset();
        }
        return row;
    }

    void fill(ValidationRow& row, MeasuredPower const& run) {
        if (!run.unreadable.empty()) throw ConfigError(run.unreadable);
        Place const place{run.source, run.line, ""};
        row.gpu = gpu_of_system(run.system, library_);
        if (row.gpu.empty()) {
            fail(place, fmt::format("system '{}'", run.system),
                 "words that name a GPU of nvl72sim list gpus");
        }
        if (!run.gpus) fail(place, "no number of GPUs", "gpus");
        auto const simulated = simulate(run, row.gpu, *run.gpus, place);
        PowerSetting setting = *simulated.setting;
        std::vector<std::string> defaulted = simulated.defaulted;
        auto const feed = letters_and_digits(run.metric);
        if (feed == "ac" || feed == "dc") {
            setting.feed = feed == "dc" ? Feed::dc : Feed::ac;
        } else {
            defaulted.push_back("feed " + name_of(setting.feed));
        }
        auto const cooling = cooling_of(run);
        setting.cooling = cooling.value_or(setting.cooling);
        if (!cooling) defaulted.push_back("cooling " + name_of(setting.cooling));
        auto const drawn =
            step_power(setting, *simulated.fabric, simulated.activity, simulated.step_s, 1);
        row.predicted = drawn.node_w;
        row.basis = simulated.basis;
        row.basis_share = simulated.basis_share;
        row.precision = simulated.precision;
        row.profile = simulated.profile;
        row.recipe = simulated.recipe;
        auto const& power = setting.coefficients.spread;
        bool const known = std::ranges::find(power.checked, row.gpu) != power.checked.end();
        auto const& spread = known && cooling ? power.known : power.other;
        row.spread = {spread[0], spread[1]};
        if (!defaulted.empty()) {
            row.status = "defaulted";
            row.reason = join(defaulted);
        }
    }

    /// What the row says, or rows of its file whose words hold all of its, or what is known of the
    /// system.
    [[nodiscard]] std::optional<Cooling> cooling_of(MeasuredPower const& run) const {
        auto const words = words_of(run.system);
        if (auto const own = cooling_in(words)) return own;
        for (auto const& other : runs_) {
            auto const more = words_of(other.system);
            if (!holds_all(more, words)) continue;
            if (auto const said = cooling_in(more)) return said;
        }
        for (auto const& system : benchmarks_.nodes) {
            if (holds_all(words, words_of(system.words))) return system.cooling;
        }
        return std::nullopt;
    }

    struct Simulated {
        std::optional<Fabric> fabric;
        std::optional<PowerSetting> setting;
        std::vector<GpuActivity> activity;
        double step_s = 0;
        std::vector<std::string> defaulted;
        std::string basis, precision, profile, recipe;
        double basis_share = 1;
    };

    /// A benchmark on so many GPUs is simulated once, whatever the feed.
    Simulated const& simulate(MeasuredPower const& run,
                              std::string const& gpu,
                              std::int64_t gpus,
                              Place const& place) {
        auto const key = std::tuple(letters_and_digits(run.model), gpu, gpus);
        if (auto const found = simulated_.find(key); found != simulated_.end())
            return found->second;
        Simulated made;
        auto job = training_of(run, gpu, gpus, place, made.defaulted);
        if (!load_gpu(library_, gpu, place).peak.fp8 && job.precision != "bf16") {
            job.precision = "bf16";  // the best that it has
            made.defaulted.emplace_back("precision bf16");
        }
        auto [point, defaulted, choices] = training_run(job, library_, given_);
        if (!point.power) fail(place, "no power of " + gpu, "a cluster with GPUs and a host");
        auto const done = simulate_point(point, 0);
        made.fabric = point.fabric;
        made.setting = point.power;
        made.activity = activity_of(done.step);
        made.step_s = done.row.step_s;
        made.basis = done.row.basis;
        made.basis_share = done.row.basis_share;
        made.precision = job.precision;
        made.profile = point.profile_name;
        made.recipe = point.system.recipe.value;
        return simulated_.emplace(key, std::move(made)).first->second;
    }

    /// The nearest run of the benchmark, with the row's number of GPUs.
    MeasuredTraining training_of(MeasuredPower const& run,
                                 std::string const& gpu,
                                 std::int64_t gpus,
                                 Place const& place,
                                 std::vector<std::string>& defaulted) const {
        auto const architecture = [&](std::string const& name) {
            return load_gpu(library_, name, place).architecture;
        };
        BenchmarkRun const* best = nullptr;
        auto const key = [&](BenchmarkRun const& other) {
            double const apart =
                std::abs(std::log(static_cast<double>(other.gpus) / static_cast<double>(gpus)));
            return std::tuple(other.gpu != gpu, architecture(other.gpu) != architecture(gpu),
                              apart);
        };
        std::vector<std::string> known;
        for (auto const& other : benchmarks_.runs) {
            if (std::ranges::find(known, other.model) == known.end()) known.push_back(other.model);
            if (!same_benchmark(other.model, run.model)) continue;
            if (best == nullptr || key(other) < key(*best)) best = &other;
        }
        if (best == nullptr) {
            fail(place, fmt::format("model '{}', of which no layout is known", run.model),
                 join(known, " | "));
        }
        if (best->gpu != gpu || best->gpus != gpus)
            defaulted.push_back(fmt::format("layout of {} {}", best->gpus, best->gpu));
        return job_of(*best, gpu, gpus, place);
    }

    static MeasuredTraining job_of(BenchmarkRun const& run,
                                   std::string const& gpu,
                                   std::int64_t gpus,
                                   Place const& place) {
        MeasuredTraining job;
        job.source = place.file;
        job.line = place.line;
        job.software = "nemo-mlperf";
        job.gpu = gpu;
        auto const lora = run.model.find("-lora");
        job.model = run.model.substr(0, lora);
        job.task = run.task;
        job.precision = run.precision;
        job.gpus = gpus;
        job.sequence = run.sequence;
        job.micro_batch = run.micro_batch;
        job.tp = run.tp;
        job.pp = run.pp;
        job.cp = run.cp;
        job.vp = run.vp;
        std::int64_t const each =
            std::max<std::int64_t>(1, gpus / (run.tp * run.pp * run.cp)) * run.micro_batch;
        std::int64_t const times = std::max<std::int64_t>(1, run.global_batch / each);
        job.global_batch = each * times;
        return job;
    }

    std::vector<MeasuredPower> const& runs_;
    Library const& library_;
    GivenProfiles const& given_;
    Benchmarks benchmarks_;
    std::map<std::tuple<std::string, std::string, std::int64_t>, Simulated> simulated_;
};

}  // namespace

std::string gpu_of_system(std::string const& words, Library const& library) {
    auto const all = words_of(words);
    auto const said = [&](std::string const& part) {
        return std::ranges::any_of(
            all, [&](std::string const& word) { return word.find(part) != std::string::npos; });
    };
    // Of the names whose first part is said, the longest one ("gb200" before "b200"); of those the
    // one whose other parts are said too ("a100-80gb"), the more the better.
    using Key = std::tuple<std::size_t, bool, std::size_t>;
    Key best_key;
    std::string best;
    for (auto const& name : library.names("gpus")) {
        auto const parts = words_of(name);
        if (!said(parts.front())) continue;
        Key const key{parts.front().size(), std::ranges::all_of(parts, said), parts.size()};
        if (!best.empty() && key <= best_key) continue;
        best = name;
        best_key = key;
    }
    return best;
}

std::vector<ValidationRow> power_rows(std::vector<MeasuredPower> const& runs,
                                      Library const& library,
                                      GivenProfiles const& given) {
    return PowerRows(runs, library, given).all();
}

}  // namespace nvl72
