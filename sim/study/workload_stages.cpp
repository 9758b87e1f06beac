#include "sim/study/workload_stages.hpp"

#include "sim/base/error.hpp"
#include "sim/base/random.hpp"
#include "sim/base/text.hpp"
#include "sim/study/point.hpp"
#include "sim/study/serving_point.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <queue>

namespace nvl72 {

namespace {

constexpr double z_of_p99 = 2.3263478740408408;  // standard normal
/// A closed loop of this many requests a client is as good as endless.
constexpr std::int64_t rounds_of_clients = 6;
/// Beyond this many draws a pool's time is its mean and the longest one.
constexpr double draws_max = 20'000;

/// Requests of a phase, all alike but for their lengths.
struct GenerateKeys {
    Place place;
    Placed<std::string> model, engine, precision;
    ServingLayout layout;
    std::int64_t slots = 0;
    std::int64_t input = 1024, output = 1024, samples = 1, cached = 0;
    double output_sigma = 0;
    double per_item = 1;
    std::optional<std::int64_t> clients;
};
std::vector<Field<GenerateKeys>> const& fields_of(GenerateKeys const*) {
    static std::vector<Field<GenerateKeys>> const fields{
        required("model", &GenerateKeys::model, "name or file of a model"),
        required("engine", &GenerateKeys::engine, "name or file of serving software"),
        required("precision", &GenerateKeys::precision, "a precision of the engine"),
        required("layout", &GenerateKeys::layout, "how one server is cut"),
        optional("slots", &GenerateKeys::slots, "0", "sequences at once of a server"),
        optional("input", &GenerateKeys::input, "1024", "tokens of a prompt"),
        optional("output", &GenerateKeys::output, "1024", "tokens of an answer, mean"),
        optional("samples", &GenerateKeys::samples, "1", "answers to each prompt"),
        optional("cached", &GenerateKeys::cached, "0",
                 "tokens of a prompt that a prefix cache holds"),
        optional("output_sigma", &GenerateKeys::output_sigma, "0",
                 "standard deviation of the logarithm of answers' lengths"),
        optional("per_item", &GenerateKeys::per_item, "1", "prompts for each of the phase's items"),
        optional("clients", &GenerateKeys::clients, "",
                 "of each server, that ask one after the other (a rate); all of a round's prompts "
                 "at once (a burst, with its stragglers) when not given"),
    };
    return fields;
}

void expect(
    bool holds, Place place, char const* key, std::string const& found, char const* wanted) {
    if (holds) return;
    place.key = place.key.empty() ? key : place.key + "." + key;
    fail(place, found, wanted);
}

ServingPoint serving_point(GenerateKeys const& keys, StageContext const& context) {
    ServingPoint point;
    point.system.place = keys.place;
    point.system.name = context.system.name;
    point.system.cluster = context.system.cluster;
    point.system.cluster.gpus = *context.pool->gpus;
    point.system.cluster.gpus_place = context.pool->place;
    point.system.power = context.system.power;
    point.system.serving.place = keys.place;
    point.system.serving.model = keys.model;
    point.system.serving.engine = keys.engine;
    point.system.serving.precision = keys.precision;
    point.system.serving.layout = keys.layout;
    point.system.serving.slots = keys.slots;
    return point;
}

/// The time of rounds on one of a pool's servers, asked for once for each number of prompts.
struct ServeOracle {
    LoadedServing loaded;
    GenerateKeys keys;
    std::uint64_t seed;
    double servers;
    std::map<std::int64_t, double> known;
    double prompt_s = 0, decode_s = 0;
    double rate = 0;  ///< prompts a second of one server; 0: bursts

    void add_use(Deployment const& one, Requests const& requests, ServingRun const& run) {
        auto const metrics = metrics_of(one, requests, run);
        prompt_s += metrics.prompt_s;
        decode_s += metrics.decode_s;
    }

    [[nodiscard]] Deployment one_server() const {
        Deployment one = loaded.deployment;
        one.pool.servers = 1;
        return one;
    }

    double burst(std::int64_t prompts) {
        auto const found = known.find(prompts);
        if (found != known.end()) return found->second;
        Requests requests;
        RandomStream lengths(seed, "phase answer lengths");
        std::vector<std::int32_t> cached;
        double const middle =
            static_cast<double>(keys.output) * std::exp(-keys.output_sigma * keys.output_sigma / 2);
        for (std::int64_t i = 0; i < prompts * keys.samples; ++i) {
            requests.arrival.emplace_back(0);
            requests.input.push_back(static_cast<std::int32_t>(keys.input));
            double const drawn = middle * std::exp(keys.output_sigma * lengths.normal(0, 1));
            requests.output.push_back(static_cast<std::int32_t>(std::max(1.0, std::round(drawn))));
            // Samples of a prompt share it: the first computes it.
            bool const first = i % keys.samples == 0;
            cached.push_back(static_cast<std::int32_t>(first ? keys.cached : keys.input - 1));
        }
        requests.cached = std::move(cached);
        auto const one = one_server();
        auto const run = serve(one, requests, 0);
        add_use(one, requests, run);
        return known[prompts] = to_seconds(run.end);
    }

    void find_rate(std::int64_t clients) {
        RequestSource source;
        source.place = keys.place;
        source.clients = clients;
        source.count = clients * rounds_of_clients;
        source.input = keys.input;
        source.output = keys.output;
        source.lengths = Lengths::lognormal;
        source.output_sigma = keys.output_sigma;
        // Clients out of step: so long does an answer take alone, about.
        source.stagger = from_seconds(
            static_cast<double>(keys.output) *
            loaded.decode->decode(static_cast<double>(clients), static_cast<double>(keys.input)));
        auto requests = requests_of(source, seed);
        requests.cached.assign(requests.size(), static_cast<std::int32_t>(keys.cached));
        auto const one = one_server();
        auto const run = serve(one, requests, clients);
        add_use(one, requests, run);
        // By Little's law, free of the loop's beginning and end.
        double time = 0;
        for (std::size_t i = 0; i < requests.size(); ++i)
            time += to_seconds(requests.last[i] - requests.arrival[i]);
        rate = static_cast<double>(clients) * static_cast<double>(requests.size()) / time;
    }

    double seconds(double items) {
        double const prompts = items * keys.per_item / servers;
        if (rate > 0) return prompts / rate;
        // A round of less than a prompt a server still takes one's time.
        return burst(
            std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(prompts - 1e-9))));
    }
};

BuiltStage build_generate_of(GenerateKeys const& keys, StageContext const& context) {
    auto const at_least = [&](std::int64_t value, std::int64_t least, char const* key) {
        expect(value >= least, keys.place, key, std::to_string(value),
               least == 0 ? "0 or more" : "1 or more");
    };
    at_least(keys.input, 1, "input");
    at_least(keys.output, 1, "output");
    at_least(keys.samples, 1, "samples");
    at_least(keys.cached, 0, "cached");
    expect(keys.cached < keys.input, keys.place, "cached", std::to_string(keys.cached),
           "less than the input: its last token is always computed");
    expect(keys.per_item > 0, keys.place, "per_item", fmt::format("{:g}", keys.per_item),
           "more than 0");
    expect(keys.output_sigma >= 0, keys.place, "output_sigma",
           fmt::format("{:g}", keys.output_sigma), "0 or more");
    expect(!keys.clients || keys.samples == 1, keys.place, "samples", std::to_string(keys.samples),
           "1 where clients are given");
    auto oracle = std::make_shared<ServeOracle>(
        ServeOracle{load_serving(serving_point(keys, context), context.library, context.given),
                    keys,
                    context.seed,
                    1,
                    {},
                    0,
                    0,
                    0});
    oracle->servers = oracle->loaded.deployment.pool.servers;
    if (keys.clients) {
        at_least(*keys.clients, 1, "clients");
        oracle->find_rate(*keys.clients);
    } else {
        oracle->burst(std::max<std::int64_t>(1, std::llround(keys.per_item)));
    }
    BuiltStage stage;
    stage.plan.seconds = [oracle](double items) { return oracle->seconds(items); };
    stage.compute_share = oracle->prompt_s / (oracle->prompt_s + oracle->decode_s);
    stage.profile = oracle->loaded.profile_name;
    stage.basis = describe(verdict(oracle->loaded.decode->shares()));
    return stage;
}

BuiltStage build_generate(Value const& own, StageContext const& context) {
    return build_generate_of(read_spec<GenerateKeys>(own, nullptr), context);
}

/// Prompts alone: the first token of each is its score.
BuiltStage build_score(Value const& own, StageContext const& context) {
    if (Value const* given = own.find("output")) fail(given->place, "output", "nothing: one token");
    auto keys = read_spec<GenerateKeys>(own, nullptr);
    keys.output = 1;
    return build_generate_of(keys, context);
}

struct TrainKeys {
    Place place;
    std::optional<Picoseconds> item;  ///< time of one item on the whole pool
    std::optional<double> flops_per_item;
    double utilisation = 0.4;
    std::optional<Placed<std::string>> model, recipe, precision;
    std::optional<Layout> layout;
    std::optional<Placed<std::int64_t>> sequence_length, global_batch;
};
std::vector<Field<TrainKeys>> const& fields_of(TrainKeys const*) {
    static std::vector<Field<TrainKeys>> const fields{
        optional("item", &TrainKeys::item, "", "time of one item on the whole pool"),
        optional("flops_per_item", &TrainKeys::flops_per_item, "", "of one item, all passes"),
        optional("utilisation", &TrainKeys::utilisation, "0.4",
                 "of the GPU's dense BF16 peak, with flops_per_item"),
        optional("model", &TrainKeys::model, "", "of a training step; an item is a token"),
        optional("recipe", &TrainKeys::recipe, "", "training software"),
        optional("precision", &TrainKeys::precision, "", "of the recipe"),
        optional("layout", &TrainKeys::layout, "", "how the step is cut over the pool's GPUs"),
        optional("sequence_length", &TrainKeys::sequence_length, "", "tokens per sequence"),
        optional("global_batch", &TrainKeys::global_batch, "", "sequences of a step"),
    };
    return fields;
}

BuiltStage build_train(Value const& own, StageContext const& context) {
    auto const keys = read_spec<TrainKeys>(own, nullptr);
    int const ways = int{keys.item.has_value()} + int{keys.flops_per_item.has_value()} +
                     int{keys.model.has_value()};
    if (ways != 1)
        fail(own.place, fmt::format("{} of them", ways), "item, flops_per_item or model");
    BuiltStage stage;
    double each = 0;
    if (keys.item) {
        each = to_seconds(*keys.item);
        stage.basis = "given";
    } else if (keys.flops_per_item) {
        expect(keys.utilisation > 0 && keys.utilisation <= 1, keys.place, "utilisation",
               fmt::format("{:g}", keys.utilisation), "above 0, to 1");
        ClusterChoice cluster = context.system.cluster;
        cluster.gpus = *context.pool->gpus;
        double const peak = build_fabric(cluster, context.library).gpu().peak.bf16.count;
        each = *keys.flops_per_item /
               (peak * keys.utilisation * static_cast<double>(*context.pool->gpus));
        stage.basis = "datasheet peak";
    } else {
        if (!keys.recipe || !keys.precision || !keys.layout || !keys.sequence_length ||
            !keys.global_batch) {
            fail(own.place, "a model alone",
                 "recipe, precision, layout, sequence_length and global_batch beside it");
        }
        Point point;
        point.system.place = own.place;
        point.system.name = context.system.name;
        point.system.cluster = context.system.cluster;
        point.system.cluster.gpus = *context.pool->gpus;
        point.system.model = *keys.model;
        point.system.recipe = *keys.recipe;
        point.system.precision = *keys.precision;
        point.system.layout = *keys.layout;
        point.system.sequence_length = *keys.sequence_length;
        point.system.global_batch = *keys.global_batch;
        auto const loaded = load_point(point, context.library, context.given);
        auto const done = simulate_point(loaded, 0);
        each =
            done.row.step_s / static_cast<double>(done.row.global_batch * done.row.sequence_length);
        stage.basis = done.row.basis;
        stage.profile = loaded.profile_name;
    }
    stage.plan.seconds = [each](double items) { return items * each; };
    return stage;
}

/// Service times of workers: lognormal, and a share that runs into a limit.
struct ExecKeys {
    Place place;
    Picoseconds median{0};
    double p99_over_median = 1;
    Picoseconds timeout{0};
    double timeout_share = 0;
    double per_item = 1;
    std::optional<std::int64_t> workers;
};
std::vector<Field<ExecKeys>> const& fields_of(ExecKeys const*) {
    static std::vector<Field<ExecKeys>> const fields{
        required("median", &ExecKeys::median, "time of one run"),
        optional("p99_over_median", &ExecKeys::p99_over_median, "1",
                 "of lognormal times; 1: all take the median"),
        optional("timeout", &ExecKeys::timeout, "0 s", "after which a run is given up"),
        optional("timeout_share", &ExecKeys::timeout_share, "0", "share of runs that take so long"),
        optional("per_item", &ExecKeys::per_item, "1", "runs for each of the phase's items"),
        optional("workers", &ExecKeys::workers, "", "at once; the pool's cores when not given"),
    };
    return fields;
}

/// Until the last of `runs` is done by workers who each take the next when free.
class WorkersOracle {
public:
    WorkersOracle(ExecKeys keys, std::int64_t workers, std::uint64_t seed)
        : keys_(keys), workers_(workers), seed_(seed) {
        double const median = to_seconds(keys.median);
        sigma_ = std::log(keys.p99_over_median) / z_of_p99;
        mean_ = median * std::exp(sigma_ * sigma_ / 2) * (1 - keys.timeout_share) +
                to_seconds(keys.timeout) * keys.timeout_share;
    }

    StageTime seconds(double items) {
        double const runs = items * keys_.per_item;
        double const most = static_cast<double>(workers_);
        if (runs > draws_max) {
            return {runs * mean_ / most, keys_.timeout_share > 0 ? to_seconds(keys_.timeout) : 0};
        }
        auto const count = static_cast<std::int64_t>(std::ceil(runs));
        // Every round draws anew.
        RandomStream times(seed_ + round_++, "workers' times");
        std::priority_queue<double, std::vector<double>, std::greater<>> free;
        double last = 0, work = 0;
        for (std::int64_t i = 0; i < count; ++i) {
            double begin = 0;
            if (static_cast<std::int64_t>(free.size()) >= workers_) {
                begin = free.top();
                free.pop();
            }
            double took = to_seconds(keys_.median) * std::exp(sigma_ * times.normal(0, 1));
            if (times.uniform() < keys_.timeout_share) took = to_seconds(keys_.timeout);
            if (keys_.timeout.count > 0) took = std::min(took, to_seconds(keys_.timeout));
            work += took;
            free.push(begin + took);
            last = std::max(last, begin + took);
        }
        // Workers that are done while the last ones work are free for others.
        return {work / most, last - work / most};
    }

private:
    ExecKeys keys_;
    std::int64_t workers_;
    std::uint64_t seed_;
    std::uint64_t round_ = 0;
    double sigma_ = 0, mean_ = 0;
};

BuiltStage build_workers(Value const& own, StageContext const& context) {
    auto const keys = read_spec<ExecKeys>(own, nullptr);
    expect(keys.median.count > 0, own.place, "median", "0 s", "more than 0 s");
    expect(keys.timeout_share >= 0 && keys.timeout_share < 1, own.place, "timeout_share",
           fmt::format("{:g}", keys.timeout_share), "0 to below 1");
    expect(keys.p99_over_median >= 1, own.place, "p99_over_median",
           fmt::format("{:g}", keys.p99_over_median), "1 or more");
    expect(keys.timeout_share == 0 || keys.timeout.count > 0, own.place, "timeout_share", "given",
           "a timeout beside it");
    expect(keys.per_item > 0, own.place, "per_item", fmt::format("{:g}", keys.per_item),
           "more than 0");
    std::int64_t workers = keys.workers.value_or(0);
    if (workers == 0) {
        if (context.pool == nullptr || !context.pool->cores)
            fail(own.place, "no workers", "workers, or a pool of cores");
        workers = *context.pool->cores;
    }
    expect(workers > 0, own.place, "workers", std::to_string(workers), "1 or more");
    auto oracle = std::make_shared<WorkersOracle>(keys, workers, context.seed);
    BuiltStage stage;
    stage.plan.seconds = [oracle](double items) { return oracle->seconds(items); };
    stage.basis = "given";
    return stage;
}

struct TransferKeys {
    Place place;
    Bytes bytes{0};
    std::optional<BytesPerSecond> cap;
};
std::vector<Field<TransferKeys>> const& fields_of(TransferKeys const*) {
    static std::vector<Field<TransferKeys>> const fields{
        required("bytes", &TransferKeys::bytes, "of one item"),
        optional("cap", &TransferKeys::cap, "", "limit below the link's rate"),
    };
    return fields;
}

BuiltStage build_transfer(Value const& own, StageContext const& context) {
    auto const keys = read_spec<TransferKeys>(own, nullptr);
    double rate = context.pool->rate->count;
    if (keys.cap) rate = std::min(rate, keys.cap->count);
    double const each = static_cast<double>(keys.bytes.count) / rate;
    BuiltStage stage;
    stage.plan.seconds = [each](double items) { return items * each; };
    stage.basis = "given";
    return stage;
}

struct SimKeys {
    Place place;
    double steps_per_core_s = 0;
};
std::vector<Field<SimKeys>> const& fields_of(SimKeys const*) {
    static std::vector<Field<SimKeys>> const fields{
        required("steps_per_core_s", &SimKeys::steps_per_core_s,
                 "steps of the simulated world that a core makes in a second"),
    };
    return fields;
}

BuiltStage build_env_sim(Value const& own, StageContext const& context) {
    auto const keys = read_spec<SimKeys>(own, nullptr);
    expect(keys.steps_per_core_s > 0, own.place, "steps_per_core_s",
           fmt::format("{:g}", keys.steps_per_core_s), "more than 0");
    double const rate = keys.steps_per_core_s * static_cast<double>(*context.pool->cores);
    BuiltStage stage;
    stage.plan.seconds = [rate](double items) { return items / rate; };
    stage.basis = "given";
    return stage;
}

struct ControlKeys {
    Place place;
    std::int64_t robots = 1;
    Picoseconds period{0}, deadline{0};
    Picoseconds span{60'000'000'000'000};
    Picoseconds network{0}, jitter{0};
    std::int64_t batch_max = 1;
    Picoseconds gather{0};
    std::optional<Picoseconds> one;  ///< time of one request
    Picoseconds more{0};             ///< of each further one in a batch
    std::optional<Placed<std::string>> model, engine, precision;
    std::int64_t input = 0, output = 1;
    Picoseconds before{0};
    std::int64_t gpus_per_server = 1;
};
std::vector<Field<ControlKeys>> const& fields_of(ControlKeys const*) {
    static std::vector<Field<ControlKeys>> const fields{
        required("robots", &ControlKeys::robots, "that the pool's servers share"),
        required("period", &ControlKeys::period, "between a robot's requests"),
        required("deadline", &ControlKeys::deadline, "after which its actions are used up"),
        optional("horizon", &ControlKeys::span, "60 s", "of simulated time"),
        optional("network", &ControlKeys::network, "0 s", "there and back"),
        optional("jitter", &ControlKeys::jitter, "0 s", "mean of what comes on top (exponential)"),
        optional("batch_max", &ControlKeys::batch_max, "1", "requests answered together"),
        optional("gather", &ControlKeys::gather, "0 s", "that a server waits for more"),
        optional("one", &ControlKeys::one, "", "time of one request; of a model when not given"),
        optional("more", &ControlKeys::more, "0 s", "time of each further one of a batch"),
        optional("model", &ControlKeys::model, "", "name or file of a model"),
        optional("engine", &ControlKeys::engine, "", "serving software"),
        optional("precision", &ControlKeys::precision, "", "of the engine"),
        optional("input", &ControlKeys::input, "0", "tokens of an observation"),
        optional("output", &ControlKeys::output, "1", "tokens of an answer"),
        optional("before", &ControlKeys::before, "0 s", "of each request: its images"),
        optional("gpus_per_server", &ControlKeys::gpus_per_server, "1", "GPUs of one server"),
    };
    return fields;
}

std::function<double(std::int64_t)> control_seconds(ControlKeys const& keys,
                                                    StageContext const& context,
                                                    BuiltStage& stage) {
    if (keys.one) {
        stage.basis = "given";
        double const one = to_seconds(*keys.one);
        double const more = to_seconds(keys.more);
        return
            [one, more](std::int64_t batch) { return one + more * static_cast<double>(batch - 1); };
    }
    if (!keys.model || !keys.engine || !keys.precision || keys.input < 1)
        fail(keys.place, "no time", "one, or model, engine, precision and input");
    GenerateKeys model;
    model.place = keys.place;
    model.model = *keys.model;
    model.engine = *keys.engine;
    model.precision = *keys.precision;
    model.layout.tp = static_cast<int>(keys.gpus_per_server);
    model.layout.place = keys.place;
    auto loaded = std::make_shared<LoadedServing>(
        load_serving(serving_point(model, context), context.library, context.given));
    stage.profile = loaded->profile_name;
    auto const input = static_cast<double>(keys.input);
    auto const output = static_cast<double>(keys.output);
    double const before = to_seconds(keys.before);
    auto const time = [loaded, input, output, before](std::int64_t batch) {
        auto& cost = *loaded->decode;
        auto const n = static_cast<double>(batch);
        PromptWork const prompt{n * input, n * input, n, n * cost.prompt_attention(input, 0)};
        double seconds = n * before + cost.mixed(0, 1, prompt);
        if (output > 1) seconds += (output - 1) * cost.decode(n, input + output / 2);
        return seconds;
    };
    time(1);
    stage.basis = describe(verdict(loaded->decode->shares()));
    return time;
}

BuiltStage build_control(Value const& own, StageContext const& context) {
    auto const keys = read_spec<ControlKeys>(own, nullptr);
    auto const positive = [&](bool holds, char const* key) {
        expect(holds, own.place, key, "zero or less", "more than 0");
    };
    positive(keys.robots > 0, "robots");
    positive(keys.period.count > 0, "period");
    positive(keys.deadline.count > 0, "deadline");
    positive(keys.span.count > 0, "horizon");
    positive(keys.batch_max > 0, "batch_max");
    positive(keys.gpus_per_server > 0, "gpus_per_server");
    BuiltStage stage;
    ControlPlan plan;
    stage.servers = static_cast<double>(*context.pool->gpus / keys.gpus_per_server);
    positive(stage.servers > 0, "gpus_per_server");
    plan.robots =
        static_cast<std::int64_t>(std::ceil(static_cast<double>(keys.robots) / stage.servers));
    plan.period_s = to_seconds(keys.period);
    plan.deadline_s = to_seconds(keys.deadline);
    plan.span_s = to_seconds(keys.span);
    plan.network_s = to_seconds(keys.network);
    plan.jitter_s = to_seconds(keys.jitter);
    plan.batch_max = keys.batch_max;
    plan.gather_s = to_seconds(keys.gather);
    plan.seconds = control_seconds(keys, context, stage);
    stage.plan.seconds = [seconds = plan.seconds](double items) {
        return StageTime(seconds(std::max<std::int64_t>(1, std::llround(items))));
    };
    stage.control = std::move(plan);
    return stage;
}

constexpr std::array kinds{
    PhaseKind{"generate", "prompts and answers of a served model", Machine::gpus, build_generate},
    PhaseKind{"score", "prompts alone: reward models and judges", Machine::gpus, build_score},
    PhaseKind{"train_loop", "training: a simulated step, FLOPs, or a time for each item",
              Machine::gpus, build_train},
    PhaseKind{"search", "rounds of other stages: tree search, best of N", Machine::elsewhere,
              nullptr},
    PhaseKind{"cpu_exec", "programs on CPU workers, with a time limit", Machine::cores,
              build_workers},
    PhaseKind{"retrieve", "look-ups elsewhere, so many at once", Machine::elsewhere, build_workers},
    PhaseKind{"transfer", "bytes over a link", Machine::link, build_transfer},
    PhaseKind{"control_loop", "robots that ask for actions before theirs are used up",
              Machine::gpus, build_control},
    PhaseKind{"env_sim", "steps of simulated worlds on CPU cores", Machine::cores, build_env_sim},
};

}  // namespace

std::span<PhaseKind const> phase_kinds() { return kinds; }

PhaseKind const& phase_kind(Placed<std::string> const& name) {
    std::vector<std::string> names;
    for (auto const& kind : kinds) {
        if (kind.name == name.value) return kind;
        names.emplace_back(kind.name);
    }
    auto const near = nearest_name(name.value, names);
    fail(name.place, fmt::format("unknown '{}'", name.value),
         (near.empty() ? "" : fmt::format("did you mean {}? ", near)) + join(names));
}

}  // namespace nvl72
