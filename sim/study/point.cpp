#include "sim/study/point.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/cost/fabric_profile.hpp"
#include "sim/model/closed_form.hpp"
#include "sim/study/power_limit.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <stdexcept>

namespace nvl72 {

namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();
constexpr double bytes_per_gib = 1073741824.0;

/// Dense peak of the precision that the blocks' GEMMs run in; what MFU is measured against.
FlopsPerSecond peak_of(GpuSpec const& gpu, Precision precision, Place const& asked) {
    auto const refuse = [&](char const* word) {
        fail(asked, fmt::format("{} has no {} tensor cores, so no {} GEMM", gpu.title, word, word),
             gpu.peak.fp8 ? "bf16, or FP8 of some kind" : "bf16");
    };
    switch (precision) {
        case Precision::bf16: return gpu.peak.bf16;
        case Precision::fp8:
        case Precision::fp8_block:
        case Precision::mxfp8:
            if (!gpu.peak.fp8) refuse("FP8");
            return *gpu.peak.fp8;
        case Precision::nvfp4:
            if (!gpu.peak.nvfp4) refuse("NVFP4");
            return *gpu.peak.nvfp4;
    }
    return gpu.peak.bf16;
}

void fill_published(SweepRow& row, Published const& published, double tokens_per_gpu) {
    auto const seconds = [](auto const& time) { return time ? to_seconds(*time) : none; };
    row.published_step_s = published.step ? to_seconds(published.step->value) : none;
    row.published_step_low_s = seconds(published.step_p10);
    row.published_step_high_s = seconds(published.step_p90);
    row.published_tokens_per_s_per_gpu = none;
    if (published.tokens_per_s_per_gpu) {
        row.published_tokens_per_s_per_gpu = published.tokens_per_s_per_gpu->value;
        row.published_source = published.tokens_per_s_per_gpu->source;
    } else if (published.step) {
        row.published_tokens_per_s_per_gpu = tokens_per_gpu / row.published_step_s;
        row.published_source = published.step->source;
    }
    row.error = row.tokens_per_s_per_gpu / row.published_tokens_per_s_per_gpu - 1;
}

void check_turns(SystemSpec const& system, Parallel const& parallel) {
    std::int64_t const chunks = std::int64_t{parallel.pp} * parallel.vp;
    if (parallel.micro_batches <= turns_max / chunks) return;
    fail(system.global_batch.place,
         fmt::format("{} micro-batches through {} chunks", parallel.micro_batches, chunks),
         fmt::format("a batch of at most {} micro-batches a replica, or a larger micro_batch",
                     turns_max / chunks));
}

StepResult simulate(LoadedPoint const& point,
                    Profile const& profile,
                    std::function<void(double)> const& progress) {
    try {
        return simulate_step(step_spec(point, profile), progress);
    } catch (DoesNotFit const& error) {
        throw DoesNotFit(fmt::format("{}: {} on {} GPUs: {}", point.system.place.text(),
                                     point.system.name, point.fabric.gpus(), error.what()));
    } catch (std::overflow_error const&) {
        fail(point.system.place, "a step of more than 106 days, where simulated time ends",
             "faster links or smaller sizes");
    }
}

}  // namespace

StepParts average_parts(StepResult const& step) {
    StepParts parts;
    double gpus = 0;
    for (std::size_t c = 0; c < step.by_class.size(); ++c) {
        auto const weight = static_cast<double>(step.graph.classes()[c].multiplicity);
        StepParts const own = parts_of(step.by_class[c]);
        for (StepPart const& part : step_parts) parts.*part.member += weight * own.*part.member;
        gpus += weight;
    }
    for (StepPart const& part : step_parts) parts.*part.member /= gpus;
    return parts;
}

std::pair<Profile, std::string> profile_of(Fabric const& fabric,
                                           Place const& asked,
                                           Library const& library,
                                           GivenProfiles const& given,
                                           Trail* trail) {
    Place const place{"--calibration", 0, ""};
    std::string const& gpu = fabric.gpu().name;
    for (std::string const& file : given.files) {
        if (load_profile(library, file, place).gpu == gpu) {
            return {load_profile(library, file, place, trail), file};
        }
    }
    if (given.allow_mismatch && !given.files.empty()) {
        return {load_profile(library, given.files.front(), place, trail), given.files.front()};
    }
    if (fabric.cluster().threads()) {
        throw ConfigError(
            fmt::format("--calibration: missing for {}, of which nothing is known "
                        "before it is measured (expected FILE of nvl72sim calibrate "
                        "--device host -o FILE)",
                        fabric.cluster().name));
    }
    auto const shipped = library.names("calibration");
    if (std::ranges::find(shipped, gpu) == shipped.end()) {
        fail(asked, fmt::format("no calibration for its GPU {}", gpu),
             fmt::format("configs/calibration/{}.yaml, such as {{gpu: {}, scaled_from: h100}}, or "
                         "--calibration FILE",
                         gpu, gpu));
    }
    return {load_profile(library, gpu, asked, trail), gpu};
}

void expect_used(GivenProfiles const& given,
                 Library const& library,
                 std::vector<std::string> const& gpus) {
    for (std::string const& file : given.files) {
        auto const gpu = load_profile(library, file, {"--calibration", 0, ""}).gpu;
        if (given.allow_mismatch || std::ranges::find(gpus, gpu) != gpus.end()) continue;
        throw ConfigError(
            fmt::format("--calibration: {} is written for {} (expected a profile of "
                        "{}, or --allow-mismatch)",
                        file, gpu, join(gpus, " or ")));
    }
}

LoadedPoint load_point(Point const& point,
                       Library const& library,
                       GivenProfiles const& given,
                       Trail* trail) {
    LoadedConfigs configs(library, given);
    return load_point(point, configs, trail);
}

LoadedPoint load_job(Point const& point, LoadedConfigs& configs, Trail* trail) {
    SystemSpec const& system = point.system;
    Library const& library = configs.library();
    auto const file = [&](std::string const& kind, Placed<std::string> const& name) {
        return library.path(kind, name.value, name.place);
    };
    LoadedPoint loaded{point.kind,
                       system,
                       configs.architecture(file("models", system.model)),
                       build_fabric(system.cluster, library, trail),
                       {},
                       {},
                       {},
                       {},
                       {},
                       {},
                       true,
                       {}};
    // A run that was measured had its positions, extended where the model's config has fewer.
    auto& positions = loaded.model.max_sequence;
    if (point.kind == PointKind::measured && loaded.model.rotary && positions > 0)
        positions = std::max(positions, system.sequence_length.value);
    if (trail == nullptr && !system.fabric) {
        std::tie(loaded.profile, loaded.profile_name) =
            configs.profile(loaded.fabric, system.cluster.name_place);
    } else {  // every value as it is read
        std::tie(loaded.profile, loaded.profile_name) =
            profile_of(loaded.fabric, system.cluster.name_place, library, configs.given(), trail);
        loaded.profile = system.fabric
                             ? with_fabric(std::move(loaded.profile),
                                           load_fabric_profile(library, system.fabric->value,
                                                               system.fabric->place))
                             : with_network(std::move(loaded.profile), loaded.fabric, library);
    }
    if (!loaded.profile.gemm) {
        fail(system.cluster.name_place,
             fmt::format("{}, whose calibration prices no GEMM", system.cluster.name),
             "a cluster of GPUs: a CPU's threads only try collectives");
    }
    auto const recipe = file("recipes", system.recipe);
    loaded.recipe =
        trail == nullptr ? configs.recipe(recipe) : load_recipe(recipe, trail, &library);
    loaded.precision = policy_of(loaded.recipe, system.precision.value, system.precision.place);
    peak_of(loaded.fabric.gpu(), loaded.precision.linear, system.precision.place);
    ClusterSpec const& cluster = loaded.fabric.cluster();
    loaded.power = load_power(system.power, library, cluster.kind, cluster.gpu,
                              loaded.fabric.gpu().tdp, cluster.unit_power, trail);
    return loaded;
}

LoadedPoint load_point(Point const& point, LoadedConfigs& configs, Trail* trail) {
    LoadedPoint loaded = load_job(point, configs, trail);
    SystemSpec const& system = point.system;
    loaded.parallel = check_layout(system.layout, loaded.fabric.gpus(), loaded.model,
                                   system.global_batch.value, system.sequence_length.value);
    check_turns(system, loaded.parallel);
    return loaded;
}

StepSpec step_spec(LoadedPoint const& point) { return step_spec(point, point.profile); }

StepSpec step_spec(LoadedPoint const& point, Profile const& profile) {
    return {point.model,  point.parallel,  point.fabric,       profile,
            point.recipe, point.precision, point.system.grain, point.must_fit};
}

bool memory_fits(LoadedPoint const& point) {
    auto spec = step_spec(point);
    spec.must_fit = true;
    try {
        step_memory(spec);
        return true;
    } catch (DoesNotFit const&) {
        return false;
    }
}

namespace {

double gib_of(std::vector<Memory> const& stages) {
    auto const fullest =
        std::ranges::max_element(stages, {}, [](Memory const& memory) { return memory.total(); });
    return static_cast<double>(fullest->total().count) / bytes_per_gib;
}

}  // namespace

double reported_memory_gib(LoadedPoint const& point) {
    auto const stages = step_memory(step_spec(point));
    if (!point.recipe.memory.reports_allocated) return gib_of(stages);
    Bytes most;
    for (Memory const& memory : stages) most = std::max(most, memory.allocated());
    return static_cast<double>(most.count) / bytes_per_gib;
}

SweepRow step_row(LoadedPoint const& point,
                  Parallel const& parallel,
                  StepResult const& step,
                  std::optional<StepPower> const& drawn) {
    double const tokens = static_cast<double>(parallel.global_batch * parallel.sequence);
    double const tokens_per_gpu = tokens / static_cast<double>(parallel.gpus);
    NVL72_EXPECT(step.step.count > 0, "a step takes time");
    SweepRow row;
    row.kind = name_of(point.kind);
    row.system = point.system.name;
    row.cluster = point.fabric.cluster().name;
    row.gpu = point.fabric.gpu().name;
    row.model = point.model.name;
    row.recipe = point.recipe.name;
    row.precision = point.system.precision.value;
    row.gpus = parallel.gpus;
    row.sequence_length = parallel.sequence;
    row.global_batch = parallel.global_batch;
    row.tp = parallel.tp;
    row.pp = parallel.pp;
    row.cp = parallel.cp;
    row.vp = parallel.vp;
    row.dp = parallel.dp;
    row.micro_batch = parallel.micro_batch;
    row.micro_batches = parallel.micro_batches;
    row.step_s = to_seconds(step.step);
    row.tokens_per_s_per_gpu = tokens_per_gpu / row.step_s;
    double const flops_per_token = training_flops_per_token(point.model, parallel.sequence).count;
    double const rate = flops_per_token * row.tokens_per_s_per_gpu;
    row.model_tflops_per_gpu = rate / 1e12;
    row.mfu = rate / peak_of(point.fabric.gpu(), point.precision.linear, point.system.place).count;
    row.parts = average_parts(step);
    row.memory_gib = gib_of(step.memory);
    fill_published(row, point.system.published, tokens_per_gpu);
    if (drawn) {
        row.power = power_figures(*point.power, *drawn, row.step_s, tokens,
                                  static_cast<double>(parallel.gpus));
    }
    return row;
}

SimulatedPoint simulate_point(LoadedPoint const& point,
                              std::int64_t index,
                              std::function<void(double)> const& progress) {
    SimulatedPoint done;
    auto limited = simulate_limited(
        point.power, point.fabric, point.profile, point.system.power.place,
        [&](Profile const& profile) { return simulate(point, profile, progress); });
    done.step = std::move(limited.step);
    StepResult& step = done.step;
    done.row = step_row(point, point.parallel, step, limited.drawn);
    SweepRow& row = done.row;
    row.point = index;
    BasisVerdict const judged = verdict(step.shares);
    row.basis = describe(judged);
    row.basis_share = judged.share;
    if (limited.drawn) done.power = limited.drawn->parts;
    double const clock = limited.drawn ? limited.drawn->clock : 1;
    auto const interval = step_interval(step_spec(point, limited.profile), step, judged,
                                        at_clock(point.draws, clock), point.known_software);
    auto const at = [&](Spread const& spread, double factor) {
        return spread.known() ? row.step_s * factor : none;
    };
    step.replay = {};  // as large as the graph, and of no more use
    Spread all = interval.all;
    if (limited.drawn && all.known()) {
        Spread const power = power_spread(point.power->coefficients, row.gpu);
        Spread const clocks = clock_spread(
            *point.power, point.fabric, limited, row.step_s, power,
            [&](Profile const& profile) { return to_seconds(simulate(point, profile, {}).step); });
        if (clocks.known()) all = together(all, clocks);
    }
    row.step_p10_s = at(all, all.low);
    row.step_p90_s = at(all, all.high);
    row.drawn_p10_s = at(interval.drawn, interval.drawn.low);
    row.drawn_p90_s = at(interval.drawn, interval.drawn.high);
    return done;
}

}  // namespace nvl72
