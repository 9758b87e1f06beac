#include "sim/study/serving_rows.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/interchange/measured_collective.hpp"
#include "sim/study/training_rows.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <optional>
#include <tuple>

namespace nvl72 {

namespace {

constexpr std::uint64_t seed_of_lengths = 1;
/// InferenceMAX's benchmark: --random-range-ratio 0.8.
constexpr double least_share_of_lengths = 0.8;
constexpr double least_share_of_data_sets = 0.02;
constexpr std::int64_t requests_of_a_data_set = 6000;

/// Mean lengths of a benchmark's requests.
struct DataSet {
    double input = 0, output = 0;  ///< tokens
};
std::vector<Field<DataSet>> const& fields_of(DataSet const*) {
    static std::vector<Field<DataSet>> const fields{
        required("input", &DataSet::input, "tokens of a prompt, mean"),
        required("output", &DataSet::output, "tokens of an answer, mean"),
    };
    return fields;
}
struct DataSets {
    std::vector<std::pair<std::string, DataSet>> sets;
};
std::vector<Field<DataSets>> const& fields_of(DataSets const*) {
    static std::vector<Field<DataSets>> const fields{
        required("sets", &DataSets::sets, "by the model that they are for"),
    };
    return fields;
}

/// Each request from a client of its own.
RequestSource all_at_once(RequestSource source) {
    source.clients = source.count;
    return source;
}

bool begins_so(std::string const& release, std::string const& prefix) {
    if (!release.starts_with(prefix)) return false;
    if (release.size() == prefix.size()) return true;
    char const next = release[prefix.size()];
    return next < '0' || next > '9';
}

}  // namespace

std::string engine_named(std::string const& software,
                         std::string const& release,
                         std::string const& architecture,
                         Library const& library) {
    using Key = std::tuple<bool, std::size_t, bool>;
    std::optional<std::pair<Key, std::string>> best;
    for (auto const& name : library.names("engines")) {
        auto const engine = load_engine(library.path("engines", name, {}));
        bool const of_software = engine.software == software;
        if (engine.software && !of_software) continue;
        if (engine.architecture && engine.architecture != architecture) continue;
        if (engine.releases && !begins_so(release, *engine.releases)) continue;
        Key const key{of_software, engine.releases ? engine.releases->size() : 0,
                      engine.architecture.has_value()};
        if (!best || key > best->first) best = {key, name};
    }
    if (!best) throw ConfigError("no engine of any software (expected one in configs/engines)");
    return best->second;
}

Spread PredictedServing::spread_of(std::string const& metric) const {
    for (auto const& [name, spread] : spreads) {
        if (name != part) continue;
        auto const& given = metric.starts_with("ttft") ? spread.ttft : spread.tpot;
        if (given.size() != 2) return {};
        // A rate lies the other way.
        bool const rate = metric.starts_with("tokens");
        return rate ? Spread{1 / given[1], 1 / given[0]} : Spread{given[0], given[1]};
    }
    return {};
}

/// What a row's servers share.
struct ServingPredictor::Plan {
    std::string gpu, model, engine;
    ServingPrecision precision;
    std::string precision_key;
    std::vector<std::string> defaulted;
    MeasuredCut cut, prefill;
};

ServingPredictor::ServingPredictor(Library const& library,
                                   std::vector<std::string> const& calibrations,
                                   Adapt adapt)
    : library_(library),
      configs_(library, {}),
      profiles_(library, calibrations),
      adapt_(std::move(adapt)) {}

EngineProfile const& ServingPredictor::engine(std::string const& name) {
    auto found = engines_.find(name);
    if (found == engines_.end()) {
        auto loaded = load_engine(library_.path("engines", name, {}));
        if (adapt_) adapt_(loaded);
        found = engines_.emplace(name, std::move(loaded)).first;
    }
    return found->second;
}

Architecture const& ServingPredictor::model(std::string const& name) {
    auto found = models_.find(name);
    if (found == models_.end()) {
        found = models_.emplace(name, load_architecture(library_.path("models", name, {}))).first;
    }
    return found->second;
}

std::string const& ServingPredictor::model_name(std::string const& words, Place const& place) {
    auto found = model_names_.find(words);
    if (found == model_names_.end()) {
        found = model_names_.emplace(words, model_named(words, library_, place)).first;
    }
    return found->second;
}

GpuSpec const& ServingPredictor::gpu(std::string const& name, Place const& place) {
    auto found = gpus_.find(name);
    if (found == gpus_.end()) found = gpus_.emplace(name, load_gpu(library_, name, place)).first;
    return found->second;
}

std::string const& ServingPredictor::engine_for(MeasuredServing const& run,
                                                std::string const& architecture) {
    auto const key = run.software + " " + run.release + " " + architecture;
    auto found = engine_names_.find(key);
    if (found == engine_names_.end()) {
        found = engine_names_
                    .emplace(key, engine_named(run.software, run.release, architecture, library_))
                    .first;
    }
    return found->second;
}

ServingPredictor::Plan ServingPredictor::plan_of(MeasuredServing const& run) {
    Place const place{run.source, static_cast<int>(run.line), ""};
    if (!run.unreadable.empty()) throw ConfigError(run.unreadable);
    Plan plan;
    plan.gpu = gpu_name(run.gpu);
    auto const& spec = gpu(plan.gpu, place);
    plan.model = model_name(run.model, place);
    plan.engine = engine_for(run, name_of(spec.architecture));
    auto const& engine_profile = engine(plan.engine);
    if (engine_profile.software != run.software) {
        plan.defaulted.push_back(fmt::format("engine {} for {}", plan.engine, run.software));
    }
    auto const word = run.precision.empty() ? std::string("bf16") : run.precision;
    auto const experts = run.expert_precision.empty() ? word : run.expert_precision;
    if (run.precision.empty()) plan.defaulted.push_back("precision " + word);
    plan.precision = precision_of(engine_profile, word, place);
    plan.precision.experts = precision_of(engine_profile, experts, place).experts;
    plan.precision_key = word + " " + experts;
    if (run.clients < 1) fail(place, "no number of clients", "silicon_data_source concurrency=N");
    if (run.input < 1 || run.output < 1) fail(place, "no lengths", "isl and osl of at least 1");
    plan.cut = run.cut;
    plan.prefill = run.prefill;
    if (plan.cut.tp < 1) fail(place, "no tensor parallelism", "tp_size of at least 1");
    if (run.disaggregated && (plan.cut.workers < 1 || plan.prefill.workers < 1)) {
        fail(place, "no number of workers", "prefill_num_workers and decode_num_workers");
    }
    // A batch that is a group's of several: each rank has requests of its own.
    if (!run.disaggregated && plan.cut.attention_dp == 0 && plan.cut.tp > 1 &&
        plan.cut.batch * plan.cut.tp == run.clients) {
        plan.cut.attention_dp = plan.cut.tp;
        plan.cut.tp = 1;
        plan.defaulted.push_back(fmt::format("attention_dp {}", plan.cut.attention_dp));
    }
    return plan;
}

StepCost& ServingPredictor::cost_of(Plan const& plan, MeasuredCut const& cut, Place const& place) {
    auto const& architecture = model(plan.model);
    ServingLayout layout;
    layout.place = place;
    layout.tp = static_cast<int>(cut.tp);
    layout.pp = static_cast<int>(std::max<std::int64_t>(1, cut.pp));
    layout.attention_dp = static_cast<int>(std::max<std::int64_t>(1, cut.attention_dp));
    if (architecture.experts > 0 && cut.expert_tp * cut.expert_ep == layout.stage_gpus()) {
        layout.expert_tp = static_cast<int>(cut.expert_tp);
        layout.expert_ep = static_cast<int>(cut.expert_ep);
        // Tables call experts cut that no kernel cuts: columns come in blocks of 128.
        if (architecture.expert_ffn / layout.expert_tp < 128) {
            std::swap(layout.expert_tp, layout.expert_ep);
        }
    }
    layout = checked(layout, architecture);
    auto const key = fmt::format("{} {} {} {} {} {} {} {} {}", plan.gpu, plan.model, plan.engine,
                                 plan.precision_key, layout.tp, layout.pp, layout.attention_dp,
                                 layout.expert_tp, layout.expert_ep);
    auto found = costs_.find(key);
    if (found == costs_.end()) {
        auto const& named = profiles_.of(plan.gpu);
        if (!named.profile || !named.profile->gemm) {
            fail(place, "no calibration of " + plan.gpu, "one of nvl72sim list calibrations");
        }
        ClusterChoice choice;
        choice.place = choice.name_place = choice.gpus_place = choice.nvlink_domain_place = place;
        choice.gpus = layout.gpus();
        choice.name = cluster_named(plan.gpu, choice.gpus, configs_, place);
        auto const fabric = build_fabric(choice, library_);
        found =
            costs_
                .emplace(key, std::make_unique<StepCost>(Replica{
                                  architecture, plan.precision, layout, groups_of(layout, fabric),
                                  engine(plan.engine), *named.profile}))
                .first;
    }
    return *found->second;
}

Pool ServingPredictor::pool_of(Plan const& plan, StepCost& cost, int servers) {
    auto const& replica = cost.replica();
    return {&cost,
            cache_room(replica.model, replica.precision, replica.layout, replica.engine.batch,
                       gpu(plan.gpu, {}).hbm_capacity),
            servers, 0};
}

void ServingPredictor::fill(PredictedServing& predicted, Plan const& plan, StepCost const& cost) {
    predicted.gpu = plan.gpu;
    predicted.model = plan.model;
    predicted.engine = plan.engine;
    predicted.profile = profiles_.of(plan.gpu).name;
    predicted.experts = model(plan.model).experts > 0;
    predicted.basis = verdict(cost.shares());
    predicted.defaulted = plan.defaulted;
    predicted.spreads = engine(plan.engine).spread;
}

PredictedServing ServingPredictor::predict(MeasuredServing const& run) {
    if (!run.scenario.empty()) return predict_mlperf(run);
    Place const place{run.source, static_cast<int>(run.line), ""};
    Plan const plan = plan_of(run);
    StepCost& decode = cost_of(plan, plan.cut, place);
    int const workers = run.disaggregated ? static_cast<int>(plan.cut.workers) : 1;
    Deployment deployment{pool_of(plan, decode, workers), {}};
    auto const groups = std::max<std::int64_t>(1, plan.cut.attention_dp);
    // An engine that leaves a slot idle was given as many as there are clients.
    if (!run.disaggregated && decode.replica().engine.batch.idle_slots > 0) {
        deployment.pool.slots = plan.cut.batch * groups;
    }
    if (run.disaggregated) {
        StepCost& prefill = cost_of(plan, plan.prefill, place);
        deployment.apart = Disaggregation{
            pool_of(plan, prefill, static_cast<int>(plan.prefill.workers)), plan.cut.batch * groups,
            decode.replica().groups.nic.count * static_cast<double>(plan.cut.tp), 0};
    }
    RequestSource source;
    source.place = place;
    source.clients = run.clients;
    source.input = run.input;
    source.output = run.output;
    source.least = least_share_of_lengths;
    Requests requests = requests_of(source, seed_of_lengths);
    auto const result = serve(deployment, requests, run.clients);
    PredictedServing predicted;
    fill(predicted, plan, decode);
    predicted.gpus = deployment.gpus();
    predicted.metrics = metrics_of(deployment, requests, result);
    predicted.part = fmt::format("{} {}", run.disaggregated ? "disaggregated" : "aggregated",
                                 predicted.experts ? "moe" : "dense");
    return predicted;
}

RequestSource ServingPredictor::mlperf_source(MeasuredServing const& run,
                                              Library const& library,
                                              std::string const& name) {
    Place const place{run.source, static_cast<int>(run.line), ""};
    auto const path = library.folder() + "/measurements/serving/data-sets.yaml";
    auto const file = load_spec<DataSets>(path);
    for (auto const& [known, set] : file.sets) {
        if (known != name) continue;
        RequestSource source;
        source.place = place;
        // Evenly from next to nothing to twice the mean.
        source.input = std::llround(2 * set.input);
        source.output = std::llround(2 * set.output);
        source.least = least_share_of_data_sets;
        source.count = requests_of_a_data_set;
        return source;
    }
    fail(place, "no data set of " + name, "one in " + path);
}

PredictedServing ServingPredictor::predict_mlperf(MeasuredServing const& run) {
    Place const place{run.source, static_cast<int>(run.line), ""};
    MeasuredServing asked = run;
    asked.gpu = run.gpu;
    auto const& spec = gpu(gpu_name(run.gpu), place);
    asked.precision = spec.peak.nvfp4 ? "nvfp4" : spec.peak.fp8 ? "fp8" : "bf16";
    asked.expert_precision = asked.precision;
    asked.clients = asked.input = asked.output = 1;
    asked.cut.tp = 1;
    Plan plan = plan_of(asked);
    plan.defaulted.push_back("precision " + asked.precision);
    auto const source = mlperf_source(run, library_, plan.model);
    bool const offline = run.scenario == "Offline";
    std::optional<PredictedServing> best;
    for (int tp = 1; tp <= 8 && tp <= run.gpus; tp *= 2) {
        MeasuredCut cut;
        cut.tp = tp;
        try {
            StepCost& cost = cost_of(plan, cut, place);
            Deployment const deployment{pool_of(plan, cost, 1), {}};
            Requests requests = requests_of(all_at_once(source), seed_of_lengths);
            auto const result = serve(deployment, requests, std::ssize(requests.input));
            auto const metrics = metrics_of(deployment, requests, result);
            if (best && metrics.tokens_per_s_per_gpu <= best->metrics.tokens_per_s_per_gpu) {
                continue;
            }
            best.emplace();
            fill(*best, plan, cost);
            best->metrics = metrics;
            best->defaulted.push_back(fmt::format("tp {}", tp));
            plan.cut.tp = tp;
        } catch (DoesNotFit const&) {
            continue;
        }
    }
    if (!best) fail(place, "no layout that fits", "more memory, or more than 8 GPUs a replica");
    double const replicas = static_cast<double>(run.gpus) / static_cast<double>(plan.cut.tp);
    best->gpus = run.gpus;
    best->part = fmt::format("mlperf {}", best->experts ? "moe" : "dense");
    if (offline) {
        best->metrics.output_tokens_per_s =
            best->metrics.tokens_per_s_per_gpu * static_cast<double>(run.gpus);
        return *best;
    }
    if (!run.tokens_per_s) fail(place, "no rate", "tokens_s, at which the row is predicted");
    RequestSource arriving = source;
    arriving.rate = *run.tokens_per_s / (static_cast<double>(source.output) / 2) / replicas;
    StepCost& cost = cost_of(plan, plan.cut, place);
    Deployment const deployment{pool_of(plan, cost, 1), {}};
    Requests requests = requests_of(arriving, seed_of_lengths);
    auto const result = serve(deployment, requests, 0);
    best->metrics = metrics_of(deployment, requests, result);
    best->metrics.output_tokens_per_s = *run.tokens_per_s;
    return *best;
}

}  // namespace nvl72
